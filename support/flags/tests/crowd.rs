//! Many at once. A test binary of its own, since it counts what the whole process has open.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use flags::{Delay, Options, Server, Wanted, download_many};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// The process's open files.
fn open_files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The process's memory, in MB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .unwrap()
        / 1024
}

/// 676 codes, as many at once as may be, on a server that fails and resets.
async fn download_every_code() {
    let folder = tempfile::tempdir().unwrap();
    let mixed = Delay::Uniform(Duration::from_millis(50), Duration::from_millis(500));
    let server = Server::error().delays(mixed).seed(3).start().await.unwrap();
    let codes = Wanted {
        every: true,
        ..Wanted::default()
    }
    .expand()
    .unwrap();
    let options = Options::new(server.url()).folder(&folder).max_req(1000);
    let report = download_many(&codes, &options).await.unwrap();
    assert_eq!(report.ok() + report.not_found() + report.errors(), 676);
    assert_eq!(report.records.len(), 676);
    let stats = server.stats();
    let answered = stats.served + stats.not_found + stats.failed + stats.resets;
    assert_eq!((answered, stats.open_requests), (stats.requests, 0));
    while server.stats().open_connections > 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await;
}

/// 1,000 connections that are all open before the first of them asks for anything.
async fn hold_1000_connections() {
    let quick = Delay::Uniform(Duration::ZERO, Duration::from_millis(100));
    let server = Server::error().delays(quick).seed(3).start().await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..1000 {
        streams.push(TcpStream::connect(server.address()).await.unwrap());
    }
    while server.stats().open_connections < 1000 {
        tokio::task::yield_now().await;
    }
    let requests = streams.into_iter().map(|mut stream| async move {
        let request = b"GET /flags/cn/cn.svg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await
    });
    let answers = futures::future::join_all(requests).await;
    let stats = server.stats();
    assert_eq!((stats.requests, stats.peak_connections), (1000, 1000));
    assert_eq!(
        answers.iter().filter(|answer| answer.is_err()).count() as u64,
        stats.resets
    );
    assert_eq!(stats.served + stats.failed + stats.resets, 1000);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_leave_nothing_behind() {
    std::panic::set_hook(Box::new(|panic| {
        PANICS.fetch_add(1, SeqCst);
        eprintln!("{panic}");
    }));
    let rounds = async {
        let mut files_and_memory = Vec::new();
        for _ in 0..4 {
            download_every_code().await;
            hold_1000_connections().await;
            files_and_memory.push((open_files(), memory()));
        }
        files_and_memory
    };
    let seen = tokio::time::timeout(Duration::from_secs(300), rounds)
        .await
        .expect("it hangs");
    println!("open files and MB after each round: {seen:?}");
    let (files, memory) = seen[0];
    for (later_files, later_memory) in seen {
        assert_eq!(later_files, files);
        assert!(
            later_memory < memory + 32,
            "{memory} MB became {later_memory} MB"
        );
        assert!(later_memory < 256);
    }
    assert_eq!(PANICS.load(SeqCst), 0);
}
