//! `lab hub`: a class on one machine. Prepares what all students share, then becomes JupyterHub.
//!
//! Everything lies in one folder:
//!
//! | folder | what | who may read it |
//! |---|---|---|
//! | `shared/` | the course as committed, toolchain, sources of crates, warmed build folders, Python environment, proxy, the notebooks as a repository to pull from | everybody; only root writes |
//! | `homes/NAME` | a student's home | that student |
//! | `hub/` | JupyterHub's database and keys, the passwords to hand out | root |
//!
//! What is shared is set up by `lab setup` itself, which is only told that the project, its caches
//! and the toolchain lie in `shared/`. What students get there `support/hub/jupyterhub_config.py`
//! says.
//!
//! Anything that compiles or installs may write down what it finds in its environment. So this
//! process has a clean one ([`environment::become_clean`]), and all that it starts: how the network
//! is reached, and no secrets of whoever prepares the class but the passwords of proxies and
//! mirrors. Students get the same without these.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use serde_json::json;
use walkdir::WalkDir;

use crate::environment;
use crate::files;
use crate::open::refuse_remote;
use crate::process::{end_with_us, last_lines};
use crate::project::{CACHE_ENV, PROJECT_ENV, Project, WARM_ENV};
use crate::python::{Environment, HUB_PACKAGES, PACKAGES};
use crate::toolchain::Toolchain;

/// The longest name of a student: a system user's has at most 32 bytes.
const LONGEST_NAME: usize = 24;
const GIB: u64 = 1 << 30;

/// How to run a class.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 名单：每行一个名字（小写字母、数字、- 和 _）；不给就用上一次的
    #[arg(long, value_name = "文件")]
    students: Option<PathBuf>,
    /// 老师的名字：可以在网页上管理学生、改密码
    #[arg(long, value_name = "名字", default_value = "teacher")]
    teacher: String,
    /// 给这个人一个新密码，可以写几次
    #[arg(long, value_name = "名字")]
    reset: Vec<String>,
    /// 每个学生最多用多少 GiB 内存，1 到 1024
    #[arg(long, value_name = "GiB", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1024))]
    memory: u64,
    /// 空闲多少秒的内核会被关掉，20 到 1000000；服务器再过一倍的时间
    #[arg(long, value_name = "秒", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(20..=1_000_000))]
    cull: u64,
    /// 端口
    #[arg(long, value_name = "端口", default_value_t = 8000)]
    port: u16,
    /// 监听的地址；本机以外的地址还需要 --allow-remote
    #[arg(long, value_name = "地址", default_value = "127.0.0.1")]
    ip: IpAddr,
    /// 允许别的机器连接：名单上的人都能在这台机器上执行代码
    #[arg(long)]
    allow_remote: bool,
    /// TLS 证书文件（PEM）；不给就是没有加密的 HTTP
    #[arg(long, value_name = "文件", requires = "key")]
    certificate: Option<PathBuf>,
    /// 证书的私钥文件
    #[arg(long, value_name = "文件", requires = "certificate")]
    key: Option<PathBuf>,
    /// 这个班的一切都放在哪里
    #[arg(long, value_name = "文件夹", default_value = "/srv/rust-async")]
    data: PathBuf,
    /// 系统用户的名字怎样开头
    #[arg(long, value_name = "前缀", default_value = "stu-", hide = true)]
    prefix: String,
    /// 只准备学生共用的部分，不启动；制作容器镜像时用
    #[arg(long)]
    prepare_only: bool,
}

