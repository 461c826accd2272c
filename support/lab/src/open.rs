//! `lab open`: JupyterLab on the notebooks, set up first if need be.

use std::net::{IpAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Result, bail};

use crate::project::Project;
use crate::setup::setup_or_warn;

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
}

/// Sets up, then becomes JupyterLab.
///
/// # Errors
/// When set-up fails, the port is in use, or the address is not loopback and that was not
/// allowed.
pub async fn open(project: &Project, options: &Options) -> Result<()> {
    check(options)?;
    let environment = setup_or_warn(project, "笔记本照样打开").await?;
    println!("打开 JupyterLab……（按两次 Ctrl-C 退出）");
    let mut jupyter = Command::new(environment.python());
    jupyter
        .args(["-m", "jupyterlab"])
        .arg(format!(
            "--ServerApp.root_dir={}",
            project.notebooks().display()
        ))
        .arg(format!("--ServerApp.ip={}", options.ip))
        .current_dir(project.notebooks());
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
    let error = jupyter.exec();
    bail!(
        "运行不了 JupyterLab（{error}）：请删除 {} 后重试",
        environment.folder().display()
    )
}

/// What can be refused before anything is installed.
fn check(options: &Options) -> Result<()> {
    if !options.ip.is_loopback() && !options.allow_remote {
        bail!(
            "{} 不是本机地址：别的机器将能连进来。确实需要的话，再加上 --allow-remote",
            options.ip
        );
    }
    if let Some(port) = options.port
        && let Err(error) = TcpListener::bind((options.ip, port))
    {
        bail!("不能监听端口 {port}（{error}）：用 --port 换一个，或者不给 --port，让它自己找");
    }
    Ok(())
}
