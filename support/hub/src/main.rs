//! The command line of `hub`.

use std::process::ExitCode;

use anyhow::Result;
use base::{environment, eprintln};
use clap::Parser;
use hub::prepare::{self, Options};
use lab::project::Project;
use lab::signals;

/// 在这台机器上给一个班开 JupyterHub，需要 root：准备好学生共用的一切，然后打开它
#[derive(Parser)]
#[command(name = "hub", version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    match perform(&arguments.options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            signals::settle();
            eprintln!("错误：{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(options: &Options) -> Result<()> {
    let project = Project::find_without_cache()?;
    // SAFETY: there is no other thread yet.
    unsafe { environment::become_clean() };
    signals::end_everything(prepare::INTERRUPTED)?;
    prepare::open(&project, options)
}
