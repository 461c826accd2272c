//! The program `flags`: downloads flags and reports what came of it.

mod arguments;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use flags::{Code, Downloads, Mode, Options, Report, Server, Status};
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Label};

/// Where the book's server REMOTE is, which has GIFs.
const REMOTE: &str = "https://www.fluentpython.com/data/flags";

/// What shells expect of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse();
    let codes = arguments.wanted();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    runtime
        .block_on(run(&arguments, &codes))
        .unwrap_or_else(|error| fail(&error))
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("错误：{error:#}");
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments, codes: &[Code]) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let interrupted = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let server = start(arguments).await?;
    if arguments.serve {
        let server =
            server.context("REMOTE 不在本机，启动不了：--serve 要配 LOCAL、DELAY 或 ERROR")?;
        say(site(arguments, &server.url(), Some(&server)));
        say(format_args!(
            "例如：{}/cn/cn.svg\n按 Ctrl-C 停止",
            server.url()
        ));
        interrupted.await;
        say(format_args!("\n{}", server.stats()));
        return Ok(ExitCode::from(INTERRUPTED));
    }

    let options = match &server {
        Some(server) => Options::new(server.url()),
        None => Options::new(REMOTE).extension("gif"),
    };
    let options = options
        .folder(&arguments.out)
        .mode(arguments.mode)
        .metadata(!arguments.no_metadata)
        .timeout(arguments.timeout)
        .retries(arguments.retries);
    let options = match arguments.max_req {
        Some(max_req) => options.max_req(max_req),
        None => options,
    };
    let url = server.as_ref().map_or(REMOTE.to_owned(), Server::url);
    let mut downloads = Downloads::start(codes, &options)?;
    say(site(arguments, &url, server.as_ref()));
    say(intention(codes, &options, arguments.mode));

    let completed = watch(&mut downloads, codes.len(), arguments.verbose);
    let interrupted = tokio::select! {
        biased;
        () = interrupted => true,
        () = completed => false,
    };
    let report = downloads.report();
    drop(downloads);
    if interrupted {
        say("\n已中断，到此为止：");
    }
    say(&report);
    if !arguments.verbose {
        explain(&report);
    }
    Ok(match interrupted {
        true => ExitCode::from(INTERRUPTED),
        false => ExitCode::SUCCESS,
    })
}

/// Starts the server with that name, if it is one of this machine.
async fn start(arguments: &Arguments) -> Result<Option<Server>> {
    let mut server = match arguments.server {
        Label::Local => Server::local(),
        Label::Delay => Server::delay(),
        Label::Error => Server::error(),
        Label::Remote => return Ok(None),
    };
    if let Some(delay) = arguments.delay {
        server = server.delays(delay);
    }
    if let Some(rate) = arguments.error_rate {
        server = server.error_rate(rate);
    }
    if let Some(rate) = arguments.reset_rate {
        server = server.reset_rate(rate);
    }
    if let Some(seed) = arguments.seed {
        server = server.seed(seed);
    }
    let port = arguments.port.unwrap_or(0);
    let started = server.port(port).start().await;
    let started =
        started.with_context(|| format!("端口 {port} 用不了，换一个，或者不写 --port"))?;
    Ok(Some(started))
}

/// The first line: from where.
fn site(arguments: &Arguments, url: &str, server: Option<&Server>) -> String {
    let seed = match server {
        Some(server) if arguments.is_random() => {
            format!("（--seed {} 可以重现）", server.seed())
        }
        _ => String::new(),
    };
    format!("{} 站点：{url}{seed}", arguments.server.name())
}

/// The next two lines: what, and how.
fn intention(codes: &[Code], options: &Options, mode: Mode) -> String {
    let which = match codes {
        [first, .., last] if codes.len() > 10 => format!("从 {first} 到 {last}"),
        _ => codes
            .iter()
            .map(Code::as_str)
            .collect::<Vec<_>>()
            .join("、"),
    };
    let how = match (mode, options.concurrency(codes.len())) {
        (Mode::Threads, number) => format!("使用 {number} 个线程，每个线程一个连接。"),
        (_, 1) => "使用 1 个连接。".to_owned(),
        (_, number) => format!("使用 {number} 个并发连接。"),
    };
    format!("查找 {} 面国旗：{which}\n{how}", codes.len())
}

/// Waits for all downloads, and shows how far they are.
async fn watch(downloads: &mut Downloads, number: usize, verbose: bool) {
    let bar = match verbose {
        true => ProgressBar::hidden(),
        false => ProgressBar::new(number as u64),
    };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len}，还要 {eta}");
    bar.set_style(style.expect("the template is right"));
    // Downloads that take seconds leave the clock standing between two of them.
    bar.enable_steady_tick(Duration::from_millis(100));
    while let Some(record) = downloads.next().await {
        bar.inc(1);
        if verbose {
            say(&record);
        }
    }
    bar.finish();
}

/// The first of the errors as an example, and how to see the others.
fn explain(report: &Report) {
    let error = report
        .records
        .iter()
        .find(|record| record.status == Status::Error);
    if let Some(error) = error {
        say(format_args!("例如 {error}（加上 -v 逐个查看）"));
    }
}

/// Prints a line. Ends the program quietly if nobody reads it any more, as after `| head`.
fn say(line: impl Display) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(1);
    }
}
