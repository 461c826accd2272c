//! The command line of `runner`, which the program of the course starts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use base::eprintln;
use clap::{Args, Parser, Subcommand};
use runner::kernelspec::KernelSpec;
use runner::{export, run, signals, warm};

/// 不开浏览器，在任何一个 Jupyter 内核里逐格执行笔记本
#[derive(Parser)]
#[command(name = "runner", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// 逐格执行；遇到出错的单元格就停下
    Run {
        #[command(flatten)]
        what: What,
        /// 每个单元格最多执行多少秒
        #[arg(long, value_name = "秒", default_value_t = 120)]
        timeout: u64,
        /// 执行多少遍
        #[arg(long, value_name = "遍", default_value_t = 1)]
        repeat: u32,
    },
    /// 执行，导出成 HTML
    Export {
        #[command(flatten)]
        what: What,
        /// 每个单元格最多执行多少秒
        #[arg(long, value_name = "秒", default_value_t = 120)]
        timeout: u64,
        /// 装有 nbconvert 的 Python
        #[arg(long, value_name = "程序")]
        python: PathBuf,
        /// 放进哪个文件夹：空的、还没有的，或者是以前导出的
        #[arg(long, value_name = "文件夹")]
        out: PathBuf,
    },
    /// 只执行第一格：内核留下它编译好的依赖
    Warm {
        #[command(flatten)]
        what: What,
    },
}

#[derive(Args)]
struct What {
    /// 内核的登记所在的文件夹，里面有 kernel.json
    #[arg(long, value_name = "文件夹")]
    kernel: PathBuf,
    /// 笔记本文件
    #[arg(value_name = "笔记本", required = true)]
    notebooks: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    start(arguments).unwrap_or_else(|error| {
        eprintln!("错误：{error:#}");
        ExitCode::FAILURE
    })
}

fn start(arguments: Arguments) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(signals::until_interrupted(
        perform(arguments.task),
        "已中断",
    ))
}

async fn perform(task: Task) -> Result<()> {
    match task {
        Task::Run {
            what,
            timeout,
            repeat,
        } => {
            let spec = KernelSpec::load(&what.kernel)?;
            run::run_all(&spec, &what.notebooks, Duration::from_secs(timeout), repeat).await
        }
        Task::Export {
            what,
            timeout,
            python,
            out,
        } => {
            let spec = KernelSpec::load(&what.kernel)?;
            let limit = Duration::from_secs(timeout);
            export::export(&spec, &what.notebooks, limit, &python, &out).await
        }
        Task::Warm { what } => {
            let spec = KernelSpec::load(&what.kernel)?;
            warm::warm(&spec, &what.notebooks).await
        }
    }
}
