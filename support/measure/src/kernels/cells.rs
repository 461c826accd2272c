//! How long a student waits for a kernel and for a cell.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Setting, median, run};

/// Kernels started of each kind.
const STARTS: usize = 3;
/// Cells run of each kind.
const CELLS: usize = 15;
/// Compile errors of each kind after the first.
const ERRORS: usize = 5;
/// How long a student looks at what the first cell shows, at the least.
const READING: Duration = Duration::from_secs(3);

pub async fn measure(setting: &Setting) -> Result<()> {
    let ours = || setting.ours();
    let stock = |folder: &Path| setting.stock(folder);
    let cold = tempfile::tempdir()?;
    let warm = tempfile::tempdir()?;
    println!(
        "内核启动加 :dep 单元格（每种 {STARTS} 次，取中位数；“安装即用”要从头编译依赖，只测一次）"
    );
    let installed = start(setting, stock(cold.path())).await?;
    start(setting, stock(warm.path())).await?; // warms it
    let (mut of_ours, mut of_stock) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        of_ours.push(start(setting, ours()).await?);
        of_stock.push(start(setting, stock(warm.path())).await?);
    }
    let (mine, theirs) = (median(of_ours), median(of_stock));
    row("本课程的内核", mine, None);
    row(
        "原版 evcxr，构建文件夹已预热",
        theirs,
        Some((mine, "≤ 0.75")),
    );
    row("原版 evcxr，安装即用", installed, Some((mine, "≤ 0.2")));

    let mut of_ours = setting.open(ours()).await?;
    let mut of_stock = setting.open(stock(warm.path())).await?;
    for (state, preparation) in [
        ("还没有变量", None),
        (
            "有变量、用过 await",
            Some("let kept = vec![1, 2, 3]; tokio::task::yield_now().await;"),
        ),
    ] {
        for kernel in [&mut of_ours, &mut of_stock] {
            if let Some(cell) = preparation {
                run(kernel, cell, true).await?;
            }
        }
        for (name, cell, goal) in [
            ("println! 单元格", "println!(\"{}\", 40 + 2);", "≤ 0.5"),
            ("表达式单元格", "40 + 2", "≤ 0.5"),
        ] {
            println!("{name}，{state}（每种 {CELLS} 次，交替执行，取中位数）");
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..CELLS {
                mine.push(run(&mut of_ours, cell, true).await?);
                theirs.push(run(&mut of_stock, cell, true).await?);
            }
            let (mine, theirs) = (median(mine), median(theirs));
            row("本课程的内核", mine, None);
            row("原版 evcxr", theirs, Some((mine, goal)));
        }
    }

    of_ours.shutdown().await?;
    of_stock.shutdown().await?;

    println!(
        "编译错误，第一个与以后的（每种在一个新内核里，以后的取 {ERRORS} 次的中位数；:dep 单元格以后立刻执行，或者先读 {READING:?}）"
    );
    for (kind, mistake) in [
        ("推断不出类型", "let nope = no_such_function(1);"),
        ("写明了类型", "let wrong: i32 = \"\";"),
    ] {
        for (name, command, reading) in [
            ("本课程的内核，立刻", ours(), Duration::ZERO),
            ("本课程的内核，先读", ours(), READING),
            ("原版 evcxr，立刻", stock(warm.path()), Duration::ZERO),
        ] {
            let mut kernel = setting.open(command).await?;
            tokio::time::sleep(reading).await;
            let first_error = run(&mut kernel, mistake, false).await?;
            let mut later = Vec::new();
            for _ in 0..ERRORS {
                later.push(run(&mut kernel, mistake, false).await?);
            }
            row(&format!("{kind}，{name}，第一个"), first_error, None);
            row(&format!("{kind}，{name}，以后的"), median(later), None);
            kernel.shutdown().await?;
        }
    }
    Ok(())
}

/// How long a kernel takes to start and run its first cell.
async fn start(setting: &Setting, command: Command) -> Result<Duration> {
    let since = Instant::now();
    let mut kernel = setting.start(command).await?;
    let started = since.elapsed();
    let took = started + run(&mut kernel, &setting.first, true).await?;
    kernel.shutdown().await?;
    Ok(took)
}

/// Prints a time and, if something is compared with it, the ratio and its goal.
fn row(name: &str, time: Duration, compared: Option<(Duration, &str)>) {
    print!("  {time:>8.2?}  {name}");
    if let Some((other, goal)) = compared {
        let ratio = other.as_secs_f64() / time.as_secs_f64();
        print!("：本课程的内核是它的 {ratio:.2} 倍");
        if !goal.is_empty() {
            print!("（目标 {goal}）");
        }
    }
    println!();
}
