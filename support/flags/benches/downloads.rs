//! What async is worth, as ratios measured side by side: `cargo bench -p flags`.
//!
//! With `PYTHON=…`, a Python that has aiohttp, also against the book's algorithm in Python.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flags::{Code, Country, Delay, Downloader, Mode, Options, POP20, Server, download_many, save};
use tokio::task::JoinSet;

/// Rounds in which the two sides take turns; the best of each counts.
const ROUNDS: usize = 5;
const FILES: usize = 10_000;
const CONCURRENCY: usize = 100;

/// The downloads of the 20 countries with the most people, from a server whose delays are a tenth of
/// DELAY's: seconds instead of minutes, and whatever else takes time counts ten times as much.
async fn on_delay(mode: Mode) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let tenth = Delay::Uniform(Duration::from_millis(50), Duration::from_millis(500));
    let server = Server::delay().delays(tenth).seed(1).start().await.unwrap();
    let options = Options::new(server.url())
        .folder(&folder)
        .mode(mode)
        .max_req(POP20.len());
    let report = download_many(&POP20, &options).await.unwrap();
    assert_eq!(report.ok(), POP20.len());
    report.elapsed
}

/// The program, as a server in a process of its own: both sides find the same.
struct LocalServer {
    process: Child,
    url: String,
}

impl LocalServer {
    fn start() -> LocalServer {
        let mut process = Command::new(env!("CARGO_BIN_EXE_flags"))
            .args(["--serve", "-s", "local"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let (_, url) = line.trim().split_once('：').expect("it says where it is");
        LocalServer {
            url: url.to_owned(),
            process,
        }
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The book's algorithm: a task for each file, one semaphore, saving where it may block.
async fn in_rust(url: &str, folder: &Path, codes: &[Code]) -> Duration {
    let downloader = Downloader::new(&Options::new(url).max_req(CONCURRENCY)).unwrap();
    let since = Instant::now();
    let mut tasks = JoinSet::new();
    for (i, code) in codes.iter().copied().cycle().take(FILES).enumerate() {
        let (downloader, folder) = (downloader.clone(), folder.to_owned());
        tasks.spawn(async move {
            let picture = downloader.get_flag(code).await.unwrap();
            save(&folder, &format!("{i}.svg"), picture).await.unwrap();
        });
    }
    tasks.join_all().await;
    since.elapsed()
}

/// The same in Python, if there is one with aiohttp.
fn in_python(url: &str, folder: &Path, codes: &[Code]) -> Option<Duration> {
    let codes: Vec<String> = codes.iter().map(Code::lower).collect();
    let output = Command::new(std::env::var_os("PYTHON")?)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/benches/flags_aiohttp.py"
        ))
        .args([url.as_ref(), folder.as_os_str()])
        .args([FILES.to_string(), CONCURRENCY.to_string(), codes.join(",")])
        .stderr(Stdio::inherit())
        .output()
        .ok()?;
    let seconds = String::from_utf8(output.stdout).ok()?.trim().parse().ok()?;
    Some(Duration::from_secs_f64(seconds))
}

/// Runs `work` with an empty folder, and makes sure that all files are there afterwards.
async fn with_folder<T>(work: impl AsyncFnOnce(&Path) -> Option<T>) -> Option<T> {
    let folder = tempfile::tempdir().unwrap();
    let result = work(folder.path()).await?;
    assert_eq!(folder.path().read_dir().unwrap().count(), FILES);
    Some(result)
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

#[tokio::main]
async fn main() {
    let sequential = on_delay(Mode::Sequential).await;
    println!("20 countries on DELAY (delays ÷ 10), one after the other {sequential:>8.2?}");
    for (mode, name) in [
        (Mode::Threads, "20 threads"),
        (Mode::Async, "async, 20 at once"),
    ] {
        let time = on_delay(mode).await;
        let goal = if mode == Mode::Async {
            " (goal: ≥ 10×)"
        } else {
            ""
        };
        let faster = ratio(sequential, time);
        println!("the same, {name:<47} {time:>8.2?}  {faster:.1}× as fast{goal}");
    }

    let codes: Vec<Code> = Country::all().map(|country| country.code).collect();
    let server = LocalServer::start();
    let (mut rust, mut python) = (Duration::MAX, None::<Duration>);
    for _ in 0..ROUNDS {
        let time = with_folder(async |folder| Some(in_rust(&server.url, folder, &codes).await));
        rust = rust.min(time.await.unwrap());
        let time = with_folder(async |folder| in_python(&server.url, folder, &codes)).await;
        python = python.into_iter().chain(time).min();
    }
    println!("{FILES} files from LOCAL, {CONCURRENCY} at once, saved           {rust:>8.2?}");
    match python {
        Some(python) => println!(
            "the same with Python's aiohttp                            {python:>8.2?}  we are {:.1}× as fast (goal: ≥ 4×)",
            ratio(python, rust)
        ),
        None => println!("aiohttp: not measured; set PYTHON to a Python that has it"),
    }
}
