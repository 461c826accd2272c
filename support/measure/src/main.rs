//! For developers: how fast kernels are, how many students a machine carries, how long a newcomer waits.
//!
//! | file | question |
//! |---|---|
//! | `kernels.rs` | how fast is our kernel, beside others? |
//! | `lesson.rs` | how many students does a machine carry? |
//! | `door.rs` | how long does somebody wait who has just cloned the project? |

#[macro_use]
extern crate base;

mod door;
mod kernels;
mod lesson;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use lab::project::Project;
use lab::signals;
use runner::signals::until_interrupted;
use tokio::runtime::Runtime;

/// 量一量：内核多快，一台机器带得动多少学生，第一次打开要等多久
#[derive(Parser)]
#[command(name = "measure", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// 与原版 evcxr 和 Python 的内核并排测量快慢，约需七分钟
    Kernels(kernels::Options),
    /// 演一节课：多少学生、要多少内存和处理器，需要 root
    Class(lesson::Options),
    /// 演一个刚克隆了项目的人：从 `cargo run` 到第一个 .await 的结果，每一步要等多久
    Door(door::Options),
}

const INTERRUPTED: &str = "已中断";

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    perform(arguments.task).unwrap_or_else(|error| {
        signals::settle();
        eprintln!("错误：{error:#}");
        ExitCode::FAILURE
    })
}

fn perform(task: Task) -> Result<ExitCode> {
    signals::end_everything(INTERRUPTED)?;
    match task {
        Task::Kernels(options) => {
            let setting = kernels::Setting::new(Project::find()?)?;
            run(kernels::measure(&setting, &options))
        }
        Task::Class(options) => {
            let project = Project::find_without_cache()?;
            let program = lesson::program(&project)?;
            run(lesson::play(&project, &program, &options))
        }
        Task::Door(options) => {
            let project = Project::find_without_cache()?;
            run(door::walk(&project, &options))
        }
    }
}

/// Runs what ends by itself what it has started, when it is dropped.
fn run(work: impl Future<Output = Result<()>>) -> Result<ExitCode> {
    signals::handle(Box::new(|_| ()));
    Runtime::new()?.block_on(until_interrupted(work, INTERRUPTED))
}
