//! The Rust kernel that Jupyter starts: evcxr, with a front before it. It knows no course, and runs
//! in any folder.
//!
//! | module | idea |
//! |---|---|
//! | [`start`] | evcxr with what it needs around it |
//! | [`front`] | what Jupyter talks to: a relay to evcxr that does what evcxr falls short of |
//! | [`child`] | the process that runs the cells, and what they read |
//! | [`cargo`] | the `cargo` and the `rustc` that evcxr finds: a cell without cargo, known answers, sets of dependencies that are compiled once |
//! | [`build_folder`] | what a kernel builds in |
//! | [`sources`] | the standard library's sources, without what nobody needs |
//! | [`pack`] | a kernel in a pack: no network, nothing installed |
//! | [`spare`] | kernels that wait to be taken |
//! | [`priority`] | work that nobody waits for yet |
//!
//! It is started as several programs:
//!
//! | how | as what |
//! |---|---|
//! | `kernel CONNECTION_FILE` | a kernel |
//! | `kernel --spare SOCKET NOTEBOOK` | a kernel that has run the notebook's first cell and waits at the socket for who needs it |
//! | `kernel --keep COUNT FOLDER NOTEBOOK` | the keeper of so many spares |
//! | `kernel --ready NOTEBOOK…` | prints those of the notebooks whose dependencies have not been compiled yet |
//! | `kernel --control_file FILE` | plain evcxr: what stands behind the front |
//! | any, with `EVCXR_IS_RUNTIME` | the process that runs evcxr's cells |
//! | `cargo …`, `rustc …` | by these names, what evcxr finds first |
//!
//! What it is told by variables is in [`link::variable`].

#[macro_use]
extern crate base;

mod build_folder;
mod cargo;
mod child;
mod front;
mod pack;
mod priority;
mod sources;
mod spare;
mod start;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use link::variable;

/// The exit status for a command line that makes no sense.
const WRONG_USE: u8 = 2;

const USE: &str = "用法：
  kernel 连接文件                   启动一个内核，由 Jupyter 调用
  kernel --spare 套接字 笔记本      先执行笔记本的第一格，等内核来取
  kernel --keep 数目 文件夹 笔记本  一直备着这么多个这样的内核，套接字放在文件夹里
  kernel --ready 笔记本…            列出依赖还没有编译好的笔记本";

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("错误：{error:#}");
        ExitCode::FAILURE
    })
}

/// evcxr starts this program again: to run cells, and in the place of cargo and rustc.
fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = PathBuf::from(arguments.next().unwrap_or_default());
    if let Some(done) = cargo::by_name(&name, &mut arguments) {
        return done;
    }
    if std::env::var_os(variable::IS_RUNTIME).is_some() {
        return child::run();
    }
    let arguments: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let words: Vec<&Path> = arguments.iter().map(PathBuf::as_path).collect();
    let first = words.first().map(|word| word.as_os_str());
    match (first.and_then(OsStr::to_str), words.get(1..).unwrap_or(&[])) {
        (Some("--control_file"), [_]) => evcxr_jupyter::main().map(|()| ExitCode::SUCCESS),
        (Some("--spare"), [socket, notebook]) => start::spare(socket, notebook),
        (Some("--keep"), [count, folder, notebook]) => {
            let count = count.to_str().and_then(|count| count.parse().ok());
            let count = count.context("--keep 后面要有一个数目")?;
            spare::keep(count, folder, notebook).map(|()| ExitCode::SUCCESS)
        }
        (Some("--ready"), [_, ..]) => Ok(match start::ready(&arguments[1..])? {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }),
        (first, []) if words.len() == 1 && !first.is_some_and(|word| word.starts_with('-')) => {
            start::kernel(words[0])
        }
        _ => {
            eprintln!("错误：命令行不对。\n{USE}");
            Ok(ExitCode::from(WRONG_USE))
        }
    }
}
