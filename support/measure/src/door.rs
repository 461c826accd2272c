//! `measure door`: somebody who has just cloned the project, and has none of what it needs but the
//! toolchain and Python: how long until each step is done, up to the first `.await` in JupyterLab.
//!
//! What is downloaded depends on the network: that time is told apart. Of what is committed a fresh
//! clone is made, in a folder of its own with caches of its own, all of which go with it.

mod downloads;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base::environment::clean;
use base::process::get_when_we_end;
use base::processes;
use hub::browser::Browser;
use hub::server::Server;
use lab::project::Project;
use lab::screen::spoken;
use link::variable;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use downloads::Downloads;

/// What a newcomer opens.
const NOTEBOOK: &str = "00-guide.ipynb";
/// Until our first line.
const FIRST_LINE: Duration = Duration::from_secs(60);
/// Until the first result of an `.await`.
const FIRST_AWAIT: Duration = Duration::from_secs(8 * 60);
/// What everything may take, on a slow machine with a slow network.
const LIMIT: Duration = Duration::from_secs(2 * 3600);
/// What a cell may take.
const CELL: Duration = Duration::from_secs(600);
/// How long JupyterLab may take to end.
const END: Duration = Duration::from_secs(30);

/// How to walk.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 结束后留着临时的克隆和缓存
    #[arg(long)]
    keep: bool,
}

/// Walks from `git clone` to the first `.await`, and prints when each step is done.
///
/// # Errors
/// When a step fails, with what was said last.
pub async fn walk(project: &Project, options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("door-")
        .disable_cleanup(options.keep)
        .tempdir()
        .context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    clone(project, folder.path())?;
    println!(
        "秒数从 `cargo run` 算起；一切都在 {}",
        folder.path().display()
    );
    let mut newcomer = Newcomer::start(folder.path())?;
    let walked = timeout(LIMIT, newcomer.walk()).await;
    let walked = walked.unwrap_or_else(|_| bail!("{} 还没有走完", spoken(LIMIT)));
    if let Err(error) = walked {
        bail!("{error:#}\n最后的输出：{}", newcomer.last_lines());
    }
    newcomer.report()
}

