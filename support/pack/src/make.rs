//! What is in a pack, part by part. A part that is there and still right is not made again, so that an
//! interrupted run goes on where it was.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::files;
use base::toolchain::Toolchain;
use lab::programs::{Programs, bring_up_to_date};
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

/// The folder that becomes a pack, of whichever version, and what its parts were made from.
pub struct Stage {
    folder: PathBuf,
    marks: PathBuf,
}

impl Stage {
    fn new(place: &Path) -> Result<Stage> {
        let (folder, marks) = (place.join("stage"), place.join("marks"));
        for folder in [&folder, &marks] {
            fs::create_dir_all(folder)
                .with_context(|| format!("建不了 {}：请检查磁盘空间", folder.display()))?;
        }
        // As kernels spell what is in it.
        let folder = folder.canonicalize()?;
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

    /// Whether a part is there, and was made from this.
    pub fn has(&self, name: &str, key: &str) -> bool {
        let found = fs::read_to_string(self.marks.join(name));
        self.folder.join(name).is_dir() && found.is_ok_and(|found| found == key)
    }

    /// From now on a part counts as made from this.
    ///
    /// # Errors
    /// On a full disk.
    pub fn note(&self, name: &str, key: &str) -> Result<()> {
        files::replace(&self.marks.join(name), |file| {
            file.write_all(key.as_bytes())
        })
    }

    /// A part is being changed: it counts as made from nothing.
    pub fn forget(&self, name: &str) {
        let _ = fs::remove_file(self.marks.join(name));
    }

    /// Makes one part, unless it was made from the same before.
    fn part(&self, name: &str, key: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if self.has(name, key) {
            return Ok(());
        }
        self.forget(name);
        files::make_folder(&self.folder.join(name), make)?;
        self.note(name, key)
    }
}

/// Makes a pack of this clone.
///
/// # Errors
/// When something that goes into it is missing, or the disk is full.
pub fn make(clone: &Project, options: &Options) -> Result<()> {
    let programs = Programs::beside_us()?;
    let place = programs.folder().parent().context("it is in target/")?;
    let place = place.join("pack");
    let stage = Stage::new(&place)?;
    let out = out(options.out.as_deref())?;
    let _lock = files::lock(&place.join("lock"), "另一个 lab pack 正在打包，等它结束……")?;
    let screen = Screen::new();

    let step = |name: &str, hint: &str| screen.begin(name).announce(hint);
    let working = step("课程", "取最新的提交");
    let commit = lab::committed::commit(clone)?;
    course::check_version(clone)?;
    stage.part(link::pack::COURSE, &commit, |new| {
        lab::committed::unpack(clone, new)
    })?;
    stage.part(link::pack::ORIGINALS, &commit, |new| {
        Ok(link_tree(&stage.course().join("notebooks"), new, false)?)
    })?;
    let project = Project::located(&stage.course())?;
    // Those of the commit, wherever a word may have led.
    let notebooks: Vec<PathBuf> = project
        .select(&options.notebooks)?
        .iter()
        .filter_map(|path| Some(project.notebooks().join(path.file_name()?)))
        .collect();
    let sets = sets_of(&notebooks)?;
    let lock = fs::read_to_string(stage.course().join("Cargo.lock"))?;
    working.done("课程");

    // Those for notebooks are compiled in the pack.
    let ready = setup_or_warn(clone, Notebooks::These(Vec::new()), "照样打包")?;
    let toolchain = Toolchain::find()?;
    let programs = bring_up_to_date(clone, &toolchain, &[&PROGRAMS[..], &[PACKER]].concat())?;

    let working = step("工具链", "复制");
    stage.part(link::pack::TOOLCHAIN, &toolchain::key(&toolchain), |new| {
        toolchain::copy(&toolchain, new)
    })?;
    let made_by = key_of(&programs, &PROGRAMS)?;
    stage.part("bin", &made_by, |new| {
        for program in PROGRAMS {
            fs::copy(programs.folder().join(program), new.join(program))
                .with_context(|| format!("复制不了程序 {program}：请检查磁盘空间"))?;
        }
        Ok(())
    })?;
    // Before anything that takes long.
    let glibc = glibc::newest(stage.folder())?;
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
    let key = format!("{} {lock} {}", manifests.concat(), crates::configuration());
    stage.part(link::pack::CARGO, &key, |new| {
        crates::vendor(&toolchain, &sets, &lock, new, &working)
    })?;
    working.done("笔记本用到的 crate");

    let working = step("依赖", "编译笔记本用到的 crate，约十分钟");
    let key = format!("{key} {} {commit} {made_by}", toolchain.version);
    sets::compile(&stage, &project, &key, &sets, &working)?;
    working.done("编译好的依赖");

    match options.notebooks.is_empty() {
        true => {
            let working = step("书", "执行所有笔记本，导出，约五分钟");
            stage.part(BOOK, &key, |new| {
                sets::export(&stage, &project, &ready.environment, &notebooks, new)
            })?;
            working.done("书");
        }
        // Not that of an earlier run.
        false => {
            stage.forget(BOOK);
            files::remove(&stage.folder().join(BOOK))?;
        }
    }
    sets::clear(&stage)?;

    let working = step("许可证", "收集");
    let packer = key_of(&programs, &[PACKER])?;
    stage.part(
        "licences",
        &format!("{lock} {} {packer}", toolchain.version),
        |new| licences::collect(clone, &toolchain, new),
    )?;
    working.done("许可证");

    course::write_texts(&stage, &glibc)?;
    let working = step("压缩", "约一分钟");
    let packer = programs.folder().join(PACKER);
    archive::write(&stage, &packer, &glibc, &out, &working)?;
    let checksum = archive::checksum(&out)?;
    let size = fs::metadata(&out)?.len();
    working.done(&format!(
        "{}（版本 {}，{:.0} MB，要 glibc {glibc} 或更新的）",
        out.display(),
        course::VERSION,
        size as f64 / 1e6
    ));
    let name = out.file_name().unwrap_or_default().display();
    println!("SHA-256：{checksum}，也写在 {name}.sha256 里");
    println!("发给学生，他们运行：sh {name}");
    Ok(())
}

/// The book, executed.
const BOOK: &str = "book";
/// What runs out of a pack.
const PROGRAMS: [&str; 3] = ["kernel", "runner", "lab"];
/// What makes a pack and unpacks it.
const PACKER: &str = "pack";

/// Where the pack is written to.
fn out(named: Option<&Path>) -> Result<PathBuf> {
    let out = match named {
        Some(out) => std::path::absolute(out)?,
        None => std::env::current_dir()?.join(format!("{}.run", course::name())),
    };
    let folder = out.parent().unwrap_or(&out);
    if out.is_dir() || !folder.is_dir() {
        bail!(
            "写不了 {}：--out 要写一个文件，它的文件夹要先建好",
            out.display()
        );
    }
    // Of an earlier run that was interrupted.
    files::remove_leftovers(folder);
    Ok(out)
}

/// The sets of these notebooks, all of which can be read.
fn sets_of(notebooks: &[PathBuf]) -> Result<Vec<Set>> {
    let (sets, troubles) = lab::sets::survey(notebooks);
    match troubles.into_iter().next() {
        Some(trouble) => Err(trouble),
        None => Ok(sets),
    }
}

/// Changes with these programs.
fn key_of(programs: &Programs, names: &[&str]) -> Result<String> {
    let mut key = String::new();
    for name in names {
        let found = fs::metadata(programs.folder().join(name))?;
        key += &format!("{name} {} {:?} ", found.len(), found.modified()?);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_made_again_when_it_is_of_something_else_or_was_not_finished() {
        let place = tempfile::tempdir().unwrap();
        let made = |key: &str, fails: bool| {
            // Whoever comes next finds what is there.
            let stage = Stage::new(place.path()).unwrap();
            let mut is_made = false;
            let part = stage.part("part", key, |new| {
                is_made = true;
                fs::write(new.join("file"), key)?;
                if fails {
                    bail!("interrupted");
                }
                Ok(())
            });
            assert_eq!(part.is_err(), fails);
            is_made
        };
        for (key, fails, expected) in [
            ("1", true, true),
            ("1", false, true),
            ("1", false, false),
            ("2", true, true),
            ("1", false, true),
            ("2", false, true),
        ] {
            assert_eq!(made(key, fails), expected, "{key}, {fails}");
        }
    }

    #[test]
    fn a_pack_is_written_to_a_file_in_a_folder_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.run");
        assert_eq!(out(Some(&file)).unwrap(), file);
        for wrong in [folder.path().to_owned(), folder.path().join("none/x.run")] {
            let refusal = out(Some(&wrong)).unwrap_err().to_string();
            assert!(refusal.contains(&wrong.display().to_string()), "{refusal}");
        }
        let named = out(None).unwrap();
        assert!(named.ends_with(format!("{}.run", course::name())));
    }
}
