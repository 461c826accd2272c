//! How soon output is there, and how fast much of it is.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use jupyter_protocol::JupyterMessageContent;

use super::{LIMIT, Setting, median};
use runner::client::{KernelClient, Outcome};

/// Lines of a flood.
const LINES: u32 = 100_000;
/// Lines of a flood on stock evcxr, which would take half a minute for the others.
const LINES_STOCK: u32 = 10_000;
/// Floods of each kind.
const FLOODS: usize = 5;
/// Words printed one by one.
const WORDS: usize = 40;

pub async fn measure(setting: &Setting) -> Result<()> {
    flood(setting).await?;
    latency(setting).await
}

/// What printing many lines took.
struct Flood {
    took: Duration,
    messages: usize,
}

async fn flood(setting: &Setting) -> Result<()> {
    println!("{LINES} 行输出（每种 {FLOODS} 次，交替执行，取中位数；包括编译单元格的时间）");
    let mut ipykernel = Command::new(setting.environment.python());
    ipykernel.args(["-m", "ipykernel_launcher", "-f"]);
    let mut python = setting.start(ipykernel).await?;
    let mut rust = setting.open(setting.ours()).await?;
    let in_python = format!("for i in range({LINES}):\n    print(i)");
    let in_rust = |lines| format!("for i in 0..{lines} {{ println!(\"{{i}}\"); }}");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..FLOODS {
        ours.push(pour(&mut rust, &in_rust(LINES), LINES).await?);
        theirs.push(pour(&mut python, &in_python, LINES).await?);
    }
    python.shutdown().await?;
    rust.shutdown().await?;
    let folder = tempfile::tempdir()?;
    let evcxr = setting.stock(folder.path());
    let mut evcxr = setting.start(evcxr).await?;
    let slow = pour(&mut evcxr, &in_rust(LINES_STOCK), LINES_STOCK).await?;
    evcxr.shutdown().await?;
    let times = LINES / LINES_STOCK;
    let (ours, theirs) = (middle(ours), middle(theirs));
    let row = |name: &str, flood: &Flood, ratio: &str| {
        let Flood { took, messages } = flood;
        println!("  {took:>8.2?}  {messages:>6} 条消息  {name}{ratio}");
    };
    row("本课程的内核（目标 < 50 条消息）", &ours, "");
    let ratio = |other: Duration| ours.took.as_secs_f64() / other.as_secs_f64();
    let compared = format!(
        "：本课程的内核是它的 {:.2} 倍（目标 ≤ 1.5）",
        ratio(theirs.took)
    );
    row("ipykernel", &theirs, &compared);
    let slow = Flood {
        took: slow.took * times,
        messages: slow.messages * times as usize,
    };
    let compared = format!(
        "（测了 {LINES_STOCK} 行，乘以 {times}）：本课程的内核是它的 {:.3} 倍",
        ratio(slow.took)
    );
    row("原版 evcxr", &slow, &compared);
    Ok(())
}

/// Runs a cell that prints so many lines, and sees that they have all come.
async fn pour(kernel: &mut KernelClient, code: &str, lines: u32) -> Result<Flood> {
    let mut messages = 0;
    let execution = kernel.watch(code, LIMIT, |content| {
        messages += usize::from(matches!(content, JupyterMessageContent::StreamContent(_)));
    });
    let execution = execution.await?;
    let text = execution.stream("stdout");
    ensure!(
        execution.outcome == Outcome::Ok && text.lines().count() == lines as usize,
        "应有 {lines} 行：{:?}，{} 行",
        execution.outcome,
        text.lines().count()
    );
    Ok(Flood {
        took: execution.took,
        messages,
    })
}

fn middle(mut floods: Vec<Flood>) -> Flood {
    floods.sort_by_key(|flood| flood.took);
    floods.swap_remove(floods.len() / 2)
}

async fn latency(setting: &Setting) -> Result<()> {
    println!("从写出到客户端收到（{WORDS} 次 print!，不换行，每次之间等 97 毫秒）");
    let mut kernel = setting.open(setting.ours()).await?;
    for (name, wait) in [
        ("异步等待", "tokio::time::sleep(pause).await"),
        ("阻塞等待", "std::thread::sleep(pause)"),
    ] {
        // A cell prints what time it is; at arrival it is later.
        let code = format!(
            "let pause = std::time::Duration::from_millis(97);
            for _ in 0..{WORDS} {{
                let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_micros();
                print!(\"{{now}} \");
                {wait};
            }}"
        );
        let mut late = Vec::new();
        let mut unread = String::new();
        let execution = kernel.watch(&code, LIMIT, |content| {
            let JupyterMessageContent::StreamContent(stream) = content else {
                return;
            };
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
            unread.push_str(&stream.text);
            while let Some((word, rest)) = unread.split_once(' ') {
                let written = Duration::from_micros(word.parse().unwrap_or_default());
                late.push(now.saturating_sub(written));
                unread = rest.to_owned();
            }
        });
        let outcome = execution.await?.outcome;
        ensure!(
            outcome == Outcome::Ok && late.len() == WORDS,
            "{outcome:?}，收到 {} 个",
            late.len()
        );
        let worst = *late.iter().max().context("words were printed")?;
        println!(
            "  {:>8.2?}  {name}，中位数；最慢 {worst:.2?}（目标 ≤ 50 ms）",
            median(late)
        );
    }
    kernel.shutdown().await
}
