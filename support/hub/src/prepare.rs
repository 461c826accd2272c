//! What the program does, step by step.

use std::net::{IpAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use base::toolchain::Toolchain;
use cli::whole;
use lab::open::refuse_remote;
use lab::programs;
use lab::project::Project;
use rustix::fs::Mode;

use crate::class::Class;
use crate::share::find;

/// What is said when a signal ends the program.
pub const INTERRUPTED: &str = "已中断。做完的步骤不会丢失，再运行一次就接着做";

/// How to run a class.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 名单：每行一个名字（小写字母、数字、- 和 _）；不给就用上一次的
    #[arg(long, value_name = "文件")]
    pub students: Option<PathBuf>,
    /// 老师的名字：可以在网页上管理学生、改密码
    #[arg(long, value_name = "名字", default_value = "teacher")]
    pub teacher: String,
    /// 给这个人一个新密码，可以写几次
    #[arg(long, value_name = "名字")]
    pub reset: Vec<String>,
    /// 每个学生最多用多少 GiB 内存，1 到 1024
    #[arg(long, value_name = "GiB", default_value_t = 3, value_parser = whole(1..=1024_u64))]
    pub memory: u64,
    /// 内存够时给每个学生备用几个准备好的内核，0 到 2：打开笔记本、重启内核不用等，每个占内存 0.5 GB 左右
    #[arg(long, value_name = "个", default_value_t = 1, value_parser = whole(0..=2_u8))]
    pub spares: u8,
    /// 学生登录以后才打开他的服务器；不写，就在内存够时提前打开
    #[arg(long)]
    pub on_demand: bool,
    /// 空闲多少秒的内核会被关掉，10 到 1000000；服务器再过一倍的时间
    #[arg(long, value_name = "秒", default_value_t = 1800, value_parser = whole(10..=1_000_000_u64))]
    pub cull: u64,
    /// 端口
    #[arg(long, value_name = "端口", default_value_t = 8000, value_parser = whole(0..=u16::MAX))]
    pub port: u16,
    /// 监听的地址；本机以外的地址还需要 --allow-remote
    #[arg(long, value_name = "地址", default_value = "127.0.0.1")]
    pub ip: IpAddr,
    /// 允许别的机器连接：名单上的人都能在这台机器上执行代码
    #[arg(long)]
    pub allow_remote: bool,
    /// TLS 证书文件（PEM）；不给就是没有加密的 HTTP
    #[arg(long, value_name = "文件", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// 证书的私钥文件
    #[arg(long, value_name = "文件", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// 这个班的一切都放在哪里
    #[arg(long, value_name = "文件夹", default_value = "/srv/rust-async")]
    pub data: PathBuf,
    /// 学生共用的部分取自另一个班的文件夹，什么都不再准备
    #[arg(long, value_name = "文件夹")]
    pub prepared: Option<PathBuf>,
    /// 系统用户的名字怎样开头
    #[arg(long, value_name = "前缀", default_value = "stu-", hide = true)]
    pub prefix: String,
    /// 只为这篇笔记本编译依赖，可以写几次，例如 00；不写就为全部。其余的，每个学生第一次打开时自己等
    #[arg(long = "notebook", value_name = "笔记本")]
    pub notebooks: Vec<String>,
    /// 只准备学生共用的部分，不启动；制作容器镜像时用
    #[arg(long)]
    pub prepare_only: bool,
}

/// Prepares a class, then becomes JupyterHub.
///
/// # Errors
/// Without root or a program that is needed, with names that cannot be used, when the port is in
/// use or the address is not loopback and that was not allowed, or when set-up fails.
pub fn open(project: &Project, options: &Options) -> Result<()> {
    check(options)?;
    // What is shared must be readable, whatever root's own habits are.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let toolchain = Toolchain::find_or_complete()?;
    let class = Class::new(&options.data, options.prepared.as_deref())?;
    let students = match options.prepare_only {
        true => Vec::new(),
        false => class.students(options)?,
    };
    let toolchain = match options.prepared {
        Some(_) => class.share_toolchain(toolchain)?,
        None => prepare(project, &class, toolchain, options)?,
    };
    if options.prepare_only {
        return Ok(());
    }
    class.hand_out_passwords(&students, options)?;
    let error = class.jupyterhub(&students, &toolchain, options)?.exec();
    bail!(
        "运行不了 JupyterHub（{error}）：请删除 {} 后重试",
        class.python().folder().display()
    )
}

/// Prepares what all students share. Returns the toolchain that they can read.
fn prepare(
    project: &Project,
    class: &Class,
    toolchain: Toolchain,
    options: &Options,
) -> Result<Toolchain> {
    class.share_project(project)?;
    // What is quick and fails without network comes before what takes minutes.
    if !options.prepare_only {
        class.install_proxy()?;
    }
    class.install_python()?;
    let programs = programs::bring_up_to_date(project, &toolchain, &["lab", "kernel", "runner"])?;
    let toolchain = class.share_toolchain(toolchain)?;
    class.share_crates()?;
    class.share_notebooks()?;
    class.set_up(&toolchain, programs.folder(), &options.notebooks)?;
    Ok(toolchain)
}

/// What can be refused before anything is made.
fn check(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!(
            "每个学生是一个系统用户，建用户、切换用户需要 root：请先 `cargo build --bin hub`，再运行 `sudo -E env \"PATH=$PATH\" \"HOME=$HOME\" target/debug/hub`"
        );
    }
    let needed = [
        ("git", "git"),
        ("tar", "tar"),
        ("useradd", "passwd"),
        ("node", "nodejs"),
        ("npm", "npm"),
    ];
    let needed = match options.prepare_only {
        true => &needed[..2],
        false => &needed[..],
    };
    for (program, package) in needed {
        if find(program).is_none() {
            bail!("找不到 {program}：请安装（Debian：apt install {package}）");
        }
    }
    refuse_remote(options.ip, options.allow_remote)?;
    if !options.ip.is_loopback() && options.certificate.is_none() {
        eprintln!(
            "警告：没有 --certificate，密码和笔记本将不加密地经过网络。请给出证书，或者只监听本机，前面放一个做 TLS 的反向代理"
        );
    }
    if !options.prepare_only
        && let Err(error) = TcpListener::bind((options.ip, options.port))
    {
        bail!("不能监听端口 {}（{error}）：用 --port 换一个", options.port);
    }
    let data = options.data.to_string_lossy();
    ensure!(
        options.data.is_absolute() && !data.contains([' ', ':']),
        "--data {data} 不能用：请换成没有空格和冒号的绝对路径"
    );
    Ok(())
}
