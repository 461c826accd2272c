//! What the program promises at the command line.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::{TempDir, tempdir};

/// The program in a folder of its own, under a time limit that passes signals on.
fn flags(folder: &TempDir, arguments: &str) -> Command {
    let mut command = Command::new("timeout");
    command
        .args([
            "--foreground",
            "--kill-after=5",
            "120",
            env!("CARGO_BIN_EXE_flags"),
        ])
        .args(arguments.split_whitespace())
        .current_dir(folder);
    command
}

fn run(folder: &TempDir, arguments: &str) -> Output {
    flags(folder, arguments).output().unwrap()
}

/// What it prints, with the port, the seed and the time as `N`.
fn printed(arguments: &str) -> String {
    let folder = tempdir().unwrap();
    let output = run(&folder, arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| match line.split_once("：") {
        Some(("用时", _)) => "用时：N".to_owned(),
        Some((site, url)) if url.starts_with("http://127.0.0.1:") => format!("{site}：N"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn names(folder: &Path) -> Vec<String> {
    let files = folder.read_dir().unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_asked_for_downloads_the_20_most_populous_countries() {
    let report = "LOCAL 站点：N\n查找 20 面国旗：从 BD 到 VN\n使用 5 个并发连接。\n\
        --------------------\n 20 面国旗已下载。\n用时：N";
    assert_eq!(printed(""), report);
}

#[test]
fn ten_or_fewer_codes_are_listed_and_one_connection_is_enough_for_one() {
    let report = printed("-s Local cn jp zz");
    assert!(
        report.contains("查找 3 面国旗：CN、JP、ZZ\n使用 3 个并发连接。"),
        "{report}"
    );
    assert!(
        report.ends_with("  2 面国旗已下载。\n  1 个未找到。\n用时：N"),
        "{report}"
    );
    assert!(printed("CN").contains("查找 1 面国旗：CN\n使用 1 个连接。"));
    assert!(
        printed("-a -l 10").contains("查找 10 面国旗：AD、AE、AF、AG、AL、AM、AO、AR、AT、AU\n")
    );
    assert!(printed("-a -l 11").contains("查找 11 面国旗：从 AD 到 AZ\n"));
}

#[test]
fn a_letter_means_26_codes() {
    let report = printed("z -m 40 --no-metadata");
    assert!(
        report.contains("查找 26 面国旗：从 ZA 到 ZZ\n使用 26 个并发连接。\n"),
        "{report}"
    );
    assert!(
        report.ends_with("  3 面国旗已下载。\n 23 个未找到。\n用时：N"),
        "{report}"
    );
}

#[test]
fn each_mode_has_its_own_number_of_connections() {
    for (mode, said) in [
        ("sequential", "使用 1 个连接。"),
        ("sequential -m 9", "使用 1 个连接。"),
        ("async", "使用 5 个并发连接。"),
        ("threads", "使用 30 个线程，每个线程一个连接。"),
        ("threads -m 1", "使用 1 个线程，每个线程一个连接。"),
    ] {
        let report = printed(&format!("-a -l 31 --no-metadata --mode {mode}"));
        assert!(
            report.contains(&format!("从 AD 到 CF\n{said}\n")),
            "{mode}: {report}"
        );
    }
}

#[test]
fn where_chance_decides_the_seed_is_told() {
    let folder = tempdir().unwrap();
    let site = |arguments: &str| {
        let output = run(&folder, arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert!(!site("CN").contains("--seed"));
    for arguments in [
        "CN --error-rate 0.5",
        "CN --delay 0..0.1",
        "CN -s error --delay 0",
    ] {
        assert!(site(&format!("{arguments} --seed 7")).ends_with("（--seed 7 可以重现）"));
    }
}

/// What it shows on a terminal.
fn on_a_terminal(folder: &TempDir, command: &str) -> String {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .env("TERM", "xterm")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn on_a_terminal_a_bar_shows_how_far_it_is() {
    let folder = tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_flags");
    let shown = on_a_terminal(&folder, &format!("timeout 120 {program} -a -m 50"));
    assert!(shown.contains("194/194"), "{shown}");
    assert!(shown.contains("194 面国旗已下载。"), "{shown}");

    // Interrupted, it keeps what was done.
    let slow = format!("timeout --foreground --signal=INT 4 {program} -a --delay 0.1 -m 2");
    let shown = on_a_terminal(&folder, &slow);
    assert!(
        shown.contains("/194") && shown.contains("已中断，到此为止："),
        "{shown}"
    );
    assert!(!shown.contains("194/194"), "{shown}");
}

#[test]
fn every_goes_before_all_and_all_before_codes() {
    let report = printed("-e -a CN -m 5000");
    assert!(
        report.contains("查找 676 面国旗：从 AA 到 ZZ\n使用 676 个并发连接。"),
        "{report}"
    );
    assert!(
        report.ends_with("194 面国旗已下载。\n482 个未找到。\n用时：N"),
        "{report}"
    );
    assert!(printed("-a CN -m 50").contains("194 面国旗：从 AD 到 ZW"));
    assert!(printed("--all --limit 3").contains("查找 3 面国旗：AD、AE、AF"));
}

#[test]
fn files_are_named_after_countries_or_else_codes() {
    let folder = tempdir().unwrap();
    run(&folder, "CD CI KP GW GB");
    let countries = [
        "Congo_(Kinshasa).svg",
        "Côte_d'Ivoire.svg",
        "Guinea-Bissau.svg",
        "Korea,_North.svg",
        "United_Kingdom.svg",
    ];
    assert_eq!(names(&folder.path().join("downloaded")), countries);
    run(&folder, "CD CI --no-metadata -o codes");
    assert_eq!(names(&folder.path().join("codes")), ["cd.svg", "ci.svg"]);
}

#[test]
fn all_modes_report_the_same() {
    for mode in ["sequential", "async", "THREADS"] {
        let report = printed(&format!("-e -s error --delay 0 --seed 1 -v --mode {mode}"));
        let (lines, report) = report.split_once("--------------------\n").unwrap();
        assert_eq!(
            report, " 91 面国旗已下载。\n345 个未找到。\n240 个出错。\n用时：N",
            "{mode}"
        );
        assert_eq!(lines.lines().count(), 3 + 676);
        assert!(lines.contains("\nCN 已保存 China.svg\n") || lines.contains("\nCN 出错："));
        assert!(
            lines.contains("\nAP 出错：服务器答复 418 I'm a teapot\n"),
            "{lines}"
        );
    }
}

#[test]
fn without_verbose_one_error_is_shown_as_an_example() {
    let report = printed("CN JP --error-rate 1 --delay 0");
    assert!(
        report.contains("  0 面国旗已下载。\n  2 个出错。\n"),
        "{report}"
    );
    assert!(
        report.ends_with("418 I'm a teapot（加上 -v 逐个查看）"),
        "{report}"
    );
}

#[test]
fn usage_errors_say_what_is_wrong_and_exit_with_2() {
    let folder = tempdir().unwrap();
    for (arguments, message) in [
        ("-m 0", "--max_req 的值不能是“0”：要写 1 以上的整数"),
        ("--max_req x", "--max_req 的值不能是“x”：要写 1 以上的整数"),
        ("-l 0", "--limit 的值不能是“0”：要写 1 以上的整数"),
        ("-l -1", "--limit 的值不能是“-1”：要写 1 以上的整数"),
        (
            "-s nowhere",
            "--server 的值不能是“nowhere”：要写 LOCAL、DELAY、ERROR 或 REMOTE",
        ),
        ("CN 1", "国家代码要写成 A 到 Z 或 AA 到 ZZ，不能是“1”"),
        ("CHN", "国家代码要写成 A 到 Z 或 AA 到 ZZ，不能是“CHN”"),
        (
            "--mode fast",
            "--mode 的值不能是“fast”：可以是 sequential, async, threads",
        ),
        (
            "--retries 11",
            "--retries 的值不能是“11”：要写 0 到 10 的整数",
        ),
        ("--timeout 0", "--timeout 的值不能是“0”：要写大于 0 的秒数"),
        (
            "--delay 5..1",
            "--delay 的值不能是“5..1”：要写秒数，例如 0.2 或 0.5..5",
        ),
        (
            "--error-rate 1.5",
            "--error-rate 的值不能是“1.5”：要写 0 到 1 的数",
        ),
        (
            "--port 70000",
            "--port 的值不能是“70000”：要写 0 到 65535 的整数",
        ),
        ("--seed x", "--seed 的值不能是“x”：要写 0 以上的整数"),
        ("-m", "--max_req 后面缺一个值"),
        ("--nonsense", "这里不能用 --nonsense"),
        ("-a -a", "--all 只能写一次"),
        ("--all=1", "--all 后面不能有值 1"),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said.lines().next(),
            Some(format!("错误：{message}").as_str()),
            "{arguments}"
        );
        assert!(said.contains("\n用法：flags "), "{said}");
        assert!(output.stdout.is_empty());
    }
    assert!(!folder.path().join("downloaded").exists());
}

#[test]
fn saving_that_fails_is_never_ok() {
    let folder = tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output = run(&folder, "CN JP -o file");
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("  0 面国旗已下载。\n  2 个出错。\n"),
        "{report}"
    );
    assert!(report.contains("没能保存 file/"), "{report}");
}

#[test]
fn what_ends_the_writing_leaves_the_old_file_whole() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("China.svg");
    std::fs::write(&file, "old").unwrap();
    // No file may grow: an error for who ignores the signal, and the end for who does not.
    for signal in ["trap '' XFSZ;", ""] {
        let output = Command::new("sh")
            .args(["-c", &format!("{signal} ulimit -f 0; exec \"$0\" -o . CN")])
            .arg(env!("CARGO_BIN_EXE_flags"))
            .current_dir(&folder)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        if signal.is_empty() {
            assert_eq!(output.status.signal(), Some(25), "{output:?}");
        } else {
            assert!(
                text.contains("  0 面国旗已下载。\n  1 个出错。"),
                "{output:?}"
            );
            assert_eq!(names(folder.path()), ["China.svg"]);
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    }
}

#[test]
fn an_interrupt_ends_it_with_a_report_of_what_was_done() {
    for mode in ["sequential", "async", "threads"] {
        let folder = tempdir().unwrap();
        let arguments = format!("-a -v -s delay --delay 1 -m 1 --no-metadata --mode {mode}");
        // Not under `timeout`, which would get the signal.
        let mut child = Command::new(env!("CARGO_BIN_EXE_flags"))
            .args(arguments.split(' '))
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("已保存") {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "it ended by itself");
        }
        let kill = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));

        let (_, report) = rest.split_once("已中断").expect(&rest);
        let number = |what: &str| {
            let line = report
                .lines()
                .find(|line| line.contains(what))
                .expect(report);
            line.split_whitespace()
                .next()
                .unwrap()
                .parse::<usize>()
                .unwrap()
        };
        let (ok, unfinished) = (number("已下载"), number("没有做完"));
        assert!(ok > 0 && unfinished > 0, "{report}");
        assert_eq!(ok + unfinished, 194);
        assert!(report.contains("用时："));
    }
}

#[test]
fn a_proxy_for_the_outside_is_not_asked_for_this_machine() {
    let folder = tempdir().unwrap();
    let proxy = "http://127.0.0.1:1";
    let output = flags(&folder, "CN")
        .env("http_proxy", proxy)
        .env("HTTP_PROXY", proxy)
        .output();
    assert!(
        String::from_utf8(output.unwrap().stdout)
            .unwrap()
            .contains("  1 面国旗已下载。")
    );
}

#[test]
fn a_usual_limit_of_open_files_is_enough_for_every_code_at_once() {
    let folder = tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_flags");
    let script = format!("ulimit -Sn 1024; exec timeout 120 {program} -e -m 1000");
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&folder)
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(
        report.contains("194 面国旗已下载。\n482 个未找到。\n用时："),
        "{report}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let folder = tempdir().unwrap();
    let script = format!(
        "timeout 120 {} -e -v | head -1",
        env!("CARGO_BIN_EXE_flags")
    );
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[cfg(not(feature = "remote"))]
#[test]
fn remote_needs_the_feature_and_says_so() {
    let output = run(&tempdir().unwrap(), "-s remote CN");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("cargo run --bin flags --features flags/remote"),
        "{said}"
    );
}

#[cfg(feature = "remote")]
#[test]
fn remote_is_spoken_to_in_tls_and_under_its_own_name() {
    // A proxy sees what would go to the internet, and does not let it through.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let folder = tempdir().unwrap();
    let program = flags(&folder, "-s remote CN --no-metadata")
        .env("HTTPS_PROXY", format!("http://{address}"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stream, _) = proxy.accept().unwrap();
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        request.extend(byte);
    }
    assert!(request.starts_with(b"CONNECT www.fluentpython.com:443 HTTP/1.1\r\n"));
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    // A record of TLS: a handshake, its version and length; in it the server's name.
    let mut header = [0; 5];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(header[..2], [0x16, 0x03]);
    let mut hello = vec![0; u16::from_be_bytes([header[3], header[4]]).into()];
    stream.read_exact(&mut hello).unwrap();
    let name = b"www.fluentpython.com";
    assert!(hello.windows(name.len()).any(|part| part == name));
    drop(stream);
    let report = String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        report.contains("REMOTE 站点：https://www.fluentpython.com/data/flags\n"),
        "{report}"
    );
    assert!(report.contains("  1 个出错。"), "{report}");
}