/// A clone of what is committed.
fn clone(project: &Project, folder: &Path) -> Result<()> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "clone", "--quiet"])
        .args([project.root(), &folder.join("clone")])
        .output()
        .context("找不到 git：请安装")?;
    ensure!(
        output.status.success(),
        "git clone 失败：{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A line that `cargo run` has written.
struct Line {
    at: Instant,
    is_stdout: bool,
    text: String,
}

/// `cargo run` in a fresh clone. Dropped, it ends with all that it has started.
struct Newcomer {
    folder: PathBuf,
    process: Child,
    group: u32,
    since: Instant,
    lines: UnboundedReceiver<Line>,
    heard: Vec<String>,
    /// When cargo had downloaded what our program is made of.
    downloaded: Option<Duration>,
    /// When our program said its first line.
    spoke: Option<Duration>,
    /// When the first result of an `.await` was there.
    awaited: Option<Duration>,
}

impl Newcomer {
    fn start(folder: &Path) -> Result<Newcomer> {
        let free = TcpListener::bind("127.0.0.1:0")?;
        let port = free.local_addr()?.port();
        drop(free);
        let mut command = clean("cargo");
        command
            .args(["run", "--", "open", "--no-browser", "--port"])
            .arg(port.to_string())
            .current_dir(folder.join("clone"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env_remove(variable::CACHE)
            .env_remove(variable::PROGRAMS);
        nothing_cached(&mut command, folder)?;
        get_when_we_end(&mut command, Signal::TERM);
        let mut command = tokio::process::Command::from(command);
        let since = Instant::now();
        let mut process = command
            .process_group(0)
            .spawn()
            .context("找不到 cargo：请安装 Rust")?;
        let (sender, lines) = unbounded_channel();
        let stdout = process.stdout.take().context("stdout is piped")?;
        let stderr = process.stderr.take().context("stderr is piped")?;
        tokio::spawn(read(stdout, true, sender.clone()));
        tokio::spawn(read(stderr, false, sender));
        Ok(Newcomer {
            folder: folder.to_owned(),
            group: process.id().context("it has not been waited for")?,
            process,
            since,
            lines,
            heard: Vec::new(),
            downloaded: None,
            spoke: None,
            awaited: None,
        })
    }

    async fn walk(&mut self) -> Result<()> {
        let address = self.until_open().await?;
        self.until_awaited(&address).await
    }

    /// Waits for JupyterLab's address.
    async fn until_open(&mut self) -> Result<String> {
        while let Some(line) = self.lines.recv().await {
            let Line {
                at,
                is_stdout,
                text,
            } = line;
            let at = at - self.since;
            let words = text.trim_start();
            if self.downloaded.is_none() && !is_stdout && words.starts_with("Compiling ") {
                self.downloaded = Some(at);
                step(at, "cargo 下载完 lab 用到的 crate");
            }
            if self.spoke.is_none() && is_stdout {
                self.spoke = Some(at);
                step(at, &format!("第一行：{words}"));
            } else if words.starts_with('✓') {
                step(at, words);
            }
            let address = words
                .split_whitespace()
                .find(|word| word.starts_with("http://") && word.contains("token="));
            if let Some(address) = address {
                step(at, "JupyterLab 的网址");
                return Ok(address.replace("//localhost", "//127.0.0.1"));
            }
            self.heard.push(text);
        }
        bail!("`cargo run` 结束了（{}）", self.process.wait().await?)
    }

    /// Opens the notebook as a browser does, and executes its cells up to the first that awaits.
    async fn until_awaited(&mut self, address: &str) -> Result<()> {
        let behind = address.find("//").map_or(0, |at| at + 2);
        let end = address[behind..].find('/').map(|at| at + behind);
        let (origin, page) = address.split_at(end.context("an address has a path")?);
        let mut server = Server {
            browser: Browser::new(origin)?,
            path: "/".to_owned(),
        };
        // It says its address a moment before it listens there.
        let host = origin.trim_start_matches("http://");
        let listens = async {
            while TcpStream::connect(host).await.is_err() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let listens = timeout(CELL, listens).await;
        listens.with_context(|| format!("{host} 上没有人在听"))?;
        let opened = server.browser.page(page).await?;
        ensure!(
            opened.status.is_success(),
            "JupyterLab：{} {}",
            opened.status,
            opened.text
        );
        let (notebook, mut kernel) = server.open(NOTEBOOK).await?;
        step(self.since.elapsed(), "内核有了");
        let cells = notebook["cells"].as_array().into_iter().flatten();
        let code = cells.filter(|cell| cell["cell_type"] == "code");
        for (number, cell) in (1..).zip(code) {
            let source = cell["source"].as_str().context("a cell has a source")?;
            let reply = kernel.execute(source, CELL).await?;
            let may_fail = cell["metadata"]["tags"]
                .to_string()
                .contains("raises-exception");
            ensure!(
                reply.status == "ok" || may_fail,
                "第 {number} 格：{} {}",
                reply.status,
                reply.text
            );
            let at = self.since.elapsed();
            if source.contains(".await") {
                step(at, &format!("第 {number} 格，第一个 .await 的结果"));
                self.awaited = Some(at);
                return Ok(());
            }
            step(at, &format!("第 {number} 格"));
        }
        bail!("{NOTEBOOK} 里没有 .await")
    }

    /// Prints what downloads took, and what the rest did.
    fn report(&self) -> Result<()> {
        let downloaded = self.downloaded.unwrap_or_default();
        println!("\n下载");
        println!("  {:>7.1}  lab 用到的 crate", downloaded.as_secs_f64());
        let log = set_up_log(&self.folder).context("找不到准备环境的记录 setup.log")?;
        let downloads = Downloads::of(&fs::read_to_string(&log)?);
        for part in &downloads.parts {
            println!("  {:>7.1}  {}", part.downloading.as_secs_f64(), part.name);
        }
        let late = downloads.delay();
        println!(
            "  {:>7.1}  后几样同时进行，它们使准备晚完成这么久",
            late.as_secs_f64()
        );
        println!("\n不算下载");
        let spoke = self.spoke.context("our program has spoken")?;
        let awaited = self.awaited.context("something was awaited")?;
        for (name, took, goal) in [
            ("第一行", spoke.saturating_sub(downloaded), FIRST_LINE),
            (
                "第一个 .await 的结果",
                awaited.saturating_sub(downloaded + late),
                FIRST_AWAIT,
            ),
        ] {
            println!(
                "  {:>7.1}  {name}（目标 {}{}）",
                took.as_secs_f64(),
                spoken(goal),
                if took > goal { "，没有达到" } else { "" }
            );
        }
        Ok(())
    }

    fn last_lines(&mut self) -> String {
        while let Ok(line) = self.lines.try_recv() {
            self.heard.push(line.text);
        }
        base::process::last_lines(self.heard.join("\n").as_bytes())
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        // cargo's compilers are of the group, and so is JupyterLab, which ends its kernels.
        processes::signal_group(self.group, Signal::TERM);
        let deadline = Instant::now() + END;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
        }
        processes::signal_group(self.group, Signal::KILL);
    }
}

fn step(at: Duration, what: &str) {
    println!("  {:>7.1}  {what}", at.as_secs_f64());
}

/// Lets a command find no cache of ours: all it has are the toolchains, and the way to the network.
fn nothing_cached(command: &mut Command, folder: &Path) -> Result<()> {
    let home = std::env::home_dir().context("没有主目录")?;
    let named = |name: &str, usual: &str| match std::env::var_os(name) {
        Some(named) => PathBuf::from(named),
        None => home.join(usual),
    };
    let (toolchains, own) = (
        named("RUSTUP_HOME", ".rustup"),
        named("CARGO_HOME", ".cargo"),
    );
    if toolchains.is_dir() {
        command.env("RUSTUP_HOME", toolchains);
    }
    for (name, place) in [
        ("CARGO_HOME", "cargo"),
        ("XDG_CACHE_HOME", "cache"),
        ("PIP_CACHE_DIR", "pip"),
        ("npm_config_cache", "npm"),
    ] {
        let place = folder.join(place);
        fs::create_dir(&place)?;
        command.env(name, place);
    }
    // Where crates come from, if somebody has said it.
    let settings = own.join("config.toml");
    if settings.is_file() {
        fs::copy(settings, folder.join("cargo/config.toml"))?;
    }
    Ok(())
}

/// The log of set-up, below the newcomer's cache.
fn set_up_log(folder: &Path) -> Option<PathBuf> {
    let caches = fs::read_dir(folder.join("cache/rust-async-notebooks")).ok()?;
    let logs = caches.flatten().map(|cache| cache.path().join("setup.log"));
    logs.into_iter().find(|log| log.is_file())
}

/// Passes on what is written, line by line, with the time.
async fn read(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    is_stdout: bool,
    sender: UnboundedSender<Line>,
) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(text)) = lines.next_line().await {
        let at = Instant::now();
        let _ = sender.send(Line {
            at,
            is_stdout,
            text,
        });
    }
}
