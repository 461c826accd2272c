//! One file with everything: it unpacks itself, and what is in it needs no network, no Rust and no C
//! compiler. Whether that is so on a system that really has none of them is played by hand: see
//! support/pack/README.md.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::command::{LONG, SHORT, finish};
use crate::common::{self, clean, lab, project};

/// With no network but loopback, and nothing else in the environment.
fn without_network(folder: &Path, script: &str) -> Command {
    // What brings loopback up: `ip` is not everywhere.
    const LOOPBACK: &str = "import fcntl, socket, struct; \
        fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sH14x', b'lo', 0x41))";
    let mut command = Command::new("/usr/bin/unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["--net", "sh", "-c"])
        .arg(format!("python3 -c \"{LOOPBACK}\" && {script}"))
        .env_clear()
        .env("PATH", folder.join("path"))
        .env("HOME", folder.join("home"))
        .env("LANG", "C.UTF-8")
        .current_dir(folder);
    command
}

/// A command of a pack, in an environment in which its owner works with another Rust, in another way.
fn started(folder: &Path, script: &str) -> Command {
    let mut command = without_network(folder, script);
    command
        .env("CARGO_HOME", folder.join("nowhere"))
        .env("CARGO_BUILD_TARGET_DIR", folder.join("nowhere"))
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "3")
        .env("RUSTC_WRAPPER", "/nowhere/wrapper")
        .env("PIP_USER", "1");
    command
}

/// A home with settings of cargo that would be in the way: a mirror that does not answer.
fn home_with_a_mirror(folder: &Path) {
    let settings = folder.join("home/.cargo");
    fs::create_dir_all(&settings).unwrap();
    let text = "[source.crates-io]\nreplace-with = \"near\"\n\
        [source.near]\nregistry = \"sparse+http://127.0.0.1:9/\"\n";
    fs::write(settings.join("config.toml"), text).unwrap();
}

/// The programs that a minimal Debian has and a pack calls, and no other; the Python is the one that
/// this clone's environment was made with.
fn path_of_a_minimal_system(folder: &Path) {
    let path = folder.join("path");
    fs::create_dir_all(&path).unwrap();
    for program in [
        "cat", "chmod", "dirname", "env", "getconf", "head", "mktemp", "rm", "sed", "sh", "tail",
        "uname",
    ] {
        let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(program));
        let found = found.into_iter().find(|path| path.exists());
        let found = found.unwrap_or_else(|| panic!("{program} is not there"));
        symlink(found, path.join(program)).unwrap();
    }
    let mut python = clean(common::python());
    let python = python.args(["-c", "import sys; print(sys._base_executable)"]);
    let python = String::from_utf8(python.output().unwrap().stdout).unwrap();
    let python = Path::new(python.trim()).canonicalize().unwrap();
    symlink(python, path.join("python3")).unwrap();
}

/// Says aloud why the test is skipped; where no test may be, that is a failure.
fn skip(how: &str) {
    assert!(std::env::var_os("LAB_SKIP_NOTHING").is_none(), "{how}");
    // Past the capture of the test's output: a skipped test is to be seen.
    let _ = writeln!(std::io::stderr(), "跳过包的测试，{how}");
}

