//! `measure class`: a lesson that is only played, to see how many students a machine carries. What the
//! students do, and how long they wait for it.
//!
//! Each logs in, opens notebook 01 and runs its cells, with time to think before each; after each
//! they try a short cell of their own. Once they interrupt one; at the end they restart the kernel
//! and begin anew, until the lesson is over. In its first two fifths nobody makes trouble. Then
//! one more student does: an endless loop, panics, a flood of output, for a fifth each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use base::ipynb::{Cell, Notebook};
use base::toolchain::Toolchain;
use cli::whole;
use hub::channels::Channels;
use hub::played::PlayedHub;
use hub::server::Server;
use hub::usage::{self, Usage};
use lab::programs;
use lab::project::Project;

/// What everybody runs.
const NOTEBOOK: &str = "01-why-coroutines.ipynb";
/// What students try in between.
const SHORT: &str = "println!(\"{}\", 6 * 7);";
/// A name that no student has: theirs are s1, s2 ...
const TROUBLEMAKER: &str = "trouble";
/// What setting up, downloads included, may take.
const SET_UP: Duration = Duration::from_secs(40 * 60);
/// What starting a server may take while everybody starts one.
const SERVER: Duration = Duration::from_secs(300);
/// What the first cell may take while everybody runs theirs.
const FIRST: Duration = Duration::from_secs(600);
/// What any other cell may take.
const CELL: Duration = Duration::from_secs(120);
/// How often memory is measured.
const SAMPLE: Duration = Duration::from_secs(10);
/// By how much the others may be slowed down.
const TOLERANCE: f64 = 2.0;
/// Memory that a machine needs for itself.
const SYSTEM: f64 = 1.5;
/// To what part the processors may be busy.
const BUSY: f64 = 0.7;

/// How large the class is.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 多少个学生，1 到 100
    #[arg(long, value_name = "人", default_value_t = 10, value_parser = whole(1..=100_u32))]
    students: u32,
    /// 一节课多少分钟，1 到 120
    #[arg(long, value_name = "分钟", default_value_t = 20, value_parser = whole(1..=120_u64))]
    minutes: u64,
    /// 这个班的一切都放在哪里
    #[arg(long, value_name = "文件夹", default_value = "/srv/rust-async-test")]
    data: PathBuf,
    /// 结束后留着学生共用的部分，下次不用再准备
    #[arg(long)]
    keep: bool,
    /// 再给 hub 的选项，例如 -- --on-demand --spares 0：什么都不提前准备
    #[arg(last = true, value_name = "选项")]
    hub: Vec<String>,
}

/// What can take time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// From logging in to the notebook's first cell being done.
    Start,
    /// Of that: logging in.
    LogIn,
    /// Until the student's server can be used.
    Spawn,
    /// JupyterLab's page.
    Page,
    /// The notebook is read, a kernel started, and its channels opened.
    Kernel,
    /// The first cell, for which a kernel must be ready.
    First,
    /// From the request for a new kernel, later on, to the first cell being done.
    Restart,
    /// Of that: until there is one, and its channels are open.
    Again,
    /// The first cell.
    FirstAgain,
    /// A cell of the notebook.
    Cell,
    /// A short one.
    Short,
}

/// One thing that a student has waited for.
#[derive(Debug)]
struct Wait {
    kind: Kind,
    /// When it began.
    at: Instant,
    took: Duration,
}

/// What has been measured.
#[derive(Debug, Default)]
struct Record {
    waits: Vec<Wait>,
    failures: Vec<String>,
    /// The most memory that all students took at one time.
    peak: u64,
    /// The same without spare kernels that wait: who has no memory for them has none.
    lean: u64,
    /// The most that one took.
    most: u64,
}

/// When what happens.
#[derive(Clone, Copy, Debug)]
struct Plan {
    begin: Instant,
    fifth: Duration,
    think: Duration,
}

