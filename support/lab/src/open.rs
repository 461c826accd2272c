//! `lab open`: JupyterLab on the notebooks, set up first if need be.

use std::io::IsTerminal;
use std::net::{IpAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::value_parser;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::process::get_when_we_end;
use crate::project::Project;
use crate::setup::setup_or_warn;
use crate::spare::Keeper;

/// Where a reader begins.
const FIRST: &str = "00-guide.ipynb";

/// How to open JupyterLab.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 端口；不给就从 8888 起找一个空闲的
    #[arg(long, value_name = "端口")]
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
    #[arg(long, value_name = "个", default_value_t = 1, value_parser = value_parser!(u8).range(0..=8))]
    spares: u8,
}

/// JupyterLab, ready to be opened.
pub struct Jupyter {
    command: std::process::Command,
    project: Project,
    spares: u8,
    folder: PathBuf,
}

/// Sets up.
///
/// # Errors
/// When set-up fails, the port is in use, or the address is not loopback and that was not
/// allowed.
pub async fn prepare(project: &Project, options: &Options) -> Result<Jupyter> {
    check(options)?;
    let environment = setup_or_warn(project, "笔记本照样打开").await?;
    let mut jupyter = std::process::Command::new(environment.python());
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
    // SAFETY: always succeeds.
    if unsafe { libc::geteuid() } == 0 {
        jupyter.arg("--allow-root");
    }
    // Then it ends its kernels.
    get_when_we_end(&mut jupyter, libc::SIGTERM);
    Ok(Jupyter {
        command: jupyter,
        project: project.clone(),
        spares: options.spares,
        folder: environment.folder().to_owned(),
    })
}

impl Jupyter {
    /// Opens it, and keeps spare kernels until it ends. Returns its exit status.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn open(self) -> Result<ExitCode> {
        println!("打开 JupyterLab……（按两次 Ctrl-C 退出）");
        let keeper = Keeper::new(&self.project)?;
        let (name, folder) = keeper.environment();
        let mut command = Command::from(self.command);
        let mut jupyter = command.env(name, folder).spawn().with_context(|| {
            format!(
                "运行不了 JupyterLab：请删除 {} 后重试",
                self.folder.display()
            )
        })?;
        let id = jupyter.id();
        let pass_on = |signal| {
            if let Some(id) = id {
                // SAFETY: no memory is involved; it has not been waited for.
                unsafe { libc::kill(id as i32, signal) };
            }
        };
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let mut hang_ups = signal(SignalKind::hangup())?;
        let status = {
            let mut keeping = std::pin::pin!(keeper.keep(self.spares.into()));
            loop {
                tokio::select! {
                    status = jupyter.wait() => break status?,
                    () = &mut keeping => {}
                    // A terminal sends Ctrl-C to Jupyter, too, which asks whether it is meant.
                    _ = interrupts.recv() => if !std::io::stdin().is_terminal() {
                        pass_on(libc::SIGINT);
                    },
                    _ = terminations.recv() => pass_on(libc::SIGTERM),
                    _ = hang_ups.recv() => pass_on(libc::SIGHUP),
                }
            }
        };
        keeper.end().await;
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        Ok(ExitCode::from(code.unwrap_or(1) as u8))
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
