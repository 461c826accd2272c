//! One file with everything: it unpacks itself, and what is in it needs no network, no Rust and no C
//! compiler. Whether that is so on a system that really has none of them is played by hand: see
//! support/pack/README.md.

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

/// The programs that a minimal Debian has and a pack calls, and no other; the Python is the one that
/// this clone's environment was made with.
fn path_of_a_minimal_system(folder: &Path) {
    let path = folder.join("path");
    fs::create_dir_all(&path).unwrap();
    fs::create_dir_all(folder.join("home")).unwrap();
    for program in [
        "cat", "chmod", "dirname", "getconf", "head", "mktemp", "rm", "sed", "sh", "tail", "uname",
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

    let place = folder.join("学生");
    fs::create_dir_all(&place).unwrap();
    finish(&mut without_network(folder, "sh notes.run 学生"), LONG).succeeded();
    let unpacked = only_entry(&place);
    let start = format!("学生/{}/start", unpacked.file_name().unwrap().display());
    let ran = finish(
        &mut without_network(folder, &format!("{start} run 00")),
        LONG,
    )
    .succeeded();
    println!("the first notebook, set-up included: {:?}", ran.took);
    // Not even looked at again: what was compiled is found by the times of its sources.
    assert!(!ran.text.contains("编译笔记本用到的"), "{}", ran.text);
    let compiled = compiled(&unpacked);
    assert!(compiled.is_empty(), "compiled again: {compiled:?}");
    // Of the other notebooks' dependencies this one has none.
    let doctor = finish(
        &mut without_network(folder, &format!("{start} doctor")),
        SHORT,
    );
    for well in ["✓ rustc", "✓ 链接器", "✓ Python", "✓ 内核 Rust"] {
        assert!(doctor.text.contains(well), "{}", doctor.text);
    }

    // Nothing outside of it.
    let home: Vec<PathBuf> = fs::read_dir(folder.join("home"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with(".cache") || fs::read_dir(path).unwrap().count() > 0)
        .collect();
    assert!(home.is_empty(), "{home:?}");

    // What is not in there is said at once.
    let cells = [(":dep rand_pcg = \"0.9\"\nlet x = 1;", false)];
    let own = unpacked.join("course/notebooks/mine.ipynb");
    fs::write(&own, common::notebook(&cells)).unwrap();
    let run = format!("{start} run mine");
    let refused = finish(&mut without_network(folder, &run), SHORT);
    refused.failed_with(&["rand_pcg", "这个包里没有"]);

    // Moved, it is still one.
    let moved = folder.join("elsewhere");
    fs::rename(&unpacked, &moved).unwrap();
    let run = "elsewhere/start run 00";
    finish(&mut without_network(folder, run), LONG).succeeded();
    assert_eq!(self::compiled(&moved), Vec::<String>::new());
}

fn only_entry(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let entry = entries.next().expect("it is not empty").unwrap().path();
    assert!(entries.next().is_none());
    let start = fs::metadata(entry.join("start")).unwrap();
    assert_eq!(start.permissions().mode() & 0o111, 0o111);
    entry
}

/// The packages that the set-up in a pack has compiled, as its log says.
fn compiled(pack: &Path) -> Vec<String> {
    let caches = fs::read_dir(pack.join("cache/rust-async-notebooks")).unwrap();
    let logs = caches.map(|entry| entry.unwrap().path().join("setup.log"));
    let log: String = logs
        .filter_map(|log| fs::read_to_string(log).ok())
        .collect();
    log.lines()
        .filter_map(|line| line.split_once("Compiling "))
        .map(|(_, package)| package.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}
