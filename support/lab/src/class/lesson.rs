//! stub
use crate::project::Project;
use anyhow::Result;
/// Options
#[derive(clap::Args, Clone, Debug)]
pub struct Options {}
/// x
pub async fn class(_p: &Project, _o: &Options) -> Result<()> {
    Ok(())
}
