//! The toolchain that cells need: rustc, cargo, the standard library, and a linker with what it links
//! with. A machine without a C compiler has a C library to run with, and none to link with: so what
//! `cc` would name comes along, and a small script in the place of `cc` names it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use base::toolchain::Toolchain;
use lab::trees::link_tree;
use link::pack::{LIBRARY, SOURCES, TOOLCHAIN};

const CC: &str = include_str!("../assets/cc.sh");

/// The only machines that packs are for.
const HOST: &str = "x86_64-unknown-linux-gnu";

/// The programs that are called.
const PROGRAMS: [&str; 3] = ["cargo", "rustc", "rustfmt"];

/// What is linked with, by the names by which `cc` finds it.
const LINKED: [&str; 17] = [
    "Scrt1.o",
    "crti.o",
    "crtn.o",
    "crtbeginS.o",
    "crtendS.o",
    "libc.so.6",
    "libc_nonshared.a",
    "libm.so.6",
    "libmvec.so.1",
    "libgcc.a",
    "libgcc_s.so.1",
    "ld-linux-x86-64.so.2",
    "libdl.a",
    "libpthread.a",
    "librt.a",
    "libutil.a",
    "libdl.so.2",
];

/// Second names of shared libraries: what `-lNAME` looks for. In a system these are scripts of the
/// linker with absolute paths.
const SCRIPTS: [(&str, &str); 3] = [
    (
        "libc.so",
        "GROUP ( libc.so.6 libc_nonshared.a AS_NEEDED ( ld-linux-x86-64.so.2 ) )\n",
    ),
    (
        "libm.so",
        "GROUP ( libm.so.6 AS_NEEDED ( libmvec.so.1 ) )\n",
    ),
    ("libgcc_s.so", "GROUP ( libgcc_s.so.1 libgcc.a )\n"),
];

/// Changes with what a copy would be.
pub fn key(toolchain: &Toolchain) -> String {
    let from = toolchain.sysroot.display();
    format!(
        "{} {from} {PROGRAMS:?} {LIBRARY:?} {LINKED:?} {SCRIPTS:?} {CC}",
        toolchain.version
    )
}

/// Copies what cells need of this toolchain.
///
/// # Errors
/// On another kind of machine, without a C compiler, or on a full disk.
pub fn copy(toolchain: &Toolchain, to: &Path) -> Result<()> {
    ensure!(
        toolchain.host == HOST,
        "只能在 {HOST} 上打包，这里是 {}",
        toolchain.host
    );
    let from = &toolchain.sysroot;
    fs::create_dir_all(to.join("bin"))?;
    for program in PROGRAMS {
        let source = from.join("bin").join(program);
        if source.is_file() {
            fs::copy(source, to.join("bin").join(program)).context(FULL)?;
        }
    }
    // The compiler itself, what it links with, the standard library.
    for entry in fs::read_dir(from.join("lib"))? {
        let path = entry?.path();
        let name = path.file_name().context("an entry has a name")?;
        if path.is_file() {
            fs::create_dir_all(to.join("lib"))?;
            fs::copy(&path, to.join("lib").join(name)).context(FULL)?;
        }
    }
    let inner = Path::new("lib/rustlib").join(HOST);
    for part in ["lib", "bin"] {
        let inner = inner.join(part);
        link_tree(&from.join(&inner), &to.join(&inner), true).context(FULL)?;
    }
    let sources = Path::new(SOURCES).strip_prefix(TOOLCHAIN)?;
    for name in LIBRARY {
        let place = to.join(sources).join(name);
        link_tree(&toolchain.sources.join(name), &place, true).context(FULL)?;
    }
    link_with(&to.join("link"))?;
    let cc = to.join("bin/cc");
    fs::write(&cc, CC)?;
    fs::set_permissions(&cc, Permissions::from_mode(0o755))?;
    Ok(())
}

const FULL: &str = "复制工具链失败：请检查磁盘空间";

