//! What is in a pack, part by part. A part that is there and still right is not made again, so that an
//! interrupted run goes on where it was.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::files;
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::log;
use lab::programs::Programs;
use lab::project::Project;
use lab::python::PACKAGES;
use lab::screen::Screen;
use lab::sets::Set;
use lab::setup::{Notebooks, setup_or_warn};
use lab::trees::link_tree;

use crate::{archive, course, crates, glibc, licences, sets, toolchain, wheels};

/// How to make a pack.
#[derive(clap::Args)]
pub struct Options {
    /// 写到哪个文件
    #[arg(long, value_name = "文件")]
    out: Option<PathBuf>,
    /// 只带这些笔记本的依赖，不带书；不写就是全部，也带书
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
}

/// The folder that becomes a pack, and what its parts were made from.
pub struct Stage {
    folder: PathBuf,
    marks: PathBuf,
}

impl Stage {
    fn new(programs: &Programs, name: &str) -> Result<Stage> {
        let target = programs.folder().parent().context("it is in target/")?;
        let (folder, marks) = (target.join("pack").join(name), target.join("pack/marks"));
        for folder in [&folder, &marks] {
            fs::create_dir_all(folder)
                .with_context(|| format!("建不了 {}：请检查磁盘空间", folder.display()))?;
        }
        Ok(Stage { folder, marks })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The project in it.
    pub fn course(&self) -> PathBuf {
        self.folder.join(link::pack::COURSE)
    }

    /// The sets of these notebooks, as they were committed.
    fn sets(&self, notebooks: &[PathBuf]) -> Result<Vec<Set>> {
        let notebooks: Vec<PathBuf> = notebooks
            .iter()
            .filter_map(|notebook| notebook.file_name())
            .map(|name| self.course().join("notebooks").join(name))
            .collect();
        let (sets, troubles) = lab::sets::survey(&notebooks);
        match troubles.into_iter().next() {
            Some(trouble) => Err(trouble),
            None => Ok(sets),
        }
    }

    /// Makes one part, unless it was made from the same before.
    fn part(&self, name: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (place, mark) = (self.folder.join(name), self.marks.join(name));
        if place.is_dir() && fs::read_to_string(&mark).is_ok_and(|found| found == key) {
            return Ok(());
        }
        let _ = fs::remove_file(&mark);
        files::make_folder(&place, make)?;
        files::replace(&mark, |file| file.write_all(key.as_bytes()))
    }
}

/// Makes a pack of the project that the working directory lies in.
///
/// # Errors
/// When something that goes into it is missing, or the disk is full.
pub fn make(options: &Options) -> Result<()> {
    let project = Project::find()?;
    let chosen = project.select(&options.notebooks)?;
    let is_whole = options.notebooks.is_empty();
    let ready = setup_or_warn(&project, Notebooks::These(Vec::new()), "照样打包")?;
    let toolchain = Toolchain::find()?;
    let (name, version) = (course::name(), course::VERSION);
    course::check_version(&project)?;
    let stage = Stage::new(&ready.programs, &name)?;
    let screen = Screen::new();
    let commit = lab::committed::commit(&project)?;

    let step = |name: &str, hint: &str| screen.begin(name).announce(hint);
    let working = step("课程", "取最新的提交");
    stage.part(link::pack::COURSE, &commit, |new| {
        lab::committed::unpack(&project, new)
    })?;
    stage.part(link::pack::ORIGINALS, &commit, |new| {
        Ok(link_tree(&stage.course().join("notebooks"), new, false)?)
    })?;
    let sets = stage.sets(&chosen)?;
    let lock = fs::read_to_string(stage.course().join("Cargo.lock"))?;
    working.done("课程");

    let working = step("工具链", "复制");
    stage.part(link::pack::TOOLCHAIN, &toolchain::key(&toolchain), |new| {
        toolchain::copy(&toolchain, new)
    })?;
    stage.part("bin", &programs_key(&ready.programs)?, |new| {
        for program in PROGRAMS {
            fs::copy(ready.programs.folder().join(program), new.join(program))
                .with_context(|| format!("复制不了程序 {program}：请检查磁盘空间"))?;
        }
        Ok(())
    })?;
    working.done(&format!("工具链：{}", toolchain.version));

    let working = step("Python 包", "下载五个 Python 版本的 JupyterLab，约一分钟");
    stage.part(
        "wheels",
        &format!("{PACKAGES:?} {}", wheels::pythons()),
        |new| wheels::download(&ready.environment, new, &working),
    )?;
    working.done("Python 包");

    let working = step("crate", "收集笔记本用到的源码");
    let manifests: Vec<String> = sets
        .iter()
        .map(lab::sets::manifest)
        .collect::<Result<_>>()?;
    let key = format!("{} {lock}", manifests.concat());
    stage.part(link::pack::CARGO, &key, |new| {
        crates::vendor(&toolchain, &sets, &lock, new, &working)
    })?;
    working.done("笔记本用到的 crate");

    let working = step("依赖", "编译笔记本用到的 crate，约十分钟");
    let key = format!("{key} {} {commit}", toolchain.version);
    sets::compile(&stage, &key, &sets, &working)?;
    working.done("编译好的依赖");

    if is_whole {
        let working = step("书", "执行所有笔记本，导出，约五分钟");
        stage.part("book", &commit, |new| {
            export(&ready.programs, &project, &chosen, new)
        })?;
        working.done("书");
    }

    let working = step("许可证", "收集");
    stage.part(
        "licences",
        &format!("{lock} {}", toolchain.version),
        |new| licences::collect(&project, &toolchain, new),
    )?;
    working.done("许可证");

    let glibc = glibc::newest(stage.folder())?;
    course::write_texts(&stage, &glibc)?;
    let out = match &options.out {
        Some(out) => std::path::absolute(out)?,
        None => std::env::current_dir()?.join(format!("{name}.run")),
    };
    let working = step("压缩", "约一分钟");
    let packer = std::env::current_exe()?;
    archive::write(&stage, &packer, &glibc, &out, &working)?;
    let size = fs::metadata(&out)?.len();
    working.done(&format!(
        "{}（版本 {version}，{:.0} MB，要 glibc {glibc} 或更新的）",
        out.display(),
        size as f64 / 1e6
    ));
    println!("发给学生，他们运行：sh {name}.run");
    Ok(())
}

/// What runs out of a pack.
const PROGRAMS: [&str; 3] = ["kernel", "runner", "lab"];

/// Changes with the programs.
fn programs_key(programs: &Programs) -> Result<String> {
    let mut key = String::new();
    for program in PROGRAMS {
        let found = fs::metadata(programs.folder().join(program))?;
        key += &format!("{program} {} {:?} ", found.len(), found.modified()?);
    }
    Ok(key)
}

/// The book.
fn export(programs: &Programs, project: &Project, notebooks: &[PathBuf], out: &Path) -> Result<()> {
    let mut lab = Command::new(programs.folder().join("lab"));
    lab.arg("export")
        .arg("--out")
        .arg(out)
        .args(notebooks)
        .current_dir(project.root());
    let output = log::finish(lab, |_, _| ()).context("运行不了 lab")?;
    ensure!(
        output.status.success(),
        "导出失败：{}",
        last_lines(&output.stderr)
    );
    Ok(())
}
