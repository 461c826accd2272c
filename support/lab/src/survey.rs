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
    let toolchain = Toolchain::find_or_complete();
    match &toolchain {
        Ok(toolchain) => {
            well.push(format!("Rust：{}", toolchain.version));
            well.extend(toolchain.remark().map(|remark| format!("  {remark}")));
        }
        Err(error) => missing.push(format!("{error:#}")),
    }
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
    match (toolchain, missing.is_empty()) {
        (Ok(toolchain), true) => {
            if whole && pack::here().is_none() {
                well.extend(registries(project, environment, &toolchain));
            }
            let well = well.iter().map(|line| shown(line)).collect();
            Ok(Found { toolchain, well })
        }
        _ => {
            for line in well.iter().map(|line| shown(line)) {
                println!("{line}");
            }
            for line in &missing {
                println!("✗ {line}");
            }
            bail!(
                "还缺 {} 样东西，见上面的 ✗：装好以后再运行一次",
                missing.len()
            )
        }
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
        ("crate", cargo_mirror(), crates.unwrap_or(None)),
        ("Python 包", pip_mirror(), packages.unwrap_or(None)),
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

/// How long pip's index takes to answer, asked with pip's own settings.
fn ask_pip(environment: &Environment) -> Option<Duration> {
    const SCRIPT: &str = "
import urllib.request
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
settings = Configuration(isolated=False)
settings.load()
found = {name: value for name, value in settings.items()}
if any('index-url' in value for value in found.values() if isinstance(value, dict)):
    found = {k: v for value in found.values() for k, v in value.items()}
address = next((found[k] for k in ('install.index-url', 'global.index-url', ':env:.index-url') if k in found), PyPI.simple_url)
urllib.request.urlopen(address.rstrip('/') + '/pip/', timeout=8).read(1)
";
    let mut python = Command::new(environment.interpreter());
    python.args(["-c", SCRIPT]);
    answers(python)
}

fn answers(command: Command) -> Option<Duration> {
    let since = Instant::now();
    let output = finish_within(command, PATIENCE)?;
    output.status.success().then(|| since.elapsed())
}

/// The mirror of crates that cargo is told to use, without passwords.
fn cargo_mirror() -> Option<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))?;
    let settings = ["config.toml", "config"]
        .iter()
        .find_map(|name| fs::read_to_string(home.join(name)).ok())?;
    let value = |name: &str| {
        let line = settings.lines().map(str::trim).find(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.trim_start().starts_with('='))
        })?;
        Some(line.split_once('=')?.1.trim().trim_matches('"').to_owned())
    };
    value("replace-with")?;
    let mirror = value("registry").unwrap_or_else(|| "（见 config.toml）".to_owned());
    Some(base::environment::without_passwords(&mirror))
}

/// The mirror of packages that pip is told to use, as far as one variable or file says it.
fn pip_mirror() -> Option<String> {
    let named = std::env::var("PIP_INDEX_URL").ok();
    let home = std::env::home_dir()?;
    let files = [
        home.join(".config/pip/pip.conf"),
        home.join(".pip/pip.conf"),
        "/etc/pip.conf".into(),
    ];
    let written = files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        let line = text
            .lines()
            .find(|line| line.trim().starts_with("index-url"))?;
        Some(line.split_once('=')?.1.trim().to_owned())
    });
    let mirror = named.or(written)?;
    Some(base::environment::without_passwords(&mirror))
}
