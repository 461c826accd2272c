//! Entries by which Jupyter finds kernels.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::advice::spelled;
use link::variable;
use serde_json::Value;

/// How a kernel is started, as a `kernel.json` says it.
#[derive(Clone, Debug)]
pub struct KernelSpec {
    /// The program and its arguments, with a place for the connection file.
    pub argv: Vec<String>,
    /// What the kernel finds in its environment.
    pub environment: BTreeMap<String, String>,
}

/// What stands for the connection file; [`KernelClient`](crate::client::KernelClient) adds that at the end.
const CONNECTION_FILE: &str = "{connection_file}";

impl KernelSpec {
    /// Reads the entry in `folder`.
    ///
    /// # Errors
    /// When there is none, or it is not as Jupyter has it.
    pub fn load(folder: &Path) -> Result<KernelSpec> {
        let file = folder.join("kernel.json");
        let advice = || {
            format!(
                "内核的登记 {} 读不了：请运行 `{}`",
                file.display(),
                spelled("setup")
            )
        };
        let text = fs::read_to_string(&file).with_context(advice)?;
        let spec: Value = serde_json::from_str(&text).with_context(advice)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let argv: Option<Vec<String>> = spec["argv"]
            .as_array()
            .and_then(|words| words.iter().map(text).collect());
        let mut argv = argv.with_context(advice)?;
        ensure!(
            argv.pop().is_some_and(|last| last == CONNECTION_FILE) && !argv.is_empty(),
            "{} 里的 argv 不以 {CONNECTION_FILE} 结尾：不知道怎样启动这样的内核",
            file.display()
        );
        let environment = spec["env"].as_object().into_iter().flatten();
        let environment =
            environment.filter_map(|(name, value)| Some((name.clone(), text(value)?)));
        Ok(KernelSpec {
            environment: environment.collect(),
            argv,
        })
    }

    /// The command that starts the kernel, but for the connection file behind it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .envs(&self.environment)
            .env_remove(variable::SPARES);
        command
    }

    /// The same for a notebook, in the notebook's folder.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn command_for(&self, notebook: &Path) -> Result<Command> {
        let notebook = std::path::absolute(notebook)?;
        let mut command = self.command();
        command
            .env(variable::NOTEBOOK, &notebook)
            .current_dir(notebook.parent().context("a notebook has a folder")?);
        Ok(command)
    }

    /// The kernel's program.
    pub fn program(&self) -> PathBuf {
        PathBuf::from(&self.argv[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_started_as_its_entry_says() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| fs::write(folder.path().join("kernel.json"), text).unwrap();
        write(
            r#"{"argv": ["/k", "-x", "{connection_file}"], "env": {"A": "b"}, "language": "rust"}"#,
        );
        let spec = KernelSpec::load(folder.path()).unwrap();
        let command = spec.command_for(Path::new("/notebooks/01.ipynb")).unwrap();
        assert_eq!(spec.program(), Path::new("/k"));
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["-x"]);
        assert_eq!(command.get_current_dir(), Some(Path::new("/notebooks")));
        assert!(
            command
                .get_envs()
                .any(|(name, value)| name == "A" && value == Some("b".as_ref()))
        );
        for wrong in ["{", r#"{"argv": []}"#, r#"{"argv": ["/k"]}"#] {
            write(wrong);
            let refusal = KernelSpec::load(folder.path()).unwrap_err().to_string();
            assert!(refusal.contains("kernel.json"), "{refusal}");
        }
    }
}