impl Plan {
    fn new(options: &Options, cells: usize) -> Plan {
        let fifth = Duration::from_secs(options.minutes * 60) / 5;
        // Once through the notebook in a fifth: each of them then sees the same cells.
        let step = fifth.as_secs_f64() / cells as f64 - 1.0;
        Plan {
            begin: Instant::now(),
            fifth,
            think: Duration::from_secs_f64(step.max(0.3)),
        }
    }

    fn end_of(&self, part: u32) -> Instant {
        self.begin + self.fifth * part
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.end_of(5)
    }

    /// In which fifth a moment lies.
    fn part(&self, at: Instant) -> u32 {
        (at.duration_since(self.begin).as_secs_f64() / self.fifth.as_secs_f64()) as u32
    }
}

/// Compiles the program that is played with, and says where it is.
///
/// # Errors
/// Without root, or when cargo cannot.
pub fn program(project: &Project) -> Result<PathBuf> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "每个学生是一个系统用户，建用户、切换用户需要 root：请用 sudo 运行"
    );
    let toolchain = Toolchain::find_or_complete()?;
    let programs = programs::bring_up_to_date(project, &toolchain, &["hub"])?;
    Ok(programs.folder().join("hub"))
}

/// Plays a lesson and prints what it took. Removes the hub, its users and its files.
///
/// # Errors
/// When something fails for a student, or when one who makes trouble slows the
/// others down by more than a factor of two.
pub async fn play(project: &Project, program: &Path, options: &Options) -> Result<()> {
    let cells = Notebook::load(&project.notebooks().join(NOTEBOOK))?.code_cells();
    let students: Vec<String> = (1..=options.students).map(|n| format!("s{n}")).collect();
    let mut everybody = students.clone();
    everybody.push(TROUBLEMAKER.to_owned());
    println!(
        "准备 hub……（第一次约需五分钟；经过写在 {}）",
        options.data.join("log").display()
    );
    let own = !options.data.exists();
    let mut program = Command::new(program);
    program.current_dir(project.root());
    // Of what notebooks depend on, only this one's is compiled.
    let mut more = vec!["--notebook", NOTEBOOK];
    more.extend(options.hub.iter().map(String::as_str));
    let hub = PlayedHub::start(program, &options.data, &everybody, &more, SET_UP).await;
    if hub.is_err() && own && !options.keep {
        fs::remove_dir_all(&options.data)?;
    }
    let hub = Arc::new(hub?);
    if !more.contains(&"--on-demand") {
        let since = Instant::now();
        hub.until_all_are_open(SERVER).await?;
        println!(
            "提前打开所有人的服务器：{:.0} 秒",
            since.elapsed().as_secs_f64()
        );
    }
    let well = lesson(&hub, &students, cells, options).await;
    drop(hub);
    if own && !options.keep {
        fs::remove_dir_all(&options.data)?;
    }
    well
}

