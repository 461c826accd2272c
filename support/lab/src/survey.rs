//! What is there before anything long begins, and what is missing: all at once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use base::process::finish_within;
use base::toolchain::Toolchain;
use link::pack;
use rustix::fs::statvfs;

use crate::project::Project;
use crate::python::Environment;
use crate::screen::spoken;

/// What is free on the disk before a first set-up, at least: the programs with what they are compiled
/// from, JupyterLab, the sets of the notebooks.
const NEEDED: u64 = 7 << 30;
/// The same in a pack, where all of that is but JupyterLab.
const NEEDED_IN_PACK: u64 = 1 << 30;
/// How long a registry may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// A registry that takes longer than this is slow.
const SLOW: Duration = Duration::from_secs(3);

/// What to do where a registry is slow or silent: no host of ours in here.
const MIRRORS: &str = "镜像在哪里，问学校或公司的网络管理员；
      cargo：在 ~/.cargo/config.toml 里写
        [source.crates-io]
        replace-with = \"near\"
        [source.near]
        registry = \"sparse+镜像的网址\"
      pip：运行 `python3 -m pip config set global.index-url 镜像的网址`；
      要经过代理：设好环境变量 https_proxy";

/// What has been found.
pub struct Found {
    /// The toolchain that everything is compiled with.
    pub toolchain: Toolchain,
    /// What is well, a line each, and remarks, as they are shown.
    pub well: Vec<String>,
}

/// Looks for what everything needs. `whole` says whether this is a first set-up: then the disk and the
/// registries are looked at as well.
///
/// # Errors
/// With all that is missing, and how to get it.
pub fn survey(project: &Project, environment: &Environment, whole: bool) -> Result<Found> {
    let (mut well, mut missing) = (Vec::new(), Vec::new());
    match has_linker() {
        true => well.push("链接器：cc".to_owned()),
        false => missing.push(NO_LINKER.to_owned()),
    }
    match environment.check() {
        Ok(what) => well.push(format!("Python：{what}")),
        Err(error) => missing.push(format!("{error:#}")),
    }
    if whole {
        match space(project) {
            Ok(line) => well.push(line),
            Err(line) => missing.push(line),
        }
    }
    // What is missing is said before anything is downloaded, as the library's sources may be.
    let mut lacking = missing.len();
    if lacking > 0 {
        print(&well, &missing);
        well.clear();
    }
    match Toolchain::find_or_complete() {
        Ok(toolchain) => {
            let remark = toolchain.remark().map(|remark| format!("  {remark}"));
            let rust = [format!("Rust：{}", toolchain.version)];
            well.splice(0..0, rust.into_iter().chain(remark));
            if lacking == 0 {
                if whole && pack::here().is_none() {
                    well.extend(registries(project, environment, &toolchain));
                }
                let well = well.iter().map(|line| shown(line)).collect();
                return Ok(Found { toolchain, well });
            }
            print(&well, &[]);
        }
        Err(error) => {
            lacking += 1;
            print(&well, &[format!("{error:#}")]);
        }
    }
    bail!("还缺 {lacking} 样东西，见上面的 ✗：装好以后再运行一次")
}

fn print(well: &[String], missing: &[String]) {
    for line in well {
        println!("{}", shown(line));
    }
    for line in missing {
        println!("✗ {line}");
    }
}

/// A line with its mark; remarks, which are indented, have none.
fn shown(line: &str) -> String {
    match line.starts_with(' ') {
        true => line.to_owned(),
        false => format!("✓ {line}"),
    }
}

/// What to do without a linker.
pub const NO_LINKER: &str = "找不到链接器 cc：请安装 gcc（Debian：apt install build-essential）";

/// Whether rustc will find the linker that it calls by default.
pub fn has_linker() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("cc").is_file())
}

/// Whether the disks have room.
fn space(project: &Project) -> Result<String, String> {
    let free = |path: &Path| {
        let disk = statvfs(path).ok()?;
        Some(disk.f_bavail * disk.f_frsize)
    };
    let places = [project.root(), project.cache()];
    let least = places
        .iter()
        .filter_map(|place| Some((free(place)?, *place)))
        .min();
    let Some((least, place)) = least else {
        return Ok("磁盘：看不出还有多少空间".to_owned());
    };
    let size = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let (needed, elsewhere) = match pack::here() {
        Some(_) => (NEEDED_IN_PACK, "把整个包移到别的磁盘上"),
        None => (NEEDED, "用环境变量 CARGO_TARGET_DIR 和 LAB_CACHE 另指一处"),
    };
    match least >= needed {
        true => Ok(format!(
            "磁盘：{} 所在的还有 {}",
            place.display(),
            size(least)
        )),
        false => Err(format!(
            "磁盘空间不够：{} 所在的只有 {}，第一次准备需要 {}：请腾出空间，或{elsewhere}",
            place.display(),
            size(least),
            size(needed)
        )),
    }
}