#[test]
fn a_pack_opens_without_network_rust_or_compiler_and_compiles_no_crate_again() {
    common::set_up();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    path_of_a_minimal_system(folder);
    home_with_a_mirror(folder);
    let cut_off = without_network(folder, "true").output().unwrap();
    if !cut_off.status.success() {
        return skip("这里不能用 unshare 断开网络（容器里，或者 AppArmor 不许）：请用 root 运行");
    }
    let packed = folder.join("notes.run");
    let mut pack = clean(lab());
    pack.args(["pack", "--notebook", "00", "--out"])
        .arg(&packed)
        .current_dir(project().root());
    let made = finish(&mut pack, LONG);
    if made
        .text
        .contains("学生的系统上可能没有：请在旧一些的系统上打包")
    {
        return skip("这个系统的 glibc 太新，编译出来的程序不能打包");
    }
    made.succeeded();

    let mut compare = clean("sha256sum");
    compare.args(["-c", "notes.run.sha256"]).current_dir(folder);
    finish(&mut compare, SHORT).succeeded();

    // Where it could not be used it says so, and leaves nothing.
    fs::create_dir_all(folder.join("a blank")).unwrap();
    let refused = finish(
        &mut without_network(folder, "sh notes.run 'a blank'"),
        SHORT,
    );
    refused.failed_with(&["空格或冒号", "a blank"]);
    assert_eq!(fs::read_dir(folder.join("a blank")).unwrap().count(), 0);

    // A part that has been lost on its way is found.
    let whole = fs::read(&packed).unwrap();
    fs::write(folder.join("cut.run"), &whole[..whole.len() - 1000]).unwrap();
    fs::create_dir_all(folder.join("cut")).unwrap();
    let refused = finish(&mut without_network(folder, "sh cut.run cut"), LONG);
    refused.failed_with(&["不完整"]);
    assert_eq!(fs::read_dir(folder.join("cut")).unwrap().count(), 0);

    // Below a home, where cargo would find what is set there.
    let place = folder.join("home/学生");
    fs::create_dir_all(&place).unwrap();
    finish(&mut without_network(folder, "sh notes.run home/学生"), LONG).succeeded();
    let unpacked = only_entry(&place);
    let pack = format!("home/学生/{}", unpacked.file_name().unwrap().display());
    let start = format!("{pack}/start");
    let ran = finish(&mut started(folder, &format!("{start} run 00")), LONG).succeeded();
    println!("the first notebook, set-up included: {:?}", ran.took);
    let none = BTreeSet::new();
    // Not even looked at again: what was compiled is found by the times of its sources.
    assert!(!ran.text.contains("编译笔记本用到的"), "{}", ran.text);
    assert_eq!(compiled(folder, &pack, "00-guide"), none);
    // It would be seen.
    let own = folder.join("own");
    fs::create_dir_all(own.join("src")).unwrap();
    let manifest = "[package]\nname = \"own\"\nversion = \"0.1.0\"\nedition = \"2024\"";
    fs::write(own.join("Cargo.toml"), manifest).unwrap();
    fs::write(own.join("src/lib.rs"), "pub const TWO: u32 = 2;").unwrap();
    let first = format!(":dep own = {{ path = {own:?} }}\nlet two: u32 = own::TWO;");
    let notebook = unpacked.join("course/notebooks/own.ipynb");
    fs::write(notebook, common::notebook(&[(&first, false)])).unwrap();
    assert_eq!(
        compiled(folder, &pack, "own"),
        BTreeSet::from(["own".to_owned()])
    );
    // Of the other notebooks' dependencies this one has none.
    let doctor = finish(&mut started(folder, &format!("{start} doctor")), SHORT);
    for well in ["✓ rustc", "✓ 链接器", "✓ Python", "✓ 内核 Rust"] {
        assert!(doctor.text.contains(well), "{}", doctor.text);
    }

    // Nothing outside of it.
    let home: Vec<PathBuf> = fs::read_dir(folder.join("home"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".cache") || fs::read_dir(path).unwrap().count() > 0)
        .filter(|path| !path.ends_with(".cargo") && !path.ends_with("学生"))
        .collect();
    assert!(home.is_empty(), "{home:?}");
    let settings = fs::read_dir(folder.join("home/.cargo")).unwrap();
    assert_eq!(settings.count(), 1);
    assert!(!folder.join("nowhere").exists());

    // Help is of what there is, as it is typed.
    let help = finish(&mut started(folder, &format!("{start} --help")), SHORT).succeeded();
    assert!(help.text.contains("/start run 01"), "{}", help.text);
    for elsewhere in ["cargo run", "打成一个文件"] {
        assert!(!help.text.contains(elsewhere), "{}", help.text);
    }

    // What is not in there is said at once.
    for what in ["\"0.9\"", "{ git = \"http://127.0.0.1:9/rand_pcg\" }"] {
        let first = format!(":dep rand_pcg = {what}\nlet x = 1;");
        let own = unpacked.join("course/notebooks/mine.ipynb");
        fs::write(&own, common::notebook(&[(&first, false)])).unwrap();
        let run = format!("{start} run mine");
        let refused = finish(&mut started(folder, &run), SHORT);
        assert!(!refused.text.contains("检查网络"), "{}", refused.text);
        refused.failed_with(&["rand_pcg", "这个包里没有"]);
    }

    // Moved, it is still one.
    fs::rename(&unpacked, folder.join("home/elsewhere")).unwrap();
    let run = "home/elsewhere/start run 00";
    finish(&mut started(folder, run), LONG).succeeded();
    assert_eq!(compiled(folder, "home/elsewhere", "00-guide"), none);
}

fn only_entry(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let entry = entries.next().expect("it is not empty").unwrap().path();
    assert!(entries.next().is_none());
    let start = fs::metadata(entry.join("start")).unwrap();
    assert_eq!(start.permissions().mode() & 0o111, 0o111);
    entry
}

/// What cargo compiles in a pack for the first cell of a notebook, in a kernel of its own, besides the
/// cell, which evcxr calls `ctx`.
fn compiled(folder: &Path, pack: &str, notebook: &str) -> BTreeSet<String> {
    let warm = format!(
        "{pack}/bin/runner warm --kernel {pack}/course/.venv/share/jupyter/kernels/rust \
         {pack}/course/notebooks/{notebook}.ipynb"
    );
    let warmed = finish(&mut without_network(folder, &warm), LONG).succeeded();
    let packages = warmed
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("Compiling "));
    packages
        .map(|package| package.split(' ').next().unwrap_or_default().to_owned())
        .filter(|package| package != "ctx")
        .collect()
}