/// Prepares a class, then becomes JupyterHub.
///
/// # Errors
/// Without root or a program that is needed, with names that cannot be used, when the port is in
/// use or the address is not loopback and that was not allowed, or when set-up fails.
pub async fn hub(project: &Project, options: &Options) -> Result<()> {
    check(options)?;
    // SAFETY: always succeeds. What is shared must be readable, whatever root's own habits are.
    unsafe { libc::umask(0o022) };
    let toolchain = Toolchain::find_or_complete().await?;
    let class = Class::new(&options.data)?;
    let students = match options.prepare_only {
        true => Vec::new(),
        false => class.students(options)?,
    };
    class.share_project(project)?;
    // What is quick and fails without network comes before what takes minutes.
    if !options.prepare_only {
        class.install_proxy()?;
    }
    class.install_python().await?;
    let toolchain = class.share_toolchain(toolchain)?;
    class.share_crates()?;
    class.share_notebooks()?;
    class.set_up(&toolchain).await?;
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

/// What can be refused before anything is made.
fn check(options: &Options) -> Result<()> {
    // SAFETY: always succeeds.
    if unsafe { libc::geteuid() } != 0 {
        bail!(
            "每个学生是一个系统用户，建用户、切换用户需要 root：请先 `cargo build`，再运行 `sudo -E env \"PATH=$PATH\" \"HOME=$HOME\" target/debug/lab hub`"
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
    if let Err(error) = TcpListener::bind((options.ip, options.port)) {
        bail!("不能监听端口 {}（{error}）：用 --port 换一个", options.port);
    }
    let data = options.data.to_string_lossy();
    ensure!(
        options.data.is_absolute() && !data.contains([' ', ':']),
        "--data {data} 不能用：请换成没有空格和冒号的绝对路径"
    );
    Ok(())
}

/// Where a program on the path is.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// The folder of a class.
struct Class {
    data: PathBuf,
}

impl Class {
    fn new(data: &Path) -> Result<Class> {
        for (folder, mode) in [
            ("", 0o755),
            ("shared", 0o755),
            ("homes", 0o711),
            ("hub", 0o700),
        ] {
            let folder = data.join(folder);
            let made = DirBuilder::new().recursive(true).mode(mode).create(&folder);
            made.and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(mode)))
                .with_context(|| {
                    format!(
                        "建不了 {}：请检查磁盘空间，或用 --data 另指一处",
                        folder.display()
                    )
                })?;
        }
        let data = data.canonicalize()?;
        if let Some(closed) = closed(&data) {
            bail!(
                "学生进不了 {}：请用 --data 另指一处，例如 /srv 下面",
                closed.display()
            );
        }
        Ok(Class { data })
    }

    fn shared(&self, name: &str) -> PathBuf {
        self.data.join("shared").join(name)
    }

    fn hub(&self, name: &str) -> PathBuf {
        self.data.join("hub").join(name)
    }

    /// The names on the list; it is kept for the next time.
    fn students(&self, options: &Options) -> Result<Vec<String>> {
        let kept = self.hub("students");
        let file = options.students.as_ref().unwrap_or(&kept);
        let text = fs::read_to_string(file).with_context(|| match &options.students {
            Some(file) => format!("读不了名单 {}", file.display()),
            None => "还没有名单：请用 --students 给一个文件，每行一个名字".to_owned(),
        })?;
        let names = names(&text, &options.teacher)
            .with_context(|| format!("名单 {} 有误", file.display()))?;
        for name in &options.reset {
            ensure!(
                names.contains(name) || *name == options.teacher,
                "--reset {name}：名单上没有这个名字"
            );
        }
        files::replace(&kept, |file| file.write_all(text.as_bytes()))?;
        Ok(names)
    }

    /// The course as it is committed. What is being changed in the clone does not reach a class.
    fn share_project(&self, project: &Project) -> Result<()> {
        let git = || {
            let mut git = Command::new("git");
            git.args(["-c", "safe.directory=*", "-C"])
                .arg(project.root());
            git
        };
        let commit = output(git().args(["rev-parse", "HEAD"]))
            .context("课程取自克隆里最新的提交：请用 git clone 得到的文件夹")?;
        let changed = output(git().args(["status", "--porcelain", "notebooks", "support"]))?;
        if !changed.is_empty() {
            println!("  没有提交的改动不会发给学生：\n{changed}");
        }
        let (mark, place) = (self.shared("commit"), self.shared("project"));
        if fs::read_to_string(&mark).is_ok_and(|found| found == commit) && place.is_dir() {
            return Ok(());
        }
        let _ = fs::remove_file(&mark);
        make_whole(&place, |new| {
            let mut archive = git()
                .args(["archive", "HEAD"])
                .stdout(Stdio::piped())
                .spawn()?;
            let files = archive.stdout.take().context("stdout is piped")?;
            // With today's times: cargo compiles again what is newer than what it has compiled.
            let unpacked = output(
                Command::new("tar")
                    .args(["-x", "--touch", "--no-same-owner", "-C"])
                    .arg(new)
                    .stdin(files),
            );
            unpacked.context("复制课程失败：请检查磁盘空间")?;
            ensure!(archive.wait()?.success(), "git archive 失败");
            Ok(keep_times(&place, new)?)
        })?;
        files::replace(&mark, |file| file.write_all(commit.as_bytes()))
    }

    /// A toolchain that students can read: root's, if they can, or else a copy of it, which takes
    /// no space on the same disk.
    fn share_toolchain(&self, mut toolchain: Toolchain) -> Result<Toolchain> {
        if closed(&toolchain.sysroot).is_some() {
            let (mark, place) = (self.shared("toolchain.version"), self.shared("toolchain"));
            if !fs::read_to_string(&mark).is_ok_and(|found| found == toolchain.version) {
                let _ = fs::remove_file(&mark);
                make_whole(&place, |new| {
                    for part in ["bin", "lib", "libexec"] {
                        link_tree(&toolchain.sysroot.join(part), &new.join(part), true)
                            .context("复制 Rust 工具链失败：请检查磁盘空间")?;
                    }
                    Ok(())
                })?;
                files::replace(&mark, |file| file.write_all(toolchain.version.as_bytes()))?;
            }
            if let Ok(below) = toolchain.sources.strip_prefix(&toolchain.sysroot) {
                toolchain.sources = place.join(below);
            }
            toolchain.sysroot = place;
        }
        if let Some(closed) = closed(&toolchain.sources) {
            bail!(
                "学生读不了标准库的源码（{}）：请把 RUST_SRC_PATH 设为人人可读的一份",
                closed.display()
            );
        }
        println!("✓ Rust 工具链：{}", toolchain.sysroot.display());
        Ok(toolchain)
    }

    /// What cargo has downloaded already, so that it need not do so twice, and where it downloads
    /// from.
    fn share_crates(&self) -> Result<()> {
        let place = self.shared("cargo");
        if place.is_dir() {
            return Ok(());
        }
        let home = std::env::home_dir().map(|home| home.join(".cargo"));
        let Some(own) = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home) else {
            return Ok(());
        };
        make_whole(&place, |new| {
            for (part, hard) in [("registry/cache", true), ("registry/index", false)] {
                link_tree(&own.join(part), &new.join(part), hard)
                    .context("复制 crate 失败：请检查磁盘空间")?;
            }
            let configuration = own.join("config.toml");
            if let Ok(text) = fs::read_to_string(&configuration) {
                let text = without_secrets(&text)
                    .with_context(|| format!("看不懂 {}", configuration.display()))?;
                fs::write(new.join("config.toml"), text)?;
            }
            Ok(())
        })
    }

    /// The repository that students' copies of the notebooks are pulled from.
    fn share_notebooks(&self) -> Result<()> {
        let place = self.shared("notebooks.git");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            // Not with what the teacher's own commits need: a signature, hooks.
            git.env("GIT_CONFIG_GLOBAL", "/dev/null")
                .args(["-c", "user.name=lab", "-c", "user.email=lab@localhost"])
                .arg("--git-dir")
                .arg(&place)
                .args(arguments);
            output(git.current_dir(self.shared("project/notebooks")))
        };
        if !place.join("HEAD").is_file() {
            git(&["init", "--quiet", "--bare", "--initial-branch=main"])?;
        }
        let git = |arguments: &[&str]| git(&[&["--work-tree", "."][..], arguments].concat());
        git(&["add", "--all"])?;
        if !git(&["status", "--porcelain"])?.is_empty() {
            git(&["commit", "--quiet", "--message", "课程的更新"])?;
        }
        // Git reads a repository of another user only where that is said, and not by its owner.
        let safe = format!(
            "[include]\n\tpath = /etc/gitconfig\n[safe]\n\tdirectory = {}\n",
            place.display()
        );
        files::replace(&self.shared("gitconfig"), |file| {
            file.write_all(safe.as_bytes())
        })?;
        println!("✓ 笔记本：{}", place.display());
        Ok(())
    }

    /// The environment of hub and students.
    fn python(&self) -> Environment {
        let candidates = [find("python3"), Some(PathBuf::from("/usr/bin/python3"))];
        let open = candidates.into_iter().flatten().find(|python| {
            let real = output(Command::new(python).args([
                "-c",
                "import sys; print(sys.executable, sys.base_prefix, sep='\\n')",
            ]));
            real.is_ok_and(|real| real.lines().all(|path| closed(Path::new(path)).is_none()))
        });
        let maker = open.unwrap_or_else(|| PathBuf::from("python3"));
        Environment::at(self.shared("python"), maker)
    }

    /// JupyterHub, and JupyterLab for the students.
    async fn install_python(&self) -> Result<()> {
        let environment = self.python();
        let packages = [&PACKAGES[..], &HUB_PACKAGES[..]].concat();
        environment
            .install(&packages, &ProgressBar::hidden())
            .await?;
        let python = environment.python().canonicalize()?;
        if let Some(closed) = closed(&python) {
            bail!(
                "学生进不了 {}，也就用不了 {}：请安装系统的 Python（Debian：apt install python3-venv），删除 {} 后重试",
                closed.display(),
                python.display(),
                environment.folder().display()
            );
        }
        println!("✓ JupyterHub：{}", environment.folder().display());
        Ok(())
    }

    /// All that `lab setup` sets up.
    async fn set_up(&self, toolchain: &Toolchain) -> Result<()> {
        let mut path = vec![toolchain.sysroot.join("bin")];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut setup = tokio::process::Command::new(std::env::current_exe()?);
        setup
            .arg("setup")
            .env(PROJECT_ENV, self.shared("project"))
            .env(CACHE_ENV, self.hub("cache"))
            .env(WARM_ENV, self.shared("warm"))
            .env("CARGO_HOME", self.shared("cargo"))
            .env("RUST_SRC_PATH", &toolchain.sources)
            .env("VIRTUAL_ENV", self.python().folder())
            .env("PATH", std::env::join_paths(path)?)
            .current_dir(self.shared("project"))
            .kill_on_drop(true);
        let status = setup.status().await?;
        ensure!(status.success(), "准备学生共用的部分失败，原因见上");
        Ok(())
    }

    /// JupyterHub's proxy.
    fn install_proxy(&self) -> Result<()> {
        let (place, source) = (
            self.shared("proxy"),
            self.shared("project/support/hub/proxy"),
        );
        let lock = fs::read(source.join("package-lock.json"))?;
        if fs::read(place.join("installed.json")).is_ok_and(|found| found == lock) {
            return Ok(());
        }
        make_whole(&place, |new| {
            for name in ["package.json", "package-lock.json"] {
                fs::copy(source.join(name), new.join(name))?;
            }
            let mut npm = Command::new("npm");
            npm.args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--no-update-notifier",
                "--prefix",
            ])
            .arg(new);
            output(&mut npm).context("安装 configurable-http-proxy 失败（请检查网络和磁盘空间，然后重试；网络经过有自己证书的代理时，用环境变量 NODE_EXTRA_CA_CERTS 说出证书文件）")?;
            // Its notes for its next run name the addresses it has downloaded from.
            let notes = new.join("node_modules/.package-lock.json");
            match fs::remove_file(notes) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error)?,
                _ => {}
            }
            Ok(fs::write(new.join("installed.json"), &lock)?)
        })?;
        println!("✓ 代理：{}", place.display());
        Ok(())
    }

    /// The passwords that have been handed out, by name.
    fn passwords(&self) -> BTreeMap<String, String> {
        let list = fs::read_to_string(self.hub("passwords")).unwrap_or_default();
        let pairs = list.lines().filter_map(|line| line.split_once(' '));
        pairs
            .map(|(name, password)| (name.to_owned(), password.to_owned()))
            .collect()
    }

    /// Makes a password for each who has none, and for whom `--reset` names.
    fn hand_out_passwords(&self, students: &[String], options: &Options) -> Result<()> {
        let (list, new) = (self.hub("passwords"), self.hub("new-passwords"));
        let mut known = self.passwords();
        let mut fresh = fs::read_to_string(&new).unwrap_or_default();
        for name in students.iter().chain([&options.teacher]) {
            if !known.contains_key(name) || options.reset.contains(name) {
                let password = password();
                fresh += &format!("{name} {password}\n");
                known.insert(name.clone(), password);
            }
        }
        let all: String = known
            .iter()
            .map(|(name, password)| format!("{name} {password}\n"))
            .collect();
        for (path, text) in [(&new, &fresh), (&list, &all)] {
            files::replace(path, |file| {
                file.set_permissions(Permissions::from_mode(0o600))?;
                file.write_all(text.as_bytes())
            })?;
        }
        println!("✓ 密码：{}（老师是 {}）", list.display(), options.teacher);
        Ok(())
    }

    /// Who was on a list once, and is no more.
    fn former(&self, students: &[String], options: &Options) -> Vec<String> {
        let mut names: Vec<String> = self.passwords().into_keys().collect();
        names.retain(|name| *name != options.teacher && !students.contains(name));
        names
    }

    /// JupyterHub, told where everything is.
    fn jupyterhub(
        &self,
        students: &[String],
        toolchain: &Toolchain,
        options: &Options,
    ) -> Result<Command> {
        let free = || TcpListener::bind("127.0.0.1:0");
        // Servers that have survived the hub's end look for it where it was.
        let place = self.hub("port");
        let port = fs::read_to_string(&place)
            .ok()
            .and_then(|text| text.parse().ok());
        let same = port.map(|port: u16| TcpListener::bind(("127.0.0.1", port)));
        // Both held until both are known.
        let (hub, proxy) = (same.and_then(Result::ok).map_or_else(free, Ok)?, free()?);
        let port = hub.local_addr()?.port();
        files::replace(&place, |file| write!(file, "{port}"))?;
        let scheme = match options.certificate {
            Some(_) => "https",
            None => "http",
        };
        let address = SocketAddr::new(options.ip, options.port);
        let certificate = match (&options.certificate, &options.key) {
            (Some(certificate), Some(key)) => Some([
                certificate.canonicalize().context("读不了证书")?,
                key.canonicalize().context("读不了私钥")?,
            ]),
            _ => None,
        };
        let mut environment = network();
        let sources = toolchain.sources.to_string_lossy();
        environment.insert("RUST_SRC_PATH".to_owned(), sources.into_owned());
        let configuration = json!({
            "data": self.data,
            "students": students,
            "teacher": options.teacher,
            "former": self.former(students, options),
            "prefix": options.prefix,
            "memory": options.memory * GIB,
            "cull": options.cull,
            "bind": format!("{scheme}://{address}"),
            "hub_port": port,
            "proxy_port": proxy.local_addr()?.port(),
            "certificate": certificate,
            "toolchain": toolchain.sysroot,
            "environment": environment,
        });
        println!("打开 {scheme}://{address}（按 Ctrl-C 结束）");
        let mut command = Command::new(self.python().folder().join("bin/python"));
        command
            .args(["-m", "jupyterhub", "--config"])
            .arg(self.shared("project/support/hub/jupyterhub_config.py"))
            .env("LAB_HUB", configuration.to_string())
            .current_dir(self.data.join("hub"));
        Ok(command)
    }
}