async fn lesson(
    hub: &Arc<PlayedHub>,
    students: &[String],
    cells: Vec<Cell>,
    options: &Options,
) -> Result<()> {
    let record = Arc::new(Mutex::new(Record::default()));
    let plan = Plan::new(options, cells.len());
    let cells = Arc::new(cells);
    println!("{} 个学生，{} 分钟", students.len(), options.minutes);
    let mut tasks = JoinSet::new();
    for (number, name) in students.iter().cloned().enumerate() {
        let (hub, cells, record) = (hub.clone(), cells.clone(), record.clone());
        // They come one after the other, within half a fifth.
        let arrival = plan.begin + plan.fifth * number as u32 / (2 * students.len() as u32);
        tasks.spawn(async move {
            sleep_until(arrival.into()).await;
            if let Err(error) = learn(&hub, &name, &cells, plan, &record).await {
                let failure = format!("{name}：{error:#}");
                record.lock().unwrap().failures.push(failure);
            }
        });
    }
    let (trouble_hub, trouble_record) = (hub.clone(), record.clone());
    let first = cells[0].source.clone();
    tasks.spawn(async move {
        if let Err(error) = trouble(&trouble_hub, &first, plan).await {
            let failure = format!("{TROUBLEMAKER}：{error:#}");
            trouble_record.lock().unwrap().failures.push(failure);
        }
    });
    let mut usage = vec![Usage::default(); students.len()];
    loop {
        let (hub, names) = (hub.clone(), students.to_vec());
        let now = tokio::task::spawn_blocking(move || {
            let accounts: Vec<String> = names.iter().map(|name| hub.account(name)).collect();
            let of = |account: &String| usage::of_student(account);
            let spares = accounts
                .iter()
                .map(|account| usage::of_spares(account))
                .sum();
            (accounts.iter().map(of).collect::<Vec<Usage>>(), spares)
        });
        let (now, spares): (_, u64) = now.await?;
        {
            let mut record = record.lock().unwrap();
            let memory = now.iter().map(|usage| usage.memory);
            let sum: u64 = memory.clone().sum();
            record.peak = record.peak.max(sum);
            record.lean = record.lean.max(sum.saturating_sub(spares));
            record.most = record.most.max(memory.max().unwrap_or(0));
        }
        for (usage, now) in usage.iter_mut().zip(now) {
            usage.time = usage.time.max(now.time);
        }
        if plan.is_over() {
            break;
        }
        sleep(SAMPLE.min(plan.fifth)).await;
    }
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    let hub = usage::of_hub(hub.id());
    report(&record.lock().unwrap(), &usage, hub, plan, options)
}

/// One student's lesson.
async fn learn(
    hub: &PlayedHub,
    name: &str,
    cells: &[Cell],
    plan: Plan,
    record: &Mutex<Record>,
) -> Result<()> {
    let note = |kind, at: Instant, took| {
        let wait = Wait { kind, at, took };
        record.lock().unwrap().waits.push(wait);
    };
    let fail = |what: String| {
        record
            .lock()
            .unwrap()
            .failures
            .push(format!("{name}：{what}"))
    };
    let since = Instant::now();
    let mut watch = Watch { since, note: &note };
    let mut student = hub.logged_in(name).await?;
    watch.lap(Kind::LogIn);
    student.spawn(SERVER).await?;
    watch.lap(Kind::Spawn);
    student.open_page().await?;
    watch.lap(Kind::Page);
    let (_, mut kernel) = student.server.open(NOTEBOOK).await?;
    watch.lap(Kind::Kernel);
    first(&mut kernel, &cells[0].source).await?;
    watch.lap(Kind::First);
    note(Kind::Start, since, since.elapsed());
    let mut interrupted = false;
    loop {
        for (number, cell) in cells.iter().enumerate().skip(1) {
            kernel.rest_until(Instant::now() + plan.think).await?;
            if plan.is_over() {
                return Ok(());
            }
            let at = Instant::now();
            let done = kernel.execute(&cell.source, CELL).await?;
            note(Kind::Cell, at, done.took);
            let expected = if cell.raises_exception() {
                "error"
            } else {
                "ok"
            };
            if done.status != expected {
                fail(format!("{}：{} {}", cell.id, done.status, done.text));
            }
            let at = Instant::now();
            let done = kernel.execute(SHORT, CELL).await?;
            note(Kind::Short, at, done.took);
            if (&*done.status, &*done.text) != ("ok", "42\n") {
                fail(format!("{SHORT}：{} {}", done.status, done.text));
            }
            if !interrupted && number >= cells.len() / 2 {
                interrupted = true;
                interrupt(&mut student.server, &mut kernel).await?;
            }
        }
        let since = Instant::now();
        let mut watch = Watch { since, note: &note };
        kernel = student.server.restart(&kernel.kernel).await?;
        watch.lap(Kind::Again);
        first(&mut kernel, &cells[0].source).await?;
        watch.lap(Kind::FirstAgain);
        note(Kind::Restart, since, since.elapsed());
    }
}

/// Notes how long each part of a wait takes.
struct Watch<F> {
    since: Instant,
    note: F,
}

