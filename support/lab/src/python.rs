//! The Python side: an environment with JupyterLab, nbconvert and the Chinese language pack.

use std::fs;
use std::io::{self, Write};
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use base::advice::supplies;
use base::files;
use base::process::{Stream, last_lines};
use link::pack;

use crate::log;
use crate::project::Project;

/// What is installed. `environment.yml` names the same versions; a test compares them.
pub const PACKAGES: [(&str, &str); 3] = [
    ("jupyterlab", "4.6.6"),
    ("nbconvert", "7.17.2"),
    ("jupyterlab-language-pack-zh-CN", "4.5.post3"),
];

/// What only this project's own tests need: `lab setup --tests` installs it as well.
pub const TEST_PACKAGES: [(&str, &str); 2] = [
    ("jupyter-kernel-test", "0.7.0"),
    ("jupyter-console", "6.6.3"),
];

/// What a class needs besides [`PACKAGES`]: the program `hub` installs it into an environment of its own.
pub const HUB_PACKAGES: [(&str, &str); 4] = [
    ("jupyterhub", "5.5.4"),
    ("jupyterhub-idle-culler", "2.0.0"),
    ("jupyterhub-nativeauthenticator", "1.3.0"),
    ("nbgitpuller", "1.3.0"),
];

/// Makes JupyterLab's own export right with its proposed settings; says itself how and why.
const CONFIGURATION: &str = include_str!("../assets/jupyter_config.py");
/// With which that file begins, whichever version of this program wrote it.
const WRITTEN_BY_US: &str = "# Written by `lab setup`";

/// Oldest minor version of Python 3 that these run on.
pub const OLDEST: u32 = 10;
/// Newest one for which a pack has them.
pub const NEWEST_IN_PACK: u32 = 14;

/// JupyterLab's defaults in this environment; users' own settings win over them.
fn overrides() -> Value {
    json!({
        "@jupyterlab/translation-extension:plugin": {"locale": "zh_CN"},
        // Nothing is fetched from the network unasked.
        "@jupyterlab/apputils-extension:notification": {"checkForUpdates": false, "fetchNews": "false"},
    })
}

/// A virtual or conda environment.
#[derive(Clone, Debug)]
pub struct Environment {
    folder: PathBuf,
    /// Whether it is the project's own, to be made when it is missing.
    own: bool,
    /// The interpreter that it is then made with.
    maker: PathBuf,
    /// Names the environment that pip is writing to. Found at the start, it says that pip was
    /// killed in the middle: packages then look complete and are not.
    unfinished: PathBuf,
}

impl Environment {
    /// The active virtual or conda environment, or else the project's `.venv`.
    ///
    /// Conda's `base` does not count: what one project needs does not belong there.
    pub fn find(project: &Project) -> Environment {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let conda_base = variable("CONDA_DEFAULT_ENV").is_some_and(|name| name == "base");
        let active =
            variable("VIRTUAL_ENV").or_else(|| variable("CONDA_PREFIX").filter(|_| !conda_base));
        let unfinished = project.cache().join("python-unfinished");
        match active {
            Some(folder) => Environment {
                folder: folder.into(),
                own: false,
                maker: PathBuf::from(USUAL),
                unfinished,
            },
            None => {
                let folder = project.root().join(".venv");
                let is_there = folder.join("bin/python").is_file();
                Environment {
                    folder,
                    own: true,
                    maker: if is_there { USUAL.into() } else { usable() },
                    unfinished,
                }
            }
        }
    }

    /// One of ours in `folder`, made with the interpreter `maker` when it is missing.
    pub fn at(folder: PathBuf, maker: PathBuf) -> Environment {
        let unfinished = folder.with_extension("unfinished");
        Environment {
            folder,
            own: true,
            maker,
            unfinished,
        }
    }

