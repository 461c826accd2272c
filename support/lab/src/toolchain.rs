//! The Rust toolchain that cells are compiled with: where its real programs are, and the sources
//! of the standard library, without which evcxr cannot infer the types of variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Oldest minor version of Rust that the notebooks and the support crates compile with.
const OLDEST: u32 = 95;

/// A usable Rust toolchain.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// As `rustc --version` prints it.
    pub version: String,
    /// The target that it compiles for by default.
    pub host: String,
    /// The folder that holds `bin/` and `lib/`.
    pub sysroot: PathBuf,
    /// The folder that holds `core/` and `std/`.
    pub sources: PathBuf,
}

impl Toolchain {
    /// The toolchain that `rustc` on the path belongs to.
    ///
    /// Asking it costs some 30 ms with rustup's proxies, which the kernel then never calls again.
    ///
    /// # Errors
    /// When there is none, it is too old, or its sources are missing.
    pub fn find() -> Result<Toolchain> {
        let verbose = ask("-vV")?;
        let version = verbose.lines().next().unwrap_or_default().to_owned();
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host
            .context("`rustc -vV` 没有说出它的目标平台：请重装 Rust")?
            .to_owned();
        if minor(&version).is_some_and(|minor| minor < OLDEST) {
            bail!("{version} 太旧：请运行 `rustup update stable`（需要 1.{OLDEST} 或更新）");
        }
        let sysroot = PathBuf::from(ask("--print=sysroot")?);
        let sources = find_sources(&sysroot, std::env::var_os("RUST_SRC_PATH"), Path::new("/usr/src"))
            .context("找不到标准库的源码，单元格里的变量就没有类型推断：请运行 `rustup component add rust-src`（Debian：apt install rust-web-src），或把 RUST_SRC_PATH 设为含有 core/ 和 std/ 的文件夹")?;
        Ok(Toolchain {
            version,
            host,
            sysroot,
            sources,
        })
    }

    /// The folder with the standard library as a shared object.
    pub fn libraries(&self) -> PathBuf {
        self.sysroot
            .join("lib/rustlib")
            .join(&self.host)
            .join("lib")
    }

    /// The real cargo, not rustup's proxy.
    pub fn cargo(&self) -> PathBuf {
        self.sysroot.join("bin/cargo")
    }

    /// The real rustc, likewise.
    pub fn rustc(&self) -> PathBuf {
        self.sysroot.join("bin/rustc")
    }
}

/// What `rustc` answers to `argument`.
fn ask(argument: &str) -> Result<String> {
    let output = Command::new("rustc")
        .arg(argument)
        .output()
        .context("找不到 rustc：请从 rustup.rs 安装 Rust，再打开一个新终端")?;
    if !output.status.success() {
        bail!(
            "rustc {argument} 失败：{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The 95 of "rustc 1.95.0 (…)"; none for versions that are not 1.x.
fn minor(version: &str) -> Option<u32> {
    version
        .strip_prefix("rustc 1.")?
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// The library's sources: where the user says, in the toolchain, or from Debian's package.
fn find_sources(sysroot: &Path, named: Option<OsString>, system: &Path) -> Option<PathBuf> {
    let in_toolchain = sysroot.join("lib/rustlib/src/rust/library");
    let mut packaged: Vec<PathBuf> = std::fs::read_dir(system)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("rustc-"))
        })
        .map(|path| path.join("library"))
        .collect();
    packaged.sort();
    named
        .map(PathBuf::from)
        .into_iter()
        .chain([in_toolchain])
        .chain(packaged.into_iter().rev())
        .find(|library| library.join("core/src/lib.rs").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_minor_version_is_read() {
        assert_eq!(minor("rustc 1.95.0 (59807616e 2026-04-14)"), Some(95));
        assert_eq!(
            minor("rustc 1.97.0-nightly (e50aa6fba 2026-05-19)"),
            Some(97)
        );
        assert_eq!(minor("rustc 2.0.0"), None);
    }

    #[test]
    fn sources_in_the_toolchain_win_over_packaged_ones() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let library = folder.path().join(path);
            fs::create_dir_all(library.join("core/src")).unwrap();
            fs::write(library.join("core/src/lib.rs"), "").unwrap();
            library
        };
        let system = folder.path().join("usr-src");
        let sysroot = folder.path().join("toolchain");
        assert_eq!(find_sources(&sysroot, None, &system), None);
        make("usr-src/rustc-1.85.0/library");
        let packaged = make("usr-src/rustc-1.96.0/library");
        assert_eq!(find_sources(&sysroot, None, &system), Some(packaged));
        let toolchain = make("toolchain/lib/rustlib/src/rust/library");
        assert_eq!(find_sources(&sysroot, None, &system), Some(toolchain));
        let named = make("named");
        assert_eq!(
            find_sources(&sysroot, Some(named.clone().into()), &system),
            Some(named)
        );
    }
}