impl<F: Fn(Kind, Instant, Duration)> Watch<F> {
    fn lap(&mut self, kind: Kind) {
        let now = Instant::now();
        (self.note)(kind, self.since, now - self.since);
        self.since = now;
    }
}

async fn first(kernel: &mut Channels, code: &str) -> Result<()> {
    let done = kernel.execute(code, FIRST).await?;
    ensure!(done.status == "ok", "第一格：{} {}", done.status, done.text);
    Ok(())
}

/// Interrupts a cell that would wait for a minute. What was there before must still be there.
async fn interrupt(server: &mut Server, kernel: &mut Channels) -> Result<()> {
    let before = kernel.execute("let before_interrupt = 42;", CELL).await?;
    ensure!(before.status == "ok", "{before:?}");
    let since = Instant::now();
    let code = "println!(\"begun\"); tokio::time::sleep(std::time::Duration::from_secs(60)).await;";
    let id = kernel.send(code).await?;
    kernel.wait_for_text(&id, "begun", CELL).await?;
    server.interrupt(&kernel.kernel).await?;
    let done = kernel.finish(&id, since, CELL).await?;
    ensure!(
        done.status == "error" && since.elapsed() < Duration::from_secs(55),
        "中断没有取消单元格：{done:?}"
    );
    let after = kernel
        .execute("println!(\"{before_interrupt}\");", CELL)
        .await?;
    ensure!(after.text == "42\n", "中断以后：{after:?}");
    Ok(())
}

/// One student's trouble: a third each, beginning when the others have had two fifths in peace.
async fn trouble(hub: &PlayedHub, first_cell: &str, plan: Plan) -> Result<()> {
    let mut student = hub.student(TROUBLEMAKER, SERVER).await?;
    let (_, mut kernel) = student.server.open(NOTEBOOK).await?;
    first(&mut kernel, first_cell).await?;
    kernel.rest_until(plan.end_of(2)).await?;
    let left = |part| plan.end_of(part).saturating_duration_since(Instant::now());
    let done = kernel
        .execute("loop { std::hint::spin_loop() }", left(3))
        .await?;
    ensure!(done.status == "timeout", "死循环结束了：{done:?}");
    kernel = student.server.restart(&kernel.kernel).await?;
    first(&mut kernel, first_cell).await?;
    while !left(4).is_zero() {
        let done = kernel.execute("panic!(\"boom\")", CELL).await?;
        ensure!(done.status == "error", "panic：{done:?}");
        kernel
            .rest_until(Instant::now() + Duration::from_secs(1))
            .await?;
    }
    let flood = "for n in 0_u64.. { println!(\"{n}: the quick brown fox jumps over it\"); }";
    let done = kernel.execute(flood, left(5)).await?;
    ensure!(
        done.status == "timeout",
        "没完没了的输出结束了：{:?}",
        done.status
    );
    Ok(())
}

/// That one of so many hundredths of the times which is no shorter than the rest.
fn percentile(times: &mut [f64], percent: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let rank = (times.len() as f64 * percent / 100.0).ceil() as usize;
    times
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}

