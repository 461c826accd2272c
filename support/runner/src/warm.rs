//! First cells are executed once, so that nobody has to wait for what they name: a kernel of ours
//! keeps what it has compiled.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::advice::supplies;
use base::ipynb::Notebook;

use crate::client::{Execution, KernelClient, Outcome};
use crate::kernelspec::KernelSpec;

/// How long compiling everything may take, on a slow machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// How a line begins that says which package is being compiled.
pub const COMPILING: &str = "Compiling ";

/// Executes the first cells of notebooks, one after the other. Prints a line for each package that
/// is compiled.
///
/// # Errors
/// When a crate cannot be downloaded or compiled, with all notebooks for which that is so.
pub async fn warm(spec: &KernelSpec, notebooks: &[PathBuf]) -> Result<()> {
    let mut troubles = Vec::new();
    for notebook in notebooks {
        if let Err(error) = warm_one(spec, notebook).await {
            troubles.push(format!("{error:#}"));
        }
    }
    if !troubles.is_empty() {
        bail!("{}", troubles.join("\n"));
    }
    Ok(())
}

async fn warm_one(spec: &KernelSpec, notebook: &Path) -> Result<()> {
    let name = notebook.file_name().unwrap_or_default().display();
    let failed = || format!("预热 {name} 的依赖失败");
    let first = Notebook::load(notebook)?.code_cells().into_iter().next();
    let Some(first) = first else {
        return Ok(()); // a notebook of text needs nothing
    };
    let listener = |line: &str| {
        if line.trim_start().starts_with(COMPILING) {
            println!("{}", line.trim_start());
        }
    };
    let mut kernel = KernelClient::start_with(spec.command_for(notebook)?, listener)
        .await
        .with_context(failed)?;
    let cause = match kernel.execute(&first.source, LIMIT).await {
        Ok(Execution { outcome, .. }) => cause(&outcome, &mut kernel).await,
        Err(error) => Some(format!("{error:#}{}", kernel.last_words().await)),
    };
    if let Some(cause) = cause {
        bail!(
            "{}：{cause}\n（请检查{}，还有这个笔记本的第一格，然后重试；编译好的不会丢失）",
            failed(),
            supplies()
        );
    }
    kernel.shutdown().await
}

/// Why a cell has failed, if it has.
async fn cause(outcome: &Outcome, kernel: &mut KernelClient) -> Option<String> {
    match outcome {
        Outcome::Ok => None,
        Outcome::Failed(message) if message.trim().is_empty() => Some(kernel.log()),
        Outcome::Failed(message) => {
            Some(message.lines().map(|line| format!("\n  {line}")).collect())
        }
        Outcome::TimedOut => Some(format!("超过 {} 分钟没有结束", LIMIT.as_secs() / 60)),
        Outcome::KernelDied => Some(format!("内核退出了{}", kernel.last_words().await)),
    }
}