/// The names on a list: the first word of each line that is not a comment.
fn names(text: &str, teacher: &str) -> Result<Vec<String>> {
    let mut seen = BTreeSet::from([teacher]);
    let lines = text.trim_start_matches('\u{feff}').lines();
    let words = lines.filter_map(|line| line.split([' ', '\t', ',', ';', '#']).next());
    let mut names = Vec::new();
    for name in [teacher]
        .into_iter()
        .chain(words.filter(|word| !word.is_empty()))
    {
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        ensure!(
            begins && name.chars().all(plain) && name.len() <= LONGEST_NAME,
            "名字 {name} 不能用：请只用小写字母、数字、- 和 _，最多 {LONGEST_NAME} 个，例如拼音或学号"
        );
        if !names.is_empty() || name != teacher {
            ensure!(
                seen.insert(name),
                "名字 {name} 写了两次，或者就是老师的名字"
            );
        }
        names.push(name.to_owned());
    }
    ensure!(names.len() > 1, "名单是空的：请每行写一个名字");
    names.remove(0);
    Ok(names)
}

/// How students' servers reach the network: as we do, without passwords, and without files that
/// students cannot read, which would be in the way of other ones.
fn network() -> BTreeMap<String, String> {
    let mut network = environment::network_without_passwords();
    network.retain(|name, value| {
        let paths = std::env::split_paths(value).filter(|_| value.starts_with('/'));
        let mut closed = paths.filter_map(|path| match path.is_dir() {
            true => closed(&path),
            false => closed_to(0o004, &path),
        });
        let closed = closed.next();
        if let Some(closed) = &closed {
            println!(
                "  学生读不了 {}，他们的服务器就没有 {name}：需要它来下载的话，请换成人人可读的一份",
                closed.display()
            );
        }
        closed.is_none()
    });
    network
}

