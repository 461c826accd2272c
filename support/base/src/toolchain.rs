//! The Rust toolchain that cells are compiled with: where its real programs are, and the sources
//! of the standard library, without which evcxr cannot infer the types of variables.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::advice::spelled;
use crate::process::{finish, last_lines};

/// Oldest version of Rust that the notebooks and the support crates compile with: `1.95`, as the
/// workspace's manifest says it.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");
/// Where all this has been run and measured.
const TRIED: &str = "x86_64-unknown-linux-gnu";

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
        let compiler = Compiler::find()?;
        let Some(sources) = compiler.sources() else {
            bail!("{}", compiler.advice());
        };
        Ok(Toolchain {
            version: compiler.version,
            host: compiler.host,
            sysroot: compiler.sysroot,
            sources,
        })
    }

    /// As [`Toolchain::find`], after adding missing sources where rustup owns the toolchain.
    ///
    /// # Errors
    /// As there; and when rustup cannot add them, without network for one.
    pub fn find_or_complete() -> Result<Toolchain> {
        let compiler = Compiler::find()?;
        let owner = Owner::of(&compiler.sysroot);
        if let Owner::Rustup { home, name } = &owner
            && compiler.sources().is_none()
        {
            println!("  标准库的源码还没有：用 rustup 给工具链 {name} 添加 rust-src");
            add_sources(home, name)?;
            let sources = compiler.sources().with_context(|| {
                format!(
                    "rustup 说 rust-src 已经装好，{} 里却没有：请运行 `rustup component remove rust-src --toolchain {name}`，然后重试",
                    compiler.sysroot.display()
                )
            })?;
            println!("✓ 标准库的源码：{}", sources.display());
        }
        Toolchain::find()
    }

    /// What to know about a machine of a kind that all this has never run on.
    pub fn remark(&self) -> Option<String> {
        let remark = || {
            format!(
                "{} 上没有运行过，也没有测量过（试过的是 {TRIED}）；链接单元格的捷径那里没有，每格因此慢一些",
                self.host
            )
        };
        (self.host != TRIED).then(remark)
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

/// A toolchain that may lack the library's sources.
struct Compiler {
    version: String,
    host: String,
    sysroot: PathBuf,
}

impl Compiler {
    fn find() -> Result<Compiler> {
        let verbose = ask("-vV")?;
        let version = verbose.lines().next().unwrap_or_default().to_owned();
        let host = verbose.lines().find_map(|line| line.strip_prefix("host: "));
        let host = host
            .context("`rustc -vV` 没有说出它的目标平台：请重装 Rust")?
            .to_owned();
        if too_old(&version) {
            bail!("{version} 太旧：请运行 `rustup update stable`（需要 {OLDEST} 或更新）");
        }
        let sysroot = PathBuf::from(ask("--print=sysroot")?);
        Ok(Compiler {
            version,
            host,
            sysroot,
        })
    }

    fn sources(&self) -> Option<PathBuf> {
        let named = std::env::var_os("RUST_SRC_PATH");
        let compiler = minor(&self.version);
        find_sources(&self.sysroot, named, Path::new("/usr/src"), compiler)
    }

    /// What is missing without the sources, and how this toolchain gets them.
    fn advice(&self) -> String {
        let version = match minor(&self.version) {
            Some(minor) => format!("1.{minor}"),
            None => self.version.clone(),
        };
        format!(
            "找不到标准库的源码，单元格里的变量就没有类型推断：请{}，或把 RUST_SRC_PATH 设为含有 core/ 和 std/ 的文件夹",
            Owner::of(&self.sysroot).advice(&version)
        )
    }
}

/// Who installed a toolchain: they have the sources that fit it, too.
#[derive(Debug, PartialEq)]
enum Owner {
    /// rustup, in this home of its, under this name.
    Rustup { home: PathBuf, name: String },
    /// conda, in an environment.
    Conda,
    /// A distribution, or whoever compiled it.
    Other,
}

impl Owner {
    /// The owner of the toolchain in `sysroot`. That is the one that `rustc` has said, whichever of
    /// rustup's ways to choose one was used.
    fn of(sysroot: &Path) -> Owner {
        // rustup's list of what it can add. A toolchain that was only linked to it has none.
        let list = sysroot.join("lib/rustlib/multirust-channel-manifest.toml");
        let home = sysroot
            .parent()
            .filter(|folder| folder.ends_with("toolchains"))
            .and_then(Path::parent);
        match (home, sysroot.file_name().and_then(|name| name.to_str())) {
            (Some(home), Some(name)) if list.is_file() => Owner::Rustup {
                home: home.to_owned(),
                name: name.to_owned(),
            },
            _ if sysroot.join("conda-meta").is_dir() => Owner::Conda,
            _ => Owner::Other,
        }
    }

    /// How the sources are installed that fit this `version`.
    fn advice(&self, version: &str) -> String {
        match self {
            Owner::Rustup { name, .. } => format!(
                "运行 `{}`，它会用 rustup 装上（`rustup component add rust-src --toolchain {name}`）",
                spelled("setup")
            ),
            Owner::Conda => format!(
                "在 environment.yml 里写上与 rust 同一版本（{version}）的 rust-src，再运行 `conda env update -f environment.yml`"
            ),
            Owner::Other => format!(
                "安装与 rustc 同一版本（{version}）的 rust-src（Debian：rustc 用 `apt install rust-src`，rustc-web 用 `apt install rust-web-src`）"
            ),
        }
    }
}

/// Lets rustup, whose home is `home`, add the library's sources to its toolchain `name`.
fn add_sources(home: &Path, name: &str) -> Result<()> {
    // What root adds to somebody else's, they could not change any more.
    let owner = fs::metadata(home).map(|home| home.uid());
    if owner.is_ok_and(|owner| owner != rustix::process::geteuid().as_raw()) {
        bail!(
            "{} 属于别的用户，不改动它：请用那个用户运行 `rustup component add rust-src --toolchain {name}`，然后重试",
            home.display()
        );
    }
    let mut rustup = Command::new("rustup");
    rustup
        .args(["component", "add", "rust-src", "--toolchain", name])
        .env("RUSTUP_HOME", home);
    let output = finish(rustup, |_, _| ()).with_context(|| {
        format!(
            "工具链 {name} 是 rustup 装的，却运行不了 rustup：请把它加进 PATH（通常在 ~/.cargo/bin），然后重试"
        )
    })?;
    if !output.status.success() {
        bail!(
            "rustup 装不了 rust-src：{}\n（请检查网络、磁盘空间和权限，然后重试；没有网络的话，从别处的同一版本拷来 lib/rustlib/src/rust/library，把 RUST_SRC_PATH 设为它）",
            last_lines(&output.stderr)
        );
    }
    Ok(())
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

/// Whether this compiler is older than the workspace allows. One that is not 1.x is new enough.
fn too_old(version: &str) -> bool {
    let oldest = minor(&format!("rustc {OLDEST}"));
    minor(version).is_some_and(|minor| Some(minor) < oldest)
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

/// The library's sources: where the user says, in the toolchain, or from Debian's package; of its
/// versions that of the compiler, whose minor version this is, or else the newest.
fn find_sources(
    sysroot: &Path,
    named: Option<OsString>,
    system: &Path,
    compiler: Option<u32>,
) -> Option<PathBuf> {
    let in_toolchain = sysroot.join("lib/rustlib/src/rust/library");
    let mut packaged: Vec<_> = std::fs::read_dir(system)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let version = folder.file_name()?.to_str()?.strip_prefix("rustc-")?;
            let version = version.split('.').map(str::parse).map_while(Result::ok);
            let version: Vec<u32> = version.collect();
            let fits = compiler.is_some() && version.get(1).copied() == compiler;
            Some((fits, version, folder.join("library")))
        })
        .collect();
    packaged.sort();
    named
        .map(PathBuf::from)
        .into_iter()
        .chain([in_toolchain])
        .chain(packaged.into_iter().rev().map(|(_, _, library)| library))
        .find(|library| library.join("core/src/lib.rs").is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_the_workspace_says_is_the_oldest_is_not_too_old_and_anything_before_it_is() {
        let oldest = minor(&format!("rustc {OLDEST}")).unwrap();
        for (minor, old) in [(oldest - 1, true), (oldest, false), (oldest + 1, false)] {
            let version = format!("rustc 1.{minor}.0 (59807616e 2026-04-14)");
            assert_eq!(too_old(&version), old, "{version}");
        }
        assert!(!too_old("rustc 2.0.0"));
    }

    #[test]
    fn sources_in_the_toolchain_win_over_packaged_ones_and_of_these_the_compilers_own() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let library = folder.path().join(path);
            fs::create_dir_all(library.join("core/src")).unwrap();
            fs::write(library.join("core/src/lib.rs"), "").unwrap();
            library
        };
        let system = folder.path().join("usr-src");
        let sysroot = folder.path().join("toolchain");
        let find = |named| find_sources(&sysroot, named, &system, Some(96));
        assert_eq!(find(None), None);
        let older = make("usr-src/rustc-1.85.0/library");
        assert_eq!(find(None), Some(older));
        make("usr-src/rustc-1.99.0/library");
        let newest = make("usr-src/rustc-1.100.0/library");
        assert_eq!(find(None), Some(newest));
        let fitting = make("usr-src/rustc-1.96.0/library");
        assert_eq!(find(None), Some(fitting));
        let toolchain = make("toolchain/lib/rustlib/src/rust/library");
        assert_eq!(find(None), Some(toolchain));
        let named = make("named");
        assert_eq!(find(Some(named.clone().into())), Some(named));
    }

    #[test]
    fn each_owner_of_a_toolchain_is_known_by_what_it_left_there() {
        let folder = tempfile::tempdir().unwrap();
        let list = "lib/rustlib/multirust-channel-manifest.toml";
        for (path, left, name) in [
            ("toolchains/stable-x86_64-unknown-linux-gnu", list, "rustup"),
            (
                "toolchains/1.95.0-aarch64-unknown-linux-gnu",
                list,
                "rustup",
            ),
            // Copied there by hand, or compiled: rustup refuses to add to it.
            ("toolchains/mine", "lib/rustlib/components", ""),
            // A copy that rustup knows nothing of.
            ("copy", list, ""),
            ("conda/envs/notes", "conda-meta/history", "conda"),
            ("usr", "lib/rustlib/components", ""),
        ] {
            let sysroot = folder.path().join(path);
            let left = sysroot.join(left);
            fs::create_dir_all(left.parent().unwrap()).unwrap();
            fs::write(left, "").unwrap();
            let expected = match name {
                "rustup" => Owner::Rustup {
                    home: folder.path().to_owned(),
                    name: path.split_once('/').unwrap().1.to_owned(),
                },
                "conda" => Owner::Conda,
                _ => Owner::Other,
            };
            assert_eq!(Owner::of(&sysroot), expected, "{path}");
        }
    }

    #[test]
    fn every_owner_has_a_way_to_the_sources() {
        let name = "1.95.0-x86_64-unknown-linux-gnu".to_owned();
        let home = PathBuf::new();
        for (owner, words) in [
            (
                Owner::Rustup { home, name },
                [
                    "cargo run -- setup",
                    "component add rust-src --toolchain 1.95.0-x86_64-unknown-linux-gnu",
                ],
            ),
            (Owner::Conda, ["environment.yml", "（1.95）的 rust-src"]),
            (
                Owner::Other,
                ["（1.95）的 rust-src", "apt install rust-web-src"],
            ),
        ] {
            let advice = owner.advice("1.95");
            assert!(words.iter().all(|word| advice.contains(word)), "{advice}");
        }
    }

    #[test]
    fn a_machine_of_another_kind_is_told_that_it_is_the_first() {
        let on = |host: &str| {
            let toolchain = Toolchain {
                version: String::new(),
                host: host.to_owned(),
                sysroot: PathBuf::new(),
                sources: PathBuf::new(),
            };
            toolchain.remark()
        };
        assert_eq!(on("x86_64-unknown-linux-gnu"), None);
        for host in ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-musl"] {
            let remark = on(host).unwrap();
            assert!(
                remark.contains(host) && remark.contains("没有运行过"),
                "{remark}"
            );
        }
    }
}
