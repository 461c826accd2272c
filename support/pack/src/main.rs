//! One file with everything, for machines without network: `lab pack` starts this program to make it,
//! and the file brings this program along to unpack itself.
//!
//! | file | idea |
//! |---|---|
//! | `make.rs` | what is in a pack, part by part |
//! | `course.rs` | the project as it is committed; what the file says of itself |
//! | `toolchain.rs` | what compiles and links cells, without a C compiler |
//! | `crates.rs` | the sources of what cells depend on |
//! | `wheels.rs` | JupyterLab for several versions of Python |
//! | `sets.rs` | what cells depend on, compiled, and the book |
//! | `licences.rs` | the licences of all that |
//! | `glibc.rs` | on which systems it runs |
//! | `archive.rs` | a folder as one compressed stream, and back |
//! | `unpack.rs` | what the file does when it is run |
//!
//! A pack, unpacked: `start`, and the folders `course` (the project), `bin`, `toolchain`, `cargo`,
//! `wheels`, `cache`, `book`, `originals`, `licences`. Where the sources of crates lie is explained in
//! [`link::pack`].

#[macro_use]
extern crate base;

mod archive;
mod course;
mod crates;
mod glibc;
mod licences;
mod make;
mod sets;
mod toolchain;
mod unpack;
mod wheels;

use std::process::ExitCode;

use anyhow::Result;
use base::environment;
use clap::{Parser, Subcommand};
use lab::project::Project;
use lab::signals;

/// 把一切打成一个文件，给没有网络的机器；这个文件用同一个程序解开自己
#[derive(Parser)]
#[command(name = "pack", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// 打包；由 lab pack 调用
    Make(make::Options),
    /// 解开；由打好的文件调用
    Unpack(unpack::Options),
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    perform(&arguments.task).map_or_else(
        |error| {
            signals::settle();
            eprintln!("错误：{error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn perform(task: &Task) -> Result<()> {
    match task {
        Task::Make(options) => {
            let project = Project::find()?;
            // Whoever makes a pack may have set what is not for everybody: flags for this very machine's
            // processor, secrets that a build script writes down.
            // SAFETY: there is no other thread yet.
            unsafe {
                environment::become_clean();
                // Nor what cargo's configuration says of flags: the variable goes before it.
                std::env::set_var("RUSTFLAGS", "");
            }
            signals::end_everything("已中断。做完的部分不会丢失，再运行一次就接着做")?;
            make::make(&project, options)
        }
        Task::Unpack(options) => {
            signals::end_everything("已中断：没有解开完。再运行一次就从头解开")?;
            unpack::unpack(options)
        }
    }
}