    /// Whether everything is there to install into it: an interpreter that is new enough, and, for one
    /// of ours that is not there yet, `venv`. What it is, if so.
    ///
    /// # Errors
    /// Which of that is missing, and how to get it.
    pub fn check(&self) -> Result<String> {
        if self.python().is_file() || !self.own {
            return version_of(&self.python()).with_context(|| {
                format!(
                    "激活的环境里没有可用的 {}：请重新激活环境，或先 deactivate",
                    self.python().display()
                )
            });
        }
        Ok(format!("{}，有 venv", with_venv(&self.maker)?))
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// The one that answers now: its own, or that which it will be made with.
    pub fn interpreter(&self) -> PathBuf {
        match self.python() {
            python if python.is_file() => python,
            _ => self.maker.clone(),
        }
    }

    /// Where Jupyter looks for its data in this environment.
    pub fn jupyter_data(&self) -> PathBuf {
        self.folder.join("share/jupyter")
    }

    /// Those of `packages` that are missing or of another version, as pip takes them.
    pub fn missing(&self, packages: &[(&str, &str)]) -> Vec<String> {
        let wanted = |(name, version): &(&str, &str)| format!("{name}=={version}");
        if self.is_unfinished() {
            return packages.iter().map(wanted).collect();
        }
        let script = "import sys, importlib.metadata as m\n\
            for name in sys.argv[1:]:\n    \
                try: print(name, m.version(name))\n    \
                except m.PackageNotFoundError: pass\n";
        let output = Command::new(self.python())
            .args(["-c", script])
            .args(packages.iter().map(|(name, _)| name))
            .stderr(Stdio::null())
            .output();
        let found = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let found = found.unwrap_or_default();
        packages
            .iter()
            .filter(|(name, version)| {
                !found
                    .lines()
                    .any(|line| line == format!("{name} {version}"))
            })
            .map(wanted)
            .collect()
    }

    /// Makes the environment if it is missing and installs what is [`missing`](Environment::missing)
    /// in it. Interrupted at any point, it goes on from there the next time.
    ///
    /// # Errors
    /// Without a usable Python, without network, or on a full disk.
    pub fn install(&self, missing: &[String], bar: &ProgressBar) -> Result<()> {
        if !missing.is_empty() {
            if self.own {
                self.make(bar)?;
            }
            self.pip(missing, bar)?;
        }
        self.set_defaults()?;
        self.configure()
    }

    fn is_unfinished(&self) -> bool {
        fs::read_to_string(&self.unfinished).is_ok_and(|folder| Path::new(&folder) == self.folder)
    }

    fn make(&self, bar: &ProgressBar) -> Result<()> {
        let version = version_of(&self.maker)?;
        bar.set_message(format!("建立虚拟环境（{version}）"));
        let mut venv = Command::new(&self.maker);
        venv.args(["-m", "venv"]).arg(&self.folder);
        if self.is_unfinished() {
            venv.arg("--clear");
        }
        let output = log::finish(venv, |_, _| ())
            .with_context(|| format!("运行不了 {}", self.maker.display()))?;
        if !output.status.success() {
            bail!(
                "建不了虚拟环境 {}：{}\n（{}）",
                self.folder.display(),
                last_lines(&[output.stdout, output.stderr].concat()),
                advice()
            );
        }
        Ok(())
    }

    fn pip(&self, packages: &[String], bar: &ProgressBar) -> Result<()> {
        bar.set_message(format!("下载并安装 {}", packages.join("、")));
        let mut pip = Command::new(self.python());
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--progress-bar=off",
        ])
        .args(packages);
        if self.is_unfinished() && !self.own {
            pip.arg("--force-reinstall");
        }
        // What pip unpacks on the way lies where the next run finds it, if this one is interrupted.
        let temporary = self.unfinished.with_file_name("pip-temporary");
        files::remove(&temporary)?;
        fs::create_dir_all(&temporary)
            .with_context(|| format!("建不了 {}：请检查权限和磁盘空间", temporary.display()))?;
        pip.env("TMPDIR", &temporary);
        let output = log::finish(pip, |stream, line| {
            if stream == Stream::Stderr {
            } else if let Some(package) = line.strip_prefix("Collecting ") {
                bar.set_message(format!("下载 {package}"));
            } else if line.starts_with("Installing collected packages") {
                bar.set_message("安装");
                // On a disk too full even for this, pip fails by itself, and says so.
                let _ = fs::write(&self.unfinished, self.folder.as_os_str().as_encoded_bytes());
            }
        });
        let _ = files::remove(&temporary);
        let output = output.with_context(|| match self.own {
            true => format!(
                "运行不了 {}：请删除 {} 后重试",
                self.python().display(),
                self.folder.display()
            ),
            false => format!(
                "激活的环境里没有可用的 {}：请重新激活环境，或先 deactivate",
                self.python().display()
            ),
        })?;
        if !output.status.success() {
            bail!(
                "安装 Python 包失败：{}\n（请检查{}，然后重试；已下载的不会丢失）",
                last_lines(&output.stderr),
                supplies()
            );
        }
        let _ = fs::remove_file(&self.unfinished);
        Ok(())
    }

    /// Makes Chinese the language of JupyterLab, keeping other defaults that stand there.
    fn set_defaults(&self) -> Result<()> {
        let path = self.jupyter_data().join("lab/settings/overrides.json");
        let found = read_if_there(&path)?;
        let text = with_defaults(found.as_deref().unwrap_or("{}")).with_context(|| {
            format!(
                "JupyterLab 的设置 {} 有误：请改好它，或删除它后重试",
                path.display()
            )
        })?;
        match found {
            Some(found) if found == text => Ok(()),
            _ => write(&path, &text),
        }
    }

    /// Writes our configuration of Jupyter, unless somebody else's stands in its place.
    fn configure(&self) -> Result<()> {
        let path = self.folder.join("etc/jupyter/jupyter_config.py");
        match read_if_there(&path)? {
            Some(found) if found == CONFIGURATION => Ok(()),
            Some(found) if !found.starts_with(WRITTEN_BY_US) => {
                println!(
                    "  {} 不是本项目写的，不改动它：JupyterLab 导出 HTML 时请取消勾选 Sanitize HTML output",
                    path.display()
                );
                Ok(())
            }
            _ => write(&path, CONFIGURATION),
        }
    }
}