/// Copies what `cc` links with.
fn link_with(to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for name in LINKED {
        match named_by_cc(name) {
            Some(path) => fs::copy(path, to.join(name)).map(|_| ()).context(FULL)?,
            // The last few are only there for older C libraries.
            None if name.ends_with(".a") || name == "libdl.so.2" || name == "libmvec.so.1" => {}
            None => bail!("cc 找不到 {name}：请安装 C 的开发文件（Debian：apt install libc6-dev）"),
        }
    }
    for (name, text) in SCRIPTS {
        fs::write(to.join(name), text)?;
    }
    Ok(())
}

/// Where `cc` finds a file that it links with.
fn named_by_cc(name: &str) -> Option<PathBuf> {
    let output = Command::new("cc")
        .arg(format!("-print-file-name={name}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then(|| path.canonicalize().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rustc says to `cc` when it links a library, as of Rust 1.95.
    #[test]
    fn the_script_in_the_place_of_cc_calls_rusts_own_linker() {
        let folder = tempfile::tempdir().unwrap();
        let toolchain = folder.path();
        let lld = toolchain
            .join("lib/rustlib")
            .join(HOST)
            .join("bin/rust-lld");
        for path in [&lld, &toolchain.join("bin/cc")] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        fs::write(&lld, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
        fs::write(toolchain.join("bin/cc"), CC).unwrap();
        for path in [&lld, &toolchain.join("bin/cc")] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        let cc = |arguments: &[&str]| {
            let output = Command::new(toolchain.join("bin/cc"))
                .args(arguments)
                .output();
            String::from_utf8(output.unwrap().stdout).unwrap()
        };
        let said = cc(&[
            "-m64",
            "a b.o",
            "-Wl,--as-needed,-z,noexecstack",
            "-Wl,-Bdynamic",
            "-lgcc_s",
            "-lc",
            "-B/x/gcc-ld",
            "-fuse-ld=lld",
            "-L",
            "/x",
            "-o",
            "out.so",
            "-shared",
            "-Wl,-soname=libx.so",
            "-nodefaultlibs",
        ]);
        let words: Vec<&str> = said.lines().collect();
        for expected in [
            &["-flavor", "gnu"][..],
            &[
                "a b.o",
                "--as-needed",
                "-z",
                "noexecstack",
                "-Bdynamic",
                "-lgcc_s",
                "-lc",
            ],
            &["-L", "/x", "-o", "out.so", "-shared", "-soname=libx.so"],
        ] {
            assert!(
                words
                    .windows(expected.len())
                    .any(|window| window == expected),
                "{expected:?} in {words:?}"
            );
        }
        assert!(!said.contains("-m64") && !said.contains("fuse-ld") && !said.contains("nodefault"));
        assert!(said.contains("/link/crti.o") && !said.contains("Scrt1.o"));
        // C code is for the next one, if there is one.
        let other = toolchain.join("other");
        fs::create_dir(&other).unwrap();
        fs::copy(toolchain.join("bin/cc"), other.join("cc")).unwrap();
        fs::write(other.join("cc"), "#!/bin/sh\necho \"the other: $*\"\n").unwrap();
        let compile = |path: &[&Path]| {
            let path = path
                .iter()
                .copied()
                .chain([Path::new("/usr/bin"), Path::new("/bin")]);
            let mut cc = Command::new(toolchain.join("bin/cc"));
            cc.args(["-c", "a b.c"]);
            cc.env("PATH", std::env::join_paths(path).unwrap())
                .output()
                .unwrap()
        };
        let bin = toolchain.join("bin");
        let said = compile(&[&bin, &other]).stdout;
        assert_eq!(String::from_utf8(said).unwrap(), "the other: -c a b.c\n");
        let program = cc(&["main.o", "-o", "main", "-pie"]);
        assert!(
            program.contains("Scrt1.o") && program.contains("-dynamic-linker"),
            "{program}"
        );
    }
}
