//! How long until a notebook that has just been opened has awaited something: from the start of the
//! process, with its connection file as JupyterLab starts it, to the end of the first cell with an
//! `.await`.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use super::{Setting, median, run};
use base::process::{end_with_us, in_its_own_session};
use link::variable;

/// Kernels started of each kind.
const STARTS: usize = 5;
const AWAIT: &str = "tokio::time::sleep(std::time::Duration::from_millis(1)).await;";
const PYTHON: [&str; 2] = ["import asyncio", "await asyncio.sleep(0.001)"];

pub async fn measure(setting: &Setting) -> Result<()> {
    println!("从要一个内核到第一个 .await 的结果（每种 {STARTS} 次，轮流启动，取中位数）");
    let rust = [&*setting.first, AWAIT];
    let warm = tempfile::tempdir()?;
    let stock = || setting.stock(warm.path());
    first_await(setting, stock(), &rust).await?; // warms it
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..STARTS {
        let spare = Spare::warm(setting).await?;
        let kernels = [
            (spare.taken(setting)?, &rust),
            (ours(setting)?, &rust),
            (stock(), &rust),
            (ipykernel(setting), &PYTHON),
        ];
        for (times, (command, cells)) in times.iter_mut().zip(kernels) {
            times.push(first_await(setting, command, cells).await?);
        }
    }
    let [with, without, stock, python] = times;
    let fastest = |times: &[Duration]| times.iter().min().copied().unwrap_or_default();
    let [least, least_python] = [&with, &python].map(|times| fastest(times));
    let [with, without, stock, python] = [with, without, stock, python].map(median);
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!(
        "  {with:>8.2?}  本课程的内核，有备用的：ipykernel 的 {:.2} 倍（目标 ≤ 1.5；最快的一次 {least:.2?}，{:.2} 倍），原版 evcxr 的 {:.2} 倍（目标 ≤ 0.15）",
        ratio(with, python),
        ratio(least, least_python),
        ratio(with, stock),
    );
    println!(
        "  {without:>8.2?}  本课程的内核，没有备用的：原版 evcxr 的 {:.2} 倍（目标 ≤ 0.6）",
        ratio(without, stock)
    );
    println!("  {stock:>8.2?}  原版 evcxr，构建文件夹已预热");
    println!("  {python:>8.2?}  ipykernel");
    Ok(())
}

/// Our kernel, for the notebook.
fn ours(setting: &Setting) -> Result<Command> {
    let mut command = setting.ours();
    command.env(variable::NOTEBOOK, notebook(setting)?);
    Ok(command)
}

/// The notebook whose first cell the spare has run.
fn notebook(setting: &Setting) -> Result<PathBuf> {
    Ok(setting.project.course()?.swap_remove(0))
}

fn ipykernel(setting: &Setting) -> Command {
    let mut command = Command::new(setting.environment.python());
    command.args(["-m", "ipykernel_launcher", "-f"]);
    command
}

async fn first_await(setting: &Setting, command: Command, cells: &[&str]) -> Result<Duration> {
    let since = Instant::now();
    let mut kernel = setting.start(command).await?;
    let mut took = since.elapsed();
    for cell in cells {
        took += run(&mut kernel, cell, true).await?;
    }
    kernel.shutdown().await?;
    Ok(took)
}

/// A spare kernel, as `lab open` keeps one.
pub struct Spare {
    folder: tempfile::TempDir,
    process: Child,
    _words: Lines<BufReader<ChildStdout>>,
}

impl Spare {
    /// One that has run everything ahead.
    pub async fn warm(setting: &Setting) -> Result<Spare> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("0");
        let mut command = setting.ours();
        command
            .arg("--spare")
            .arg(&socket)
            .arg(notebook(setting)?)
            .current_dir(setting.project.notebooks())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        in_its_own_session(&mut command);
        end_with_us(&mut command);
        let mut process = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()?;
        let words = process.stdout.take().context("stdout is piped")?;
        let mut words = BufReader::new(words).lines();
        words.next_line().await?.context("备用的内核没有准备好")?;
        Ok(Spare {
            folder,
            process,
            _words: words,
        })
    }

    /// The command of a kernel that takes it.
    fn taken(&self, setting: &Setting) -> Result<Command> {
        let mut command = ours(setting)?;
        command.env(variable::SPARES, self.folder.path());
        Ok(command)
    }

    /// Its process.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }
}
