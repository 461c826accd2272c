//! The Python side: an environment with JupyterLab, nbconvert and the Chinese language pack.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::project::Project;

/// What is installed. `environment.yml` names the same versions; a test compares them.
pub const PACKAGES: [(&str, &str); 3] = [
    ("jupyterlab", "4.6.6"),
    ("nbconvert", "7.17.2"),
    ("jupyterlab-language-pack-zh-CN", "4.5.post3"),
];

/// Oldest minor version of Python 3 that these run on.
const OLDEST: u32 = 10;

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
        match active {
            Some(folder) => Environment {
                folder: folder.into(),
                own: false,
            },
            None => Environment {
                folder: project.root().join(".venv"),
                own: true,
            },
        }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }

    /// Where Jupyter looks for its data in this environment.
    pub fn jupyter_data(&self) -> PathBuf {
        self.folder.join("share/jupyter")
    }

    /// The packages that are missing or of another version, as pip takes them.
    pub fn missing(&self) -> Vec<String> {
        let wanted = |(name, version): &(&str, &str)| format!("{name}=={version}");
        let script = "import sys, importlib.metadata as m\n\
            for name in sys.argv[1:]:\n    \
                try: print(name, m.version(name))\n    \
                except m.PackageNotFoundError: pass\n";
        let output = Command::new(self.python())
            .args(["-c", script])
            .args(PACKAGES.map(|(name, _)| name))
            .stderr(Stdio::null())
            .output();
        let found = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let found = found.unwrap_or_default();
        PACKAGES
            .iter()
            .filter(|(name, version)| {
                !found
                    .lines()
                    .any(|line| line == format!("{name} {version}"))
            })
            .map(wanted)
            .collect()
    }

    /// Makes the environment if it is missing and installs what is missing in it. Interrupted
    /// at any point, it goes on from there the next time.
    ///
    /// # Errors
    /// Without a usable Python, without network, or on a full disk.
    pub fn install(&self, bar: &ProgressBar) -> Result<()> {
        let missing = self.missing();
        if !missing.is_empty() {
            if self.own {
                self.make(bar)?;
            }
            self.pip(&missing, bar)?;
        }
        self.set_defaults()
    }

    fn make(&self, bar: &ProgressBar) -> Result<()> {
        let version = python_version()?;
        bar.set_message(format!("建立虚拟环境（{version}）"));
        let output = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&self.folder)
            .stdin(Stdio::null())
            .output()
            .context("运行不了 python3")?;
        if !output.status.success() {
            bail!(
                "建不了虚拟环境 {}：{}\n（Debian/Ubuntu 上需要先 `apt install python3-venv`；也可以激活 environment.yml 里的 conda 环境）",
                self.folder.display(),
                last_lines(&[output.stdout, output.stderr].concat())
            );
        }
        Ok(())
    }

    fn pip(&self, packages: &[String], bar: &ProgressBar) -> Result<()> {
        bar.set_message(format!("下载并安装 {}", packages.join("、")));
        let mut pip = Command::new(self.python())
            .args([
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--progress-bar=off",
            ])
            .args(packages)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| {
                format!(
                    "运行不了 {}：请删除 {} 后重试",
                    self.python().display(),
                    self.folder.display()
                )
            })?;
        let mut stderr = pip.stderr.take().context("stderr is piped")?;
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            text
        });
        for line in BufReader::new(pip.stdout.take().context("stdout is piped")?).lines() {
            if let Some(package) = line?.strip_prefix("Collecting ") {
                bar.set_message(format!("下载 {package}"));
            }
        }
        let errors = errors.join().unwrap_or_default();
        if !pip.wait()?.success() {
            bail!(
                "安装 Python 包失败：{}\n（请检查网络和磁盘空间，然后重试；已下载的不会丢失）",
                last_lines(&errors)
            );
        }
        Ok(())
    }

    /// Makes Chinese the language of JupyterLab, keeping other defaults that stand there.
    fn set_defaults(&self) -> Result<()> {
        let path = self.jupyter_data().join("lab/settings/overrides.json");
        let found = fs::read_to_string(&path).unwrap_or_default();
        let mut merged: Value = serde_json::from_str(&found).unwrap_or_else(|_| json!({}));
        for (plugin, settings) in overrides().as_object().into_iter().flatten() {
            for (key, value) in settings.as_object().into_iter().flatten() {
                merged[plugin][key] = value.clone();
            }
        }
        let text = format!("{merged:#}\n");
        if text != found {
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(&path, text).with_context(|| format!("写不了 {}", path.display()))?;
        }
        Ok(())
    }
}

/// What `python3 --version` prints.
///
/// # Errors
/// When there is none or it is too old.
pub fn python_version() -> Result<String> {
    let advice = format!("请安装 Python ≥ 3.{OLDEST}，或激活 environment.yml 里的环境");
    let output = Command::new("python3")
        .arg("--version")
        .output()
        .with_context(|| format!("未找到 python3：{advice}"))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let minor = version
        .strip_prefix("Python 3.")
        .and_then(|rest| rest.split('.').next());
    match minor.and_then(|minor| minor.parse::<u32>().ok()) {
        Some(minor) if minor >= OLDEST => Ok(version),
        _ => bail!("{version} 太旧：{advice}"),
    }
}

/// The end of a program's output: where it says what went wrong.
fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(5)..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}