/// What of a cargo configuration lets others download the same crates from the same places: tokens
/// and passwords are nobody else's.
fn without_secrets(configuration: &str) -> Result<String> {
    fn strip(value: &mut toml::Value) {
        const SECRET: [&str; 4] = [
            "token",
            "secret-key",
            "credential-provider",
            "global-credential-providers",
        ];
        match value {
            toml::Value::String(text) => *text = environment::without_passwords(text),
            toml::Value::Array(values) => values.iter_mut().for_each(strip),
            toml::Value::Table(table) => {
                table.retain(|name, _| !SECRET.contains(&name));
                table.iter_mut().for_each(|(_, value)| strip(value));
            }
            _ => {}
        }
    }
    let mut all: toml::Table = configuration.parse()?;
    all.retain(|name, _| ["source", "registries", "registry", "net", "http"].contains(&name));
    let mut all = toml::Value::Table(all);
    strip(&mut all);
    Ok(toml::to_string(&all)?)
}

/// Sixty random bits, without letters and digits that look alike.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random = uuid::Uuid::new_v4();
    let bytes = random.as_bytes();
    // Two bytes of it are not all random.
    [&bytes[..6], &bytes[9..15]]
        .concat()
        .iter()
        .map(|byte| LETTERS[usize::from(byte % 32)] as char)
        .collect()
}