/// The text of a file of the environment; `None` without one.
fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found
            .map(Some)
            .with_context(|| format!("读不了 {}", path.display())),
    }
}

/// Writes a file of the environment, and the folders above it.
fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().context("a file has a folder")?;
    fs::create_dir_all(folder)
        .with_context(|| format!("建不了 {}：请检查权限和磁盘空间", folder.display()))?;
    files::replace(path, |file| file.write_all(text.as_bytes()))
}

/// The text of JupyterLab's settings with our defaults added to what `found` sets.
fn with_defaults(found: &str) -> Result<String> {
    fn object(value: &mut Value) -> Result<&mut Map<String, Value>> {
        let shown = value.to_string();
        value
            .as_object_mut()
            .with_context(|| format!("应该是 {{…}}，却是 {shown}"))
    }
    let mut merged: Value = serde_json::from_str(found).context("不是合法的 JSON")?;
    for (plugin, settings) in overrides().as_object().into_iter().flatten() {
        let plugin = object(&mut merged)?.entry(plugin).or_insert(json!({}));
        for (key, value) in settings.as_object().into_iter().flatten() {
            object(plugin)?.insert(key.clone(), value.clone());
        }
    }
    Ok(format!("{merged:#}\n"))
}

/// How the interpreter is usually called.
const USUAL: &str = "python3";

/// The first interpreter with which an environment can be made: where the usual one is too old, others
/// may be there beside it. Without any, the usual one, of which is then said what is wrong with it.
fn usable() -> PathBuf {
    let versions = (OLDEST..=NEWEST_IN_PACK).rev();
    let others = versions.map(|minor| format!("{USUAL}.{minor}"));
    let mut names = iter::once(USUAL.to_owned()).chain(others);
    let found = names.find(|name| with_venv(Path::new(name)).is_ok());
    found.unwrap_or_else(|| USUAL.to_owned()).into()
}

/// What to install where there is no interpreter with which an environment can be made.
fn advice() -> String {
    const PACKAGES: &str =
        "Debian、Ubuntu：`apt install python3-venv`；Fedora、RHEL：`dnf install python3.12`";
    match pack::here() {
        Some(_) => {
            format!("请安装 Python 3.{OLDEST} 到 3.{NEWEST_IN_PACK}，带 venv（{PACKAGES}）")
        }
        None => format!(
            "请安装 Python ≥ 3.{OLDEST}，带 venv（{PACKAGES}），或激活 environment.yml 里的环境"
        ),
    }
}