fn report(
    record: &Record,
    usage: &[Usage],
    hub: Usage,
    plan: Plan,
    options: &Options,
) -> Result<()> {
    let times = |kind: Kind, parts: &[u32]| -> Vec<f64> {
        let waits = record.waits.iter();
        waits
            .filter(|wait| wait.kind == kind && parts.contains(&plan.part(wait.at).min(4)))
            .map(|wait| wait.took.as_secs_f64())
            .collect()
    };
    println!("\n等待（秒）                      次数    p50    p95");
    for (kind, name) in [
        (Kind::Start, "登录到第一格执行完"),
        (Kind::LogIn, "　　登录"),
        (Kind::Spawn, "　　等服务器"),
        (Kind::Page, "　　打开页面"),
        (Kind::Kernel, "　　读笔记本、启动内核"),
        (Kind::First, "　　第一格，连等内核在内"),
        (Kind::Restart, "重启内核到第一格执行完"),
        (Kind::Again, "　　旧的结束、新的启动"),
        (Kind::FirstAgain, "　　第一格，连等内核在内"),
        (Kind::Cell, "01 的单元格（不含第一格）"),
        (Kind::Short, "println! 单元格"),
    ] {
        let mut times = times(kind, &[0, 1, 2, 3, 4]);
        let (p50, p95) = (percentile(&mut times, 50.0), percentile(&mut times, 95.0));
        println!(
            "{name:\u{3000}<14} {:>6} {p50:>6.2} {p95:>6.2}",
            times.len()
        );
    }
    println!("\n一个学生捣乱时，其余学生的 p95      01 的单元格    println! 单元格");
    let p95 = |kind, parts: &[u32]| percentile(&mut times(kind, parts), 95.0);
    // While they come, everybody is slow.
    let calm = (p95(Kind::Cell, &[1]), p95(Kind::Short, &[1]));
    println!(
        "{:\u{3000}<14} {:>10.2} {:>14.2}",
        "没有人捣乱", calm.0, calm.1
    );
    let mut broken = Vec::new();
    for (part, name) in [(2, "死循环"), (3, "panic"), (4, "没完没了的输出")] {
        let now = (p95(Kind::Cell, &[part]), p95(Kind::Short, &[part]));
        let ratio = (now.0 / calm.0, now.1 / calm.1);
        println!(
            "{name:\u{3000}<14} {:>10.2}（{:.2} 倍） {:>6.2}（{:.2} 倍）",
            now.0, ratio.0, now.1, ratio.1
        );
        if ratio.0.is_nan() || ratio.1.is_nan() {
            broken.push(format!("{name}：课太短，没有可以比较的等待"));
        } else if ratio.0.max(ratio.1) > TOLERANCE {
            broken.push(format!("{name}：其余学生的 p95 超过平时的 {TOLERANCE} 倍"));
        }
    }
    let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
    let count = f64::from(options.students);
    let memory = gib(record.lean) / count;
    let time: f64 = usage.iter().map(|usage| usage.time.as_secs_f64()).sum();
    let cores = time / count / (options.minutes * 60) as f64;
    println!(
        "\n每个学生：内存 {memory:.2} GiB，连备用的内核 {:.2} GiB（同一时刻的总和的峰值，平均到每人；最多的一个 {:.2} GiB），处理器 {:.0} 秒，也就是 {cores:.3} 个核",
        gib(record.peak) / count,
        gib(record.most),
        time / count
    );
    println!(
        "hub 和代理：内存 {:.2} GiB，处理器 {:.0} 秒",
        gib(hub.memory),
        hub.time.as_secs_f64()
    );
    println!(
        "\n由此算出的容量（系统和 hub 留 {:.1} GiB，处理器用到 {:.0}%）：",
        SYSTEM + gib(hub.memory),
        BUSY * 100.0
    );
    println!("核   内存（GiB）   按处理器   按内存   学生");
    for (n, m) in [(2, 8), (2, 24), (4, 16), (8, 32), (16, 64), (32, 128)] {
        let by_time = BUSY * f64::from(n) / cores;
        let by_memory = (f64::from(m) - SYSTEM - gib(hub.memory)) / memory;
        println!(
            "{n:>2} {m:>10} {by_time:>12.0} {by_memory:>9.0} {:>7.0}",
            by_time.min(by_memory).floor()
        );
    }
    println!("\n失败：{}", record.failures.len());
    for failure in &record.failures {
        println!("  {failure}");
    }
    if time == 0.0 {
        broken.push("没有控制组，量不到学生用的处理器时间".to_owned());
    }
    if !record.failures.is_empty() {
        broken.push(format!("{} 次失败", record.failures.len()));
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!("{}", broken.join("；")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let mut times: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut times, 50.0), 10.0);
        assert_eq!(percentile(&mut times, 95.0), 19.0);
        assert_eq!(percentile(&mut [3.0], 95.0), 3.0);
        assert!(percentile(&mut [], 95.0).is_nan());
    }
}
