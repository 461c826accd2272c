//! What all students share: the course, the toolchain, sources of crates, Python, the proxy, and what
//! `lab setup` sets up with them.

use std::fs::{self, DirBuilder};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

use anyhow::{Context, Result, bail, ensure};
use base::process::{end_all, get_when_we_end};
use base::toolchain::Toolchain;
use base::{files, npm};
use lab::committed::{self, output};
use lab::project::{PROJECT_ENV, Project};
use lab::python::{Environment, HUB_PACKAGES, PACKAGES};
use lab::screen::Screen;
use lab::signals;
use lab::trees::link_tree;
use link::variable;
use rustix::process::Signal;

use crate::class::Class;
use crate::closed::closed;
use crate::network::without_secrets;
use crate::trees::keep_times;

impl Class {
    /// The course as it is committed. What is being changed in the clone does not reach a class.
    pub fn share_project(&self, project: &Project) -> Result<()> {
        let commit = committed::commit(project)?;
        let (mark, place) = (self.shared("commit"), self.shared("project"));
        if fs::read_to_string(&mark).is_ok_and(|found| found == commit) && place.is_dir() {
            return Ok(());
        }
        let _ = fs::remove_file(&mark);
        files::make_folder(&place, |new| {
            committed::unpack(project, new)?;
            Ok(keep_times(&place, new)?)
        })?;
        files::replace(&mark, |file| file.write_all(commit.as_bytes()))
    }

    /// A toolchain that students can read: root's, if they can, or else a copy of it, which takes
    /// no space on the same disk.
    pub fn share_toolchain(&self, mut toolchain: Toolchain) -> Result<Toolchain> {
        if closed(&toolchain.sysroot).is_some() {
            let (mark, place) = (self.shared("toolchain.version"), self.shared("toolchain"));
            if !fs::read_to_string(&mark).is_ok_and(|found| found == toolchain.version) {
                let _ = fs::remove_file(&mark);
                files::make_folder(&place, |new| {
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
    pub fn share_crates(&self) -> Result<()> {
        let place = self.shared("cargo");
        if place.is_dir() {
            return Ok(());
        }
        let home = std::env::home_dir().map(|home| home.join(".cargo"));
        let Some(own) = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home) else {
            return Ok(());
        };
        files::make_folder(&place, |new| {
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
    pub fn share_notebooks(&self) -> Result<()> {
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
    pub fn python(&self) -> Environment {
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
    pub fn install_python(&self) -> Result<()> {
        let environment = self.python();
        let packages = [&PACKAGES[..], &HUB_PACKAGES[..]].concat();
        let screen = Screen::new();
        let step = screen.begin("JupyterHub");
        environment.install(&environment.missing(&packages), step.bar())?;
        let python = environment.python().canonicalize()?;
        if let Some(closed) = closed(&python) {
            bail!(
                "学生进不了 {}，也就用不了 {}：请安装系统的 Python（Debian：apt install python3-venv），删除 {} 后重试",
                closed.display(),
                python.display(),
                environment.folder().display()
            );
        }
        step.done(&format!("JupyterHub：{}", environment.folder().display()));
        Ok(())
    }

    /// JupyterHub's proxy.
    pub fn install_proxy(&self) -> Result<()> {
        let place = self.shared("proxy");
        let is_new = npm::install(&self.shared("project/support/hub/proxy"), &place)
            .context("安装 configurable-http-proxy 失败（请检查网络和磁盘空间，然后重试；网络经过有自己证书的代理时，用环境变量 NODE_EXTRA_CA_CERTS 说出证书文件）")?;
        if is_new {
            println!("✓ 代理：{}", place.display());
        }
        Ok(())
    }

    /// All that `lab setup` sets up for these notebooks, with the `programs` in this folder.
    pub fn set_up(
        &self,
        toolchain: &Toolchain,
        programs: &Path,
        notebooks: &[String],
    ) -> Result<()> {
        let mut path = vec![toolchain.sysroot.join("bin")];
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        // Caches are usually for their owner alone.
        let warm = self.shared("warm");
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&warm);
        made.with_context(|| format!("建不了 {}：请检查磁盘空间", warm.display()))?;
        let mut setup = Command::new(programs.join("lab"));
        setup
            .arg("setup")
            .args(notebooks)
            .env(PROJECT_ENV, self.shared("project"))
            .env(variable::PROGRAMS, programs)
            .env(variable::CACHE, self.hub("cache"))
            .env(variable::SHARED_CACHE, &warm)
            .env("CARGO_HOME", self.shared("cargo"))
            .env("RUST_SRC_PATH", &toolchain.sources)
            .env("VIRTUAL_ENV", self.python().folder())
            .env("PATH", std::env::join_paths(path)?)
            .current_dir(self.shared("project"))
            .stdin(Stdio::null());
        // It says itself that it is interrupted, and ends what it has started.
        get_when_we_end(&mut setup, Signal::TERM);
        signals::handle(Box::new(|signal| {
            end_all();
            exit(128 + signal)
        }));
        let status = setup
            .status()
            .with_context(|| format!("运行不了 {}", setup.get_program().display()))?;
        ensure!(status.success(), "准备学生共用的部分失败，原因见上");
        Ok(())
    }
}

/// Where a program on the path is.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}
