//! The folder of a class.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::closed::closed;

/// The folder of a class.
pub struct Class {
    /// Its path, with links followed.
    pub data: PathBuf,
    /// What its students share; of another class, if that has prepared it.
    shared: PathBuf,
}

impl Class {
    /// Makes it if it is missing.
    ///
    /// # Errors
    /// When it cannot be made, or others could not reach it.
    pub fn new(data: &Path, prepared: Option<&Path>) -> Result<Class> {
        for (folder, mode) in [
            ("", 0o755),
            ("shared", 0o755),
            ("homes", 0o711),
            ("hub", 0o700),
        ] {
            let folder = data.join(folder);
            let made = DirBuilder::new().recursive(true).mode(mode).create(&folder);
            made.and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(mode)))
                .with_context(|| {
                    format!(
                        "建不了 {}：请检查磁盘空间，或用 --data 另指一处",
                        folder.display()
                    )
                })?;
        }
        let data = data.canonicalize()?;
        if let Some(closed) = closed(&data) {
            bail!(
                "学生进不了 {}：请用 --data 另指一处，例如 /srv 下面",
                closed.display()
            );
        }
        let shared = prepared.unwrap_or(&data).join("shared").canonicalize()?;
        Ok(Class { data, shared })
    }

    /// A place that everybody may read.
    pub fn shared(&self, name: &str) -> PathBuf {
        self.shared.join(name)
    }

    /// A place of root's.
    pub fn hub(&self, name: &str) -> PathBuf {
        self.data.join("hub").join(name)
    }
}