/// The file or folder on the way to `path` that other users cannot pass, if there is one.
fn closed(path: &Path) -> Option<PathBuf> {
    closed_to(0o005, path)
}

/// The same, where at the end of the way others need these permissions.
fn closed_to(bits: u32, path: &Path) -> Option<PathBuf> {
    let passable = |path: &Path, bits| fs::metadata(path).is_ok_and(|m| m.mode() & bits == bits);
    if !passable(path, bits) {
        return Some(path.to_owned());
    }
    let mut above = path.ancestors().skip(1);
    above
        .find(|folder| !folder.as_os_str().is_empty() && !passable(folder, 0o001))
        .map(Path::to_owned)
}

/// Removes a folder with all that is in it, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("删除不了 {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Makes a folder anew, whole or not at all: `make` gets another, empty one that then takes its place.
fn make_whole(place: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let new = place.with_extension("new");
    // One that was left when we were killed.
    remove(&new)?;
    fs::create_dir(&new)?;
    if let Err(error) = make(&new) {
        let _ = remove(&new);
        return Err(error);
    }
    remove(place)?;
    Ok(fs::rename(&new, place)?)
}

/// Gives the files in `new` that are as they are in `old` the times that they have there: what is
/// compiled from them is then still good.
fn keep_times(old: &Path, new: &Path) -> io::Result<()> {
    for entry in WalkDir::new(new) {
        let entry = entry?;
        let before = old.join(entry.path().strip_prefix(new).expect("is below"));
        if entry.file_type().is_file() && fs::read(&before).ok() == Some(fs::read(entry.path())?) {
            let time = fs::metadata(&before)?.modified()?;
            File::options()
                .write(true)
                .open(entry.path())?
                .set_modified(time)?;
        }
    }
    Ok(())
}