/// Whether the registries answer, and which mirrors are used; what to configure if not. Nothing here
/// stops set-up: all that it needs may have been downloaded before.
fn registries(project: &Project, environment: &Environment, toolchain: &Toolchain) -> Vec<String> {
    let (crates, packages) = thread::scope(|scope| {
        let crates = scope.spawn(|| ask_cargo(project, toolchain));
        let packages = scope.spawn(|| ask_pip(environment));
        (crates.join(), packages.join())
    });
    let mut lines = Vec::new();
    let mut is_slow = false;
    for (name, mirror, took) in [
        ("crate", cargo_mirror(project), crates.unwrap_or(None)),
        (
            "Python 包",
            pip_mirror(environment),
            packages.unwrap_or(None),
        ),
    ] {
        let from = mirror.map_or_else(
            || "没有配置镜像".to_owned(),
            |mirror| format!("镜像 {mirror}"),
        );
        lines.push(match took {
            Some(took) if took < SLOW => format!("下载 {name}：{from}，有回应"),
            Some(took) => {
                is_slow = true;
                format!("下载 {name}：{from}，{} 才有回应，很慢", spoken(took))
            }
            None => {
                is_slow = true;
                format!(
                    "下载 {name}：{from}，{} 内没有回应；已经下载过的不受影响",
                    spoken(PATIENCE)
                )
            }
        });
    }
    if is_slow {
        lines.push(format!("  网络慢或者不通时：{MIRRORS}"));
    }
    lines
}

/// How long cargo takes to hear of one crate.
fn ask_cargo(project: &Project, toolchain: &Toolchain) -> Option<Duration> {
    let mut cargo = Command::new(toolchain.cargo());
    cargo
        .args(["update", "--dry-run", "--package", "anyhow"])
        .env("CARGO_NET_RETRY", "0")
        .current_dir(project.root());
    answers(cargo)
}

/// Python that says which index pip's own settings name, if they do; or, told to `ask`, waits until that
/// or else pip's own answers. Debian has no pip but for new environments.
const PIP: &str = "
import sys, sysconfig, urllib.request
from pathlib import Path
try:
    import pip
except ImportError:
    import ensurepip
    folders = [sysconfig.get_config_var('WHEEL_PKG_DIR'), Path(ensurepip.__file__).parent / '_bundled']
    sys.path[:0] = [str(wheel) for folder in folders if folder for wheel in Path(folder).glob('pip-*.whl')][:1]
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
settings = Configuration(isolated=False)
settings.load()
found = {}
for name, value in settings.items():
    found.update(value if isinstance(value, dict) else {name: value})
named = [found[name] for name in (':env:.index-url', 'install.index-url', 'global.index-url') if name in found]
if sys.argv[1:] == ['ask']:
    urllib.request.urlopen((named or [PyPI.simple_url])[0].rstrip('/') + '/pip/', timeout=8).read(1)
else:
    print(*named[:1])
";

/// How long pip's index takes to answer.
fn ask_pip(environment: &Environment) -> Option<Duration> {
    let mut python = Command::new(environment.interpreter());
    python.args(["-c", PIP, "ask"]);
    answers(python)
}

fn answers(command: Command) -> Option<Duration> {
    let since = Instant::now();
    let output = finish_within(command, PATIENCE)?;
    output.status.success().then(|| since.elapsed())
}

/// The mirror of crates that cargo is told to use, without passwords.
fn cargo_mirror(project: &Project) -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let above = project
        .root()
        .ancestors()
        .map(|folder| folder.join(".cargo"));
    let files = above.chain(home).flat_map(|folder| {
        ["config.toml", "config"].map(|name| fs::read_to_string(folder.join(name)))
    });
    let settings: Vec<String> = files.flatten().collect();
    let mirror = replacement(&settings)?;
    Some(base::environment::without_passwords(&mirror))
}

/// What these configurations of cargo have in the place of the registry; the nearest comes first.
fn replacement(settings: &[String]) -> Option<String> {
    let value = |table: &str, key: &str| settings.iter().find_map(|text| value(text, table, key));
    let name = value("source.crates-io", "replace-with")?;
    let source = format!("source.{name}");
    let keys = ["registry", "directory", "local-registry"];
    let mirror = keys.iter().find_map(|key| value(&source, key));
    Some(mirror.unwrap_or(name))
}

/// A text in a table of a TOML file, as people write it: each on a line of its own.
fn value(text: &str, table: &str, key: &str) -> Option<String> {
    let mut lines = text
        .lines()
        .map(|line| line.trim().replace(['"', '\''], ""));
    lines.find(|line| *line == format!("[{table}]"))?;
    let mut lines = lines.take_while(|line| !line.starts_with('['));
    lines.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// The index of packages that pip is told to use, without passwords.
fn pip_mirror(environment: &Environment) -> Option<String> {
    let mut python = Command::new(environment.interpreter());
    python.args(["-c", PIP]);
    let output = finish_within(python, PATIENCE)?;
    let mirror = String::from_utf8(output.stdout).ok()?;
    let mirror = mirror.trim();
    (!mirror.is_empty()).then(|| base::environment::without_passwords(mirror))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_crates_is_the_one_that_cargo_is_told_to_use() {
        let replaced = "[source.crates-io]\nreplace-with = 'near'\n";
        let near = "[source.near]\nregistry = \"sparse+http://near/\"\n";
        for (settings, expected) in [
            (vec![""], None),
            (
                vec!["[source.near]\nregistry = \"sparse+http://near/\""],
                None,
            ),
            (vec!["[net]\nreplace-with = \"near\""], None),
            (vec![replaced], Some("near")),
            (vec![replaced, near], Some("sparse+http://near/")),
            (
                vec![near, "[http]\nregistry = \"other\"", replaced],
                Some("sparse+http://near/"),
            ),
            (
                vec![
                    "[source.crates-io]\nreplace-with=\"v\"\n[source.v]\ndirectory = \"/v\"",
                    replaced,
                ],
                Some("/v"),
            ),
        ] {
            let settings: Vec<String> = settings.into_iter().map(str::to_owned).collect();
            assert_eq!(replacement(&settings).as_deref(), expected, "{settings:?}");
        }
    }
}
