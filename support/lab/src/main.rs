//! The command line of `lab`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::project::Project;
use lab::{kernel, pinned, run};

#[derive(Parser)]
#[command(name = "lab")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    Run {
        notebooks: Vec<String>,
        #[arg(long, default_value_t = 120)]
        timeout: u64,
        #[arg(long, default_value_t = 1)]
        repeat: u32,
    },
    #[command(hide = true)]
    Kernel { connection_file: PathBuf },
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("错误：{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// evcxr starts this program again under other names and with arguments of its own.
fn start() -> Result<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    match Path::new(&name).file_name().and_then(|name| name.to_str()) {
        Some("cargo") => pinned::become_cargo(arguments).map(|()| ExitCode::SUCCESS),
        // Whoever asks rustup for the real cargo would get round ours: there is no rustup here.
        Some("rustup") => Ok(ExitCode::FAILURE),
        _ if std::env::var_os("EVCXR_IS_RUNTIME").is_some()
            || arguments
                .next()
                .is_some_and(|argument| argument == "--control_file") =>
        {
            evcxr_jupyter::main().map(|()| ExitCode::SUCCESS)
        }
        _ => perform(Arguments::parse()),
    }
}

fn perform(arguments: Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    match arguments.command.unwrap() {
        Task::Kernel { connection_file } => kernel::kernel(&connection_file),
        Task::Run {
            notebooks,
            timeout,
            repeat,
        } => {
            let project = Project::find()?;
            let limit = Duration::from_secs(timeout);
            runtime.block_on(run::command(&project, &notebooks, limit, repeat))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
