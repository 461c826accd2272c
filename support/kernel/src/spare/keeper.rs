//! Keeps spares, and ends them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use base::memory::is_short;
use base::process::{end_with_us, in_its_own_session, once_more};
use base::processes::signal;
use link::variable;
use rustix::fs::{FileType, fstat};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the kernel that has been taken is left alone with its first cells.
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether there is memory again.
const LOOK: Duration = Duration::from_secs(30);
/// How long a kernel may take to end.
const END: Duration = Duration::from_secs(5);

/// Keeps `count` spares for a notebook, with their sockets in `folder`, until a signal says that
/// this is to end, or nobody holds the other end of the pipe any more that is our standard input.
/// Then it ends them all, whoever uses them.
///
/// # Errors
/// When signals cannot be waited for.
pub fn keep(count: usize, folder: &Path, notebook: &Path) -> Result<()> {
    let keeper = Keeper {
        notebook: std::path::absolute(notebook)?,
        folder: std::path::absolute(folder)?,
        started: AtomicU32::new(0),
        warming: Mutex::default(),
        kernels: Mutex::default(),
        end: watch::Sender::new(false),
    };
    // On this thread: spares end with the thread that started them.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut interrupts = unix::signal(SignalKind::interrupt())?;
            let mut terminations = unix::signal(SignalKind::terminate())?;
            let mut hang_ups = unix::signal(SignalKind::hangup())?;
            tokio::select! {
                () = keeper.keep(count) => {}
                () = nobody_listens() => {}
                _ = interrupts.recv() => {}
                _ = terminations.recv() => {}
                _ = hang_ups.recv() => {}
            }
            keeper.end().await;
            Ok(())
        })
}

/// Waits until the other end of standard input is closed, if that is a pipe.
async fn nobody_listens() {
    let is_pipe = fstat(std::io::stdin())
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Fifo);
    if !is_pipe {
        std::future::pending().await
    }
    let (closed, wait) = oneshot::channel::<()>();
    // One that may wait for ever, and holds nothing up.
    std::thread::spawn(move || {
        let _closed = closed;
        let _ = std::io::stdin().lock().read_to_end(&mut Vec::new());
    });
    let _ = wait.await;
}

struct Keeper {
    notebook: PathBuf,
    /// Closed to others.
    folder: PathBuf,
    /// How many have been started.
    started: AtomicU32,
    /// Held while one warms: two would only be in each other's way. Whether it has been said that
    /// there is no memory for one.
    warming: Mutex<bool>,
    /// All that run, also those that have been taken.
    kernels: Mutex<JoinSet<()>>,
    end: watch::Sender<bool>,
}

impl Keeper {
    /// Keeps `count` spares, for ever.
    async fn keep(&self, count: usize) {
        let spares = (0..count).map(|_| self.keep_one());
        // The next would fail as well.
        if let Err(error) = futures::future::try_join_all(spares).await {
            eprintln!("没有备用的内核：{error:#}。笔记本照样能用，只是打开时要多等几秒。");
        }
        std::future::pending().await
    }

    async fn keep_one(&self) -> Result<()> {
        loop {
            self.until_taken().await?;
            sleep(PAUSE).await;
        }
    }

    /// Starts a spare and waits until somebody takes it.
    async fn until_taken(&self) -> Result<()> {
        let mut is_said = self.warming.lock().await;
        while is_short() {
            if !std::mem::replace(&mut *is_said, true) {
                eprintln!("空闲内存不多，先不准备备用的内核：打开笔记本要多等几秒。");
            }
            sleep(LOOK).await;
        }
        let (kernel, mut words) = self.start()?;
        let mut end = self.end.subscribe();
        self.kernels.lock().await.spawn(async move {
            let mut kernel = kernel;
            let is_over = tokio::select! {
                _ = kernel.wait() => true,
                _ = end.wait_for(|end| *end) => false,
            };
            if !is_over {
                stop(kernel).await;
            }
        });
        let ended = "它没有等到有人用就结束了，原因见上";
        let word = words.next_line().await?.context(ended)?;
        drop(is_said);
        if word == "warm" {
            words.next_line().await?.context(ended)?;
        }
        Ok(())
    }

    /// Starts one. It says on its standard output what becomes of it, a word a line.
    fn start(&self) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let mut command = once_more();
        command
            .arg("--spare")
            .arg(self.folder.join(number.to_string()))
            .arg(&self.notebook)
            .env_remove(variable::SPARES)
            .current_dir(self.notebook.parent().context("a file has a folder")?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        in_its_own_session(&mut command);
        end_with_us(&mut command);
        let mut kernel = Command::from(command).spawn().context("启动不了它")?;
        let words = kernel.stdout.take().context("stdout is piped")?;
        Ok((kernel, BufReader::new(words).lines()))
    }

    /// Ends all kernels, whoever uses them.
    async fn end(self) {
        self.end.send_replace(true);
        while self.kernels.lock().await.join_next().await.is_some() {}
    }
}

/// Ends a kernel, which removes what it has made.
async fn stop(mut kernel: Child) {
    if let Some(process) = kernel.id() {
        signal(process, Signal::TERM);
    }
    if timeout(END, kernel.wait()).await.is_err() {
        let _ = kernel.kill().await;
    }
}