/// Puts the files of a folder into a second place, as hard links if they are never rewritten and
/// that is possible. A folder that is not there has none. Git's own folders are left out: that of
/// cargo's index may name an address with a password.
fn link_tree(from: &Path, to: &Path, never_rewritten: bool) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    let all = WalkDir::new(from).into_iter();
    for entry in all.filter_entry(|entry| entry.file_name() != ".git") {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from).expect("is below"));
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else if entry.file_type().is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if !never_rewritten || fs::hard_link(entry.path(), &target).is_err() {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Runs a program to its end, and returns what it prints.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_os_string();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or(OsStr::new("?"))
        .display();
    // An npm that nobody waits for would be in the next one's way.
    end_with_us(command);
    let output = command
        .output()
        .with_context(|| format!("运行不了 {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} 失败：{}",
            last_lines(&[output.stdout, output.stderr].concat())
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_on_each_line_and_may_say_more_of_each() {
        let list = "\u{feff}# 三年级\nann 安\n20261234,李\n\nbob_2\n";
        assert_eq!(
            names(list, "teacher").unwrap(),
            ["ann", "20261234", "bob_2"]
        );
    }

    #[test]
    fn a_name_that_no_system_user_can_have_is_refused_and_so_is_a_second_one() {
        for list in ["Ann", "安", "-x", "../x", "a\na", "teacher", "", "# 空"] {
            assert!(names(list, "teacher").is_err(), "{list:?}");
        }
        assert!(names("ann", "老师").is_err());
    }

    #[test]
    fn what_students_get_of_the_teachers_cargo_configuration_has_no_secrets() {
        let configuration = r#"
            [build]
            jobs = 2
            [source.crates-io]
            replace-with = "near"
            [source.near]
            registry = "sparse+http://near/index/"
            [registries.ours]
            index = "sparse+https://ours/"
            token = "secret"
            [registry]
            token = "secret"
            [registries.theirs]
            index = "sparse+https://me:secret@theirs/"
            [http]
            proxy = "http://me:secret@proxy:3128"
            check-revoke = false
            [net.ssh]
            known-hosts = ["x", "https://me:secret@host"]
        "#;
        let kept = without_secrets(configuration).unwrap();
        assert!(!kept.contains("secret") && !kept.contains("jobs"), "{kept}");
        for part in [
            "replace-with = \"near\"",
            "sparse+http://near/index/",
            "sparse+https://ours/",
            "sparse+https://theirs/",
            "http://proxy:3128",
            "check-revoke = false",
        ] {
            assert!(kept.contains(part), "{part} in {kept}");
        }
        assert!(without_secrets("[source").is_err());
    }

    #[test]
    fn passwords_are_long_and_never_twice_the_same() {
        let (one, other) = (password(), password());
        assert!(one.len() == 12 && one != other, "{one} {other}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_whole_is_not_made_and_the_old_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        let write = |text: &'static str| {
            move |new: &Path| {
                ensure!(fs::read_dir(new)?.next().is_none(), "it is not empty");
                Ok(fs::write(new.join(text), text)?)
            }
        };
        let half = |new: &Path| {
            fs::write(new.join("half"), "half")?;
            bail!("no network")
        };
        let found = || {
            let files = WalkDir::new(folder.path()).sort_by_file_name().into_iter();
            let names = files.map(|file| file.unwrap().file_name().to_owned());
            names.skip(1).collect::<Vec<_>>()
        };
        assert!(make_whole(&place, half).is_err());
        assert!(found().is_empty());
        make_whole(&place, write("first")).unwrap();
        assert!(make_whole(&place, half).is_err());
        assert_eq!(found(), ["place", "first"]);
        // What was left when it was killed.
        fs::create_dir(folder.path().join("place.new")).unwrap();
        fs::write(folder.path().join("place.new/half"), "half").unwrap();
        make_whole(&place, write("second")).unwrap();
        assert_eq!(found(), ["place", "second"]);
    }

    #[test]
    fn of_what_cargo_has_downloaded_gits_own_folders_are_not_shared() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("near/.git")).unwrap();
        fs::create_dir(from.join("near/.cache")).unwrap();
        fs::write(from.join("near/.git/FETCH_HEAD"), "me:secret@near").unwrap();
        fs::write(from.join("near/.cache/x"), "").unwrap();
        link_tree(&from, &to, false).unwrap();
        assert!(to.join("near/.cache/x").is_file() && !to.join("near/.git").exists());
    }

    #[test]
    fn only_files_that_have_changed_are_newer() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        for (place, changed) in [(&old, "1"), (&new, "2")] {
            fs::create_dir_all(place.join("src")).unwrap();
            fs::write(place.join("src/same"), "1").unwrap();
            fs::write(place.join("changed"), changed).unwrap();
        }
        let long_ago = std::time::UNIX_EPOCH;
        for name in ["src/same", "changed"] {
            let file = File::options().write(true).open(old.join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        keep_times(&old, &new).unwrap();
        let time = |name| fs::metadata(new.join(name)).unwrap().modified().unwrap();
        assert_eq!(time("src/same"), long_ago);
        assert!(time("changed") > long_ago);
    }

    #[test]
    fn a_folder_behind_a_closed_one_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed(&inner).as_deref(), Some(folder.path()));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o711)).unwrap();
        assert_eq!(closed(&inner), None);
        // A certificate is read, not run.
        let file = inner.join("file");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(closed_to(0o004, &file), None);
        assert_eq!(closed(&file), Some(file));
    }
}