/// What this interpreter says with `--version`, if it also has what makes environments.
fn with_venv(python: &Path) -> Result<String> {
    let version = version_of(python)?;
    let asked = Command::new(python)
        .args(["-c", "import ensurepip, venv"])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("运行不了 {}", python.display()))?;
    if !asked.status.success() {
        bail!(
            "{version} 没有 venv：{}\n  {}",
            last_lines(&asked.stderr),
            advice()
        );
    }
    Ok(version)
}

/// What this interpreter says with `--version`.
fn version_of(python: &Path) -> Result<String> {
    let output = Command::new(python)
        .arg("--version")
        .output()
        .with_context(|| format!("未找到 {USUAL}：{}", advice()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let newest = pack::here().map(|_| NEWEST_IN_PACK);
    match unfit(&version, newest) {
        None => Ok(version),
        Some(why) => bail!("{version} {why}：{}", advice()),
    }
}

/// What is wrong with this version of Python, if something is; `newest` is the newest minor one that
/// will do, if there is an end to them.
fn unfit(version: &str, newest: Option<u32>) -> Option<&'static str> {
    let minor = version
        .strip_prefix("Python 3.")
        .and_then(|rest| rest.split('.').next());
    match minor.and_then(|minor| minor.parse().ok()) {
        Some(minor) if newest.is_some_and(|newest| minor > newest) => Some("太新"),
        Some(OLDEST..) => None,
        _ => Some("太旧"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_defaults_are_added_to_those_that_stand_there() {
        let found =
            r#"{"@jupyterlab/translation-extension:plugin": {"a": 1, "locale": "fr"}, "b": 2}"#;
        let text = with_defaults(found).unwrap();
        let merged: Value = serde_json::from_str(&text).unwrap();
        let translation = &merged["@jupyterlab/translation-extension:plugin"];
        assert_eq!(*translation, json!({"a": 1, "locale": "zh_CN"}));
        assert_eq!(merged["b"], 2);
        assert_eq!(with_defaults(&text).unwrap(), text);
    }

    #[test]
    fn a_python_is_neither_too_old_nor_newer_than_what_a_pack_has() {
        for (version, newest, expected) in [
            ("Python 3.10.0", None, None),
            ("Python 3.15.0a1", None, None),
            ("Python 3.14.2", Some(14), None),
            ("Python 3.15.0", Some(14), Some("太新")),
            ("Python 3.9.21", Some(14), Some("太旧")),
            ("Python 2.7.18", None, Some("太旧")),
            ("", None, Some("太旧")),
        ] {
            assert_eq!(unfit(version, newest), expected, "{version}");
        }
    }

    fn environment(folder: &Path) -> Environment {
        Environment {
            folder: folder.to_owned(),
            own: false,
            maker: PathBuf::new(),
            unfinished: PathBuf::new(),
        }
    }

    #[test]
    fn our_configuration_replaces_an_older_one_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path());
        let file = folder.path().join("etc/jupyter/jupyter_config.py");
        environment.configure().unwrap();
        let written = fs::read_to_string(&file).unwrap();
        assert_eq!(written, CONFIGURATION);
        let older = format!("{WRITTEN_BY_US} of last year");
        for (found, expected) in [(&*older, CONFIGURATION), ("c = 1", "c = 1")] {
            fs::write(&file, found).unwrap();
            environment.configure().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
        }
    }

    #[test]
    fn settings_that_cannot_be_read_are_refused_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let environment = environment(folder.path());
        let file = environment
            .jupyter_data()
            .join("lab/settings/overrides.json");
        environment.set_defaults().unwrap();
        for found in [
            "",
            "{",
            "[]",
            r#"{"@jupyterlab/translation-extension:plugin": 1}"#,
        ] {
            fs::write(&file, found).unwrap();
            let refusal = environment.set_defaults().unwrap_err().to_string();
            assert!(refusal.contains("overrides.json") && refusal.contains("删除它"));
            assert_eq!(fs::read_to_string(&file).unwrap(), found);
        }
    }
}
