//! `lab open` keeps spares, and ends them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{SPARES_ENV, is_short};
use crate::project::Project;

/// How long the kernel that has been taken is left alone with its first cells.
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether there is memory again.
const LOOK: Duration = Duration::from_secs(30);
/// How long a kernel may take to end.
const END: Duration = Duration::from_secs(5);

/// Keeps spares as long as JupyterLab is open.
pub struct Keeper {
    project: Project,
    /// Closed to others; removed at the end.
    folder: tempfile::TempDir,
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
    /// Keeps none yet.
    ///
    /// # Errors
    /// When there is no place for their sockets.
    pub fn new(project: &Project) -> Result<Keeper> {
        let folder = tempfile::Builder::new().prefix("lab").tempdir();
        Ok(Keeper {
            project: project.clone(),
            folder: folder.context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?,
            started: AtomicU32::new(0),
            warming: Mutex::default(),
            kernels: Mutex::default(),
            end: watch::Sender::new(false),
        })
    }

    /// What a program needs in its environment to find the spares.
    pub fn environment(&self) -> (&'static str, PathBuf) {
        (SPARES_ENV, self.folder.path().to_owned())
    }

    /// Keeps `count` spares, until it is dropped. To be polled on the main thread: see
    /// [`end_with_us`](crate::process::end_with_us).
    pub async fn keep(&self, count: usize) {
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

    fn start(&self) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let socket = self.folder.path().join(number.to_string());
        let command = super::command(&std::env::current_exe()?, &self.project, &socket);
        let mut kernel = Command::from(command).spawn().context("启动不了它")?;
        let words = kernel.stdout.take().context("stdout is piped")?;
        Ok((kernel, BufReader::new(words).lines()))
    }

    /// Ends all kernels, whoever uses them.
    pub async fn end(self) {
        self.end.send_replace(true);
        while self.kernels.lock().await.join_next().await.is_some() {}
    }
}

/// Ends a kernel, which removes what it has made.
async fn stop(mut kernel: Child) {
    if let Some(process) = kernel.id() {
        // SAFETY: no memory is involved; it has not been waited for.
        unsafe { libc::kill(process as i32, libc::SIGTERM) };
    }
    if timeout(END, kernel.wait()).await.is_err() {
        let _ = kernel.kill().await;
    }
}
