//! What downloads promise, with the servers of this crate.

use std::time::Duration;

use flags::{
    Code, Delay, Downloader, Downloads, Error, Mode, Options, POP20, Report, Server, Status,
    Wanted, download_many,
};
use futures::{Stream, StreamExt};
use tempfile::TempDir;

const MODES: [Mode; 3] = [Mode::Sequential, Mode::Async, Mode::Threads];

async fn limited<T>(test: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), test)
        .await
        .expect("it takes too long")
}

fn every() -> Vec<Code> {
    Wanted {
        every: true,
        ..Wanted::default()
    }
    .expand()
    .unwrap()
}

fn counts(report: &Report) -> [usize; 4] {
    let counts = [
        report.ok(),
        report.not_found(),
        report.errors(),
        report.unfinished(),
    ];
    assert_eq!(counts.iter().sum::<usize>(), report.asked);
    counts
}

fn options(server: &Server, folder: &TempDir) -> Options {
    Options::new(server.url()).folder(folder)
}

#[tokio::test]
async fn every_code_against_local_gives_194_flags_and_482_not_found() {
    limited(async {
        for mode in MODES {
            let folder = tempfile::tempdir().unwrap();
            let server = Server::local().start().await.unwrap();
            let options = options(&server, &folder).mode(mode);
            let report = download_many(&every(), &options).await.unwrap();
            assert_eq!(counts(&report), [194, 482, 0, 0], "{mode:?}");
            assert_eq!(folder.path().read_dir().unwrap().count(), 194);
            for record in report.records {
                let (Some(file), Status::Ok) = (record.file, record.status) else {
                    continue;
                };
                let country = flags::Country::find(record.code).unwrap();
                assert_eq!(record.country.as_deref(), Some(country.name));
                assert_eq!(std::fs::read_to_string(file).unwrap(), country.picture);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_seed_gives_the_same_counts_in_whatever_order_requests_arrive() {
    limited(async {
        for retries in [0, 2] {
            let mut seen = Vec::new();
            for (mode, max_req) in [
                (Mode::Async, 1),
                (Mode::Async, 1000),
                (Mode::Async, 30),
                (Mode::Threads, 30),
            ] {
                let folder = tempfile::tempdir().unwrap();
                let mixed = Delay::Uniform(Duration::ZERO, Duration::from_millis(3));
                let server = Server::error().delays(mixed).seed(7).start().await.unwrap();
                let options = options(&server, &folder).mode(mode).max_req(max_req);
                let report = download_many(&every(), &options.retries(retries))
                    .await
                    .unwrap();
                let [ok, not_found, errors, unfinished] = counts(&report);
                assert!(ok > 0 && not_found > 0 && errors > 0 && unfinished == 0);
                let mut each: Vec<_> = report
                    .records
                    .iter()
                    .map(|record| (record.code, record.status))
                    .collect();
                each.sort_by_key(|(code, _)| *code);
                let stats = server.stats();
                seen.push((each, stats.requests, stats.failed, stats.resets));
            }
            assert!(seen.iter().all(|run| *run == seen[0]));
        }
    })
    .await;
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_made_at_once() {
    limited(async {
        for (mode, max_req, allowed) in [
            (Mode::Sequential, 9, 1),
            (Mode::Async, 7, 7),
            (Mode::Threads, 7, 7),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let slow = Delay::Fixed(Duration::from_millis(10));
            let server = Server::delay().delays(slow).start().await.unwrap();
            let options = options(&server, &folder).mode(mode).max_req(max_req);
            assert_eq!(download_many(&POP20, &options).await.unwrap().ok(), 20);
            let stats = server.stats();
            assert_eq!(stats.requests, 40);
            assert!(stats.peak_requests <= allowed, "{mode:?}: {stats}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_in_place_of_the_folder_is_an_error_for_each_flag() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "mine").unwrap();
        let server = Server::local().start().await.unwrap();
        let options = Options::new(server.url()).folder(&file);
        let report = download_many(&POP20, &options).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 20, 0]);
        let reason = report.records[0].reason.as_deref().unwrap();
        assert!(
            reason.starts_with("没能保存 ") && reason.contains("不是文件夹"),
            "{reason}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    })
    .await;
}

#[tokio::test]
async fn a_folder_in_the_way_is_an_error() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("Japan.svg")).unwrap();
        let server = Server::local().start().await.unwrap();
        let report = download_many(&POP20, &options(&server, &folder))
            .await
            .unwrap();
        assert_eq!(counts(&report), [19, 0, 1, 0]);
        let record = report
            .records
            .iter()
            .find(|record| record.code.as_str() == "JP");
        let reason = record.unwrap().reason.clone().unwrap();
        assert!(reason.ends_with("已有一个同名的文件夹"), "{reason}");
    })
    .await;
}

/// A file system with room for a few flags, as long as it lives.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// None where this user may not mount one.
    fn new() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16k", "flags"]);
        let mounted = mount.arg(folder.path()).output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = std::process::Command::new("umount");
        let _ = umount.arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_an_error_for_each_flag_that_has_no_room_and_leaves_no_half_of_one() {
    let Some(disk) = SmallDisk::new() else {
        assert!(
            std::env::var_os("LAB_SKIP_NOTHING").is_none(),
            "mounting a small disk needs root"
        );
        println!("skipped: mounting a small disk needs root");
        return;
    };
    limited(async {
        let server = Server::local().start().await.unwrap();
        let old = disk.0.path().join("China.svg");
        std::fs::write(&old, "old").unwrap();
        let report = download_many(&POP20, &options(&server, &disk.0))
            .await
            .unwrap();
        let [saved, _, errors, _] = counts(&report);
        assert!(errors > 10 && saved + errors == 20, "{report:?}");
        let reasons = report
            .records
            .iter()
            .filter_map(|record| record.reason.as_ref());
        for reason in reasons {
            assert!(reason.ends_with("磁盘已满"), "{reason}");
        }
        let files: Vec<_> = std::fs::read_dir(disk.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            let is_whole = text.trim_end().ends_with("</svg>");
            assert!(
                is_whole || (*file == old && text == "old"),
                "{file:?}: {text}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_an_error_for_each_flag() {
    limited(async {
        let server = Server::local().start().await.unwrap();
        // Not even root makes files there.
        let options = Options::new(server.url()).folder("/sys/kernel");
        let report = download_many(&POP20, &options).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 20, 0]);
        for record in report.records {
            let reason = record.reason.unwrap();
            let known = ["没有写的权限", "文件系统只读"];
            assert!(
                known.iter().any(|known| reason.ends_with(known)),
                "{reason}"
            );
        }
    })
    .await;
}

#[test]
fn no_more_than_1000_requests_are_made_at_once_whatever_is_asked_for() {
    let options = Options::new("http://127.0.0.1").max_req(5000);
    assert_eq!(options.concurrency(2000), 1000);
    assert_eq!(options.concurrency(20), 20);
}

#[tokio::test]
async fn a_missing_folder_is_made_with_its_parents() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        let server = Server::local().start().await.unwrap();
        let options = Options::new(server.url()).folder(&deep).metadata(false);
        assert_eq!(download_many(&POP20, &options).await.unwrap().ok(), 20);
        assert!(deep.join("cn.svg").exists());
        assert_eq!(server.stats().requests, 20);
    })
    .await;
}

#[tokio::test]
async fn dropped_downloads_have_a_partial_report_and_end() {
    limited(async {
        for mode in MODES {
            let folder = tempfile::tempdir().unwrap();
            let slow = Delay::Fixed(Duration::from_millis(50));
            let server = Server::delay().delays(slow).start().await.unwrap();
            let options = options(&server, &folder)
                .mode(mode)
                .metadata(false)
                .max_req(2);
            let mut downloads = Downloads::start(&every(), &options).unwrap();
            for _ in 0..3 {
                downloads.next().await.unwrap();
            }
            assert_eq!(downloads.size_hint(), (673, Some(673)));
            let report = downloads.report();
            drop(downloads);
            assert_eq!(counts(&report)[3], 673, "{mode:?}");
            while server.stats().open_connections > 0 {
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn slow_answers_time_out_and_retries_have_a_limit() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        let endless = Delay::Fixed(Duration::from_secs(3600));
        let server = Server::delay().delays(endless).start().await.unwrap();
        let options = options(&server, &folder)
            .timeout(Duration::from_millis(500))
            .retries(2);
        let report = download_many(&POP20[..1], &options).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 1, 0]);
        assert_eq!(
            report.records[0].reason.as_deref(),
            Some("0.5 秒内没有收到完整的答复")
        );
        assert_eq!(server.stats().requests, 3);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_found_is_not_asked_for_again() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::local().start().await.unwrap();
        let options = options(&server, &folder).retries(5);
        let report = download_many(&["ZZ".parse().unwrap()], &options)
            .await
            .unwrap();
        assert_eq!(counts(&report), [0, 1, 0, 0]);
        assert_eq!(server.stats().requests, 1);
    })
    .await;
}

#[tokio::test]
async fn failures_say_what_happened() {
    limited(async {
        let folder = tempfile::tempdir().unwrap();
        let code = POP20[0];
        let server = Server::local().error_rate(1.0).start().await.unwrap();
        let downloader = Downloader::new(&options(&server, &folder)).unwrap();
        let error = downloader.get_flag(code).await.unwrap_err();
        assert!(
            matches!(error, Error::Status(status) if status == 418),
            "{error}"
        );
        server.stop().await;
        let error = downloader.get_flag(code).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "连不上服务器：被拒绝，那里没有服务器在运行"
        );

        let server = Server::local().reset_rate(1.0).start().await.unwrap();
        let downloader = Downloader::new(&options(&server, &folder)).unwrap();
        let error = downloader.get_flag(code).await.unwrap_err();
        assert_eq!(error.to_string(), "连接断了：被对方重置");
        assert!(error.is_temporary());
    })
    .await;
}

#[tokio::test]
async fn addresses_that_are_none_are_refused_at_once() {
    for url in ["", "flags", "ftp://127.0.0.1/flags", "http://"] {
        let error = Downloader::new(&Options::new(url)).unwrap_err();
        assert!(matches!(error, Error::Url { .. }), "{url}: {error}");
    }
    let https = Downloader::new(&Options::new("https://localhost/flags"));
    assert_eq!(https.is_ok(), cfg!(feature = "remote"));
}

#[tokio::test]
async fn nothing_asked_for_is_done_at_once() {
    let server = Server::local().start().await.unwrap();
    for mode in MODES {
        let options = Options::new(server.url()).mode(mode);
        let report = limited(download_many(&[], &options)).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 0, 0]);
    }
}

#[test]
fn codes_are_expanded_as_in_the_book() {
    let expand = |codes: &[&str], limit| {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        let wanted = Wanted {
            codes,
            limit,
            ..Wanted::default()
        };
        wanted.expand().map(|codes| format!("{codes:?}"))
    };
    assert_eq!(expand(&["us", "CN", "cn"], None).unwrap(), "[CN, US]");
    assert_eq!(expand(&["z", "b"], Some(2)).unwrap(), "[BA, BB]");
    assert_eq!(expand(&[], Some(2)).unwrap(), "[BD, BR]");
    for wrong in ["", "1", "CHN", "C1", "é", "中", "../", "C "] {
        assert!(expand(&[wrong], None).is_err(), "{wrong:?}");
    }
    let all = Wanted {
        all: true,
        codes: vec!["?".into()],
        ..Wanted::default()
    };
    assert_eq!(all.expand().unwrap().len(), 194);
    assert_eq!(Wanted { every: true, ..all }.expand().unwrap().len(), 676);
}
