//! `lab open`: JupyterLab on the notebooks, set up first if need be.

use std::fs::Permissions;
use std::io::IsTerminal;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base::process::{get_when_we_end, in_its_own_session};
use base::processes;
use cli::whole;
use link::{pack, variable};
use rustix::process::Signal;
use signal_hook::consts::SIGINT;

use crate::project::Project;
use crate::setup::{Notebooks, Ready, setup_or_warn};
use crate::{kernelspec, sets, signals, take_over};

/// How long the spare kernels may take to end.
const END: Duration = Duration::from_secs(7);

/// Where a reader begins.
const FIRST: &str = "00-guide.ipynb";

/// How to open JupyterLab.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 端口；不给就从 8888 起找一个空闲的
    #[arg(long, value_name = "端口", value_parser = whole(0..=u16::MAX))]
    port: Option<u16>,
    /// 不打开浏览器，只打印网址
    #[arg(long)]
    no_browser: bool,
    /// 监听的地址；本机以外的地址还需要 --allow-remote
    #[arg(long, value_name = "地址", default_value = "127.0.0.1")]
    ip: IpAddr,
    /// 允许别的机器连接：知道网址和口令的人都能在这台机器上执行代码
    #[arg(long)]
    allow_remote: bool,
    /// 备用几个已经准备好的内核，0 到 8：打开笔记本不用等，每个占内存 0.5 GB 左右
    #[arg(long, value_name = "个", default_value_t = 1, value_parser = whole(0..=8_u8))]
    spares: u8,
}

/// Sets up, opens JupyterLab, and keeps spare kernels until it ends. Returns its exit status.
///
/// # Errors
/// When set-up fails, the port is in use, or the address is not loopback and that was not
/// allowed.
pub fn open(project: &Project, options: &Options) -> Result<ExitCode> {
    check(options)?;
    if let Some(pack) = pack::here() {
        take_over(&pack);
    }
    let ready = setup_or_warn(project, Notebooks::First, "笔记本照样打开")?;
    println!("打开 JupyterLab……（按两次 Ctrl-C 退出）");
    // Closed to others.
    // Whoever can write to a socket in there can take a kernel.
    let closed = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new()
        .prefix("lab")
        .permissions(closed)
        .tempdir();
    let folder = folder.context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    let mut command = jupyter(project, options, &ready);
    command.env(variable::SPARES, folder.path());
    let mut jupyter = command.spawn().with_context(|| {
        format!(
            "运行不了 JupyterLab：请删除 {} 后重试",
            ready.environment.folder().display()
        )
    })?;
    let process = jupyter.id();
    signals::handle(Box::new(move |signal| {
        // A terminal sends Ctrl-C to Jupyter, too, which asks whether it is meant.
        if (signal != SIGINT || !std::io::stdin().is_terminal())
            && let Some(signal) = Signal::from_named_raw(signal)
        {
            processes::signal(process, signal);
        }
    }));
    let keeper = keep_spares(project, options, &ready, folder.path());
    let keeper = keeper.inspect_err(|error| {
        eprintln!("没有备用的内核：{error:#}。笔记本照样能用，只是打开时要多等几秒。");
    });
    let behind = behind(&ready);
    let status = jupyter.wait()?;
    for child in [keeper.ok().flatten(), behind].into_iter().flatten() {
        end(child);
    }
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.unwrap_or(1) as u8))
}

/// What readers have written in an older pack is here, too.
fn take_over(pack: &Path) {
    match take_over::take_over(pack) {
        Ok(taken) if taken.is_empty() => {}
        Ok(taken) => println!("✓ 从旧的包里拿来了你的：{}", taken.join("、")),
        Err(error) => eprintln!("警告：{error:#}。它们还在原处，下次打开时再试。"),
    }
}

fn jupyter(project: &Project, options: &Options, ready: &Ready) -> Command {
    let mut jupyter = Command::new(ready.environment.python());
    jupyter
        .args(["-m", "jupyterlab"])
        .arg(format!(
            "--ServerApp.root_dir={}",
            project.notebooks().display()
        ))
        .arg(format!("--ServerApp.ip={}", options.ip))
        .current_dir(project.notebooks());
    // Also in the address that it prints. Without the notebook it would open with an error.
    if project.notebooks().join(FIRST).is_file() {
        jupyter.arg(format!("--LabApp.default_url=/lab/tree/{FIRST}"));
    }
    if let Some(port) = options.port {
        jupyter
            .arg(format!("--ServerApp.port={port}"))
            .arg("--ServerApp.port_retries=0");
    }
    if options.no_browser {
        jupyter.arg("--no-browser");
    }
    // As root, in a container for example, Jupyter asks for this; we listen on loopback only.
    if rustix::process::geteuid().is_root() {
        jupyter.arg("--allow-root");
    }
    // Then it ends its kernels.
    get_when_we_end(&mut jupyter, Signal::TERM);
    jupyter
}

/// Lets the kernel's program keep spares for the notebooks that begin as the course does.
fn keep_spares(
    project: &Project,
    options: &Options,
    ready: &Ready,
    folder: &Path,
) -> Result<Option<Child>> {
    if options.spares == 0 {
        return Ok(None);
    }
    let notebook: PathBuf = project.course()?.swap_remove(0);
    let program = kernelspec::program(&ready.environment);
    let mut keeper = Command::new(&program);
    keeper
        .arg("--keep")
        .arg(options.spares.to_string())
        .arg(folder)
        .arg(notebook)
        .envs(kernelspec::variables(project))
        .current_dir(project.notebooks())
        .stdin(Stdio::null());
    // What a terminal sends is not for it; it ends its kernels when it is told to end.
    in_its_own_session(&mut keeper);
    get_when_we_end(&mut keeper, Signal::TERM);
    let started = keeper
        .spawn()
        .with_context(|| format!("运行不了 {}", program.display()))?;
    Ok(Some(started))
}

/// Compiles the other sets while JupyterLab is open already.
fn behind(ready: &Ready) -> Option<Child> {
    if ready.later.is_empty() {
        return None;
    }
    let names: Vec<String> = ready.later.iter().map(sets::Set::name).collect();
    println!(
        "{} 等笔记本的依赖在后台编译；先打开它们也可以，第一格会说它在等什么。",
        names.join("、")
    );
    let behind = sets::warm_behind(&ready.programs, &ready.environment, &ready.later);
    behind
        .inspect_err(|error| eprintln!("警告：{error:#}"))
        .ok()
}

/// Tells a program to end, and ends it, with all that it has started, if it does not.
fn end(mut child: Child) {
    processes::signal(child.id(), Signal::TERM);
    let deadline = Instant::now() + END;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            processes::signal_group(child.id(), Signal::KILL);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// What can be refused before anything is installed.
fn check(options: &Options) -> Result<()> {
    refuse_remote(options.ip, options.allow_remote)?;
    if let Some(port) = options.port
        && let Err(error) = TcpListener::bind((options.ip, port))
    {
        bail!("不能监听端口 {port}（{error}）：用 --port 换一个，或者不给 --port，让它自己找");
    }
    Ok(())
}

/// Refuses an address that other machines reach, unless that is allowed.
///
/// # Errors
/// In that case.
pub fn refuse_remote(ip: IpAddr, allowed: bool) -> Result<()> {
    if !ip.is_loopback() && !allowed {
        bail!("{ip} 不是本机地址：别的机器将能连进来。确实需要的话，再加上 --allow-remote");
    }
    Ok(())
}
