//! A hub for a short time, on loopback, with users of its own that go with it.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use base::process::get_when_we_end;
use base::processes;
use rustix::process::Signal;

use crate::student::Student;
use crate::usage;

/// A hub that runs. Dropped, it ends, and its users and their files are gone.
pub struct PlayedHub {
    /// How it is started.
    program: Command,
    process: Child,
    data: PathBuf,
    prefix: String,
    port: u16,
}

/// How long a hub may take to end with all its servers.
const END: Duration = Duration::from_secs(60);
/// How long what it has started may take to end after it.
const SETTLE: Duration = Duration::from_secs(10);

impl PlayedHub {
    /// Starts the program `hub` for these students in `data`, where what is shared may already be, and
    /// waits until it answers. `more` are further arguments.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer within `limit`.
    pub async fn start(
        mut program: Command,
        data: &Path,
        students: &[String],
        more: &[&str],
        limit: Duration,
    ) -> Result<PlayedHub> {
        // They will be removed at the end.
        for folder in ["homes", "hub"].map(|name| data.join(name)) {
            ensure!(
                !folder.exists(),
                "{} 里已经有一个班：请用 --data 另指一处；如果是上一次演完没有清理的，请删除它",
                folder.display()
            );
        }
        fs::create_dir_all(data)?;
        let list = data.join("list");
        fs::write(&list, students.join("\n"))?;
        // Two at once on one machine do not share users.
        let mut prefix = uuid::Uuid::new_v4().simple().to_string();
        prefix.truncate(6);
        let prefix = format!("lab{prefix}-");
        let free = TcpListener::bind("127.0.0.1:0")?;
        let port = free.local_addr()?.port();
        drop(free);
        let log = File::create(data.join("log"))?;
        program
            .arg("--students")
            .arg(&list)
            .arg("--data")
            .arg(data)
            .args(["--prefix", &prefix, "--port", &port.to_string()])
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        get_when_we_end(&mut program, Signal::TERM);
        let (program, process) = spawn(program).context("启动不了 hub")?;
        let mut hub = PlayedHub {
            program,
            process,
            data: data.to_owned(),
            prefix,
            port,
        };
        hub.until_it_runs(1, limit).await?;
        Ok(hub)
    }

    /// Kills the hub, and nothing that it has started, and starts it again.
    ///
    /// # Errors
    /// When the proxy survives it, or the hub does not answer within `limit`.
    pub async fn crash(mut self, limit: Duration) -> Result<PlayedHub> {
        let starts = self.starts();
        self.process.kill()?;
        self.process.wait()?;
        let deadline = Instant::now() + SETTLE;
        while TcpListener::bind(("127.0.0.1", self.port)).is_err() {
            ensure!(Instant::now() < deadline, "代理还在监听");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let program = std::mem::replace(&mut self.program, Command::new(""));
        (self.program, self.process) = spawn(program).context("启动不了 hub")?;
        self.until_it_runs(starts + 1, limit).await?;
        Ok(self)
    }

    /// How often it has started.
    fn starts(&self) -> usize {
        self.log().matches("JupyterHub is now running").count()
    }

    async fn until_it_runs(&mut self, starts: usize, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.starts() < starts {
            if let Some(status) = self.process.try_wait()? {
                bail!("hub 结束了（{status}）：\n{}", self.log());
            }
            ensure!(Instant::now() < deadline, "hub 没有启动：\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until the servers of all students are open whose memory is there.
    ///
    /// # Errors
    /// When they are not within `limit`.
    pub async fn until_all_are_open(&self, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while !self.log().contains(" servers are open, ") {
            ensure!(
                Instant::now() < deadline,
                "服务器没有提前打开：\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.data.join("log")).unwrap_or_default()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The folder of the class.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The system user of a student.
    pub fn account(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The home of a student.
    pub fn home(&self, name: &str) -> PathBuf {
        self.data.join("homes").join(name)
    }

    /// The number of a student's system user.
    ///
    /// # Errors
    /// When there is none, before the first start of the server.
    pub fn user(&self, name: &str) -> Result<u32> {
        let account = self.account(name);
        usage::number(&account).with_context(|| format!("没有系统用户 {account}"))
    }

    /// The password that was made for a student.
    ///
    /// # Errors
    /// When there is none.
    pub fn password(&self, name: &str) -> Result<String> {
        let list = fs::read_to_string(self.data.join("hub/passwords"))?;
        let found = list.lines().filter_map(|line| line.split_once(' '));
        let found = found.into_iter().find(|(who, _)| *who == name);
        Ok(found
            .with_context(|| format!("{name} 没有密码"))?
            .1
            .to_owned())
    }

    /// A student who has logged in.
    ///
    /// # Errors
    /// When that fails.
    pub async fn logged_in(&self, name: &str) -> Result<Student> {
        let mut student = Student::new(&self.url(), name)?;
        ensure!(
            student.log_in(&self.password(name)?).await?,
            "{name} 登录不了"
        );
        Ok(student)
    }

    /// A student who has logged in, and whose server runs.
    ///
    /// # Errors
    /// When one of that fails.
    pub async fn student(&self, name: &str, limit: Duration) -> Result<Student> {
        let mut student = self.logged_in(name).await?;
        student.start_server(limit).await?;
        Ok(student)
    }

    /// The accounts that it has made.
    fn accounts(&self) -> Vec<String> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let names = users.lines().filter_map(|line| line.split(':').next());
        let ours = names.filter(|name| name.starts_with(&self.prefix));
        ours.map(str::to_owned).collect()
    }
}

/// Starts a program on a thread that lives as long as this process: the program is told to end when
/// the thread that has started it does.
fn spawn(mut program: Command) -> std::io::Result<(Command, Child)> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let process = program.spawn();
        let _ = sender.send(process.map(|process| (program, process)));
        loop {
            std::thread::park();
        }
    });
    receiver.recv().map_err(std::io::Error::other)?
}

impl Drop for PlayedHub {
    fn drop(&mut self) {
        let hub = self.process.id();
        processes::signal(hub, Signal::TERM);
        let deadline = Instant::now() + END;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                processes::signal_group(hub, Signal::KILL);
                let _ = self.process.wait();
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        for account in self.accounts() {
            // What it left running would keep the account.
            usage::end_all(&account);
            let _ = Command::new("userdel").arg(&account).output();
            let _ = fs::remove_dir_all(Path::new("/run/rust-async-class").join(&account));
        }
        for folder in ["homes", "hub"].map(|name| self.data.join(name)) {
            // What the hub has started and is just ending may write there for a moment.
            let deadline = Instant::now() + SETTLE;
            while fs::remove_dir_all(&folder).is_err()
                && folder.exists()
                && Instant::now() < deadline
            {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}
