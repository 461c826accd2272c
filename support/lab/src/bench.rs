//! `lab bench`: our kernel against stock evcxr, side by side in one run.
//!
//! Stock evcxr is this same program as plain evcxr, with the environment that a user's shell has:
//! the difference is what `lab kernel` puts around it, not how it was compiled.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::client::{Kernel, Outcome};
use crate::ipynb::Notebook;
use crate::kernel::stock;
use crate::project::{PROJECT_ENV, Project};
use crate::setup::{Options, setup};
use crate::toolchain::Toolchain;

/// What a single cell may take.
const LIMIT: Duration = Duration::from_secs(600);
/// Kernels started of each kind.
const STARTS: usize = 3;
/// Cells run of each kind.
const CELLS: usize = 15;

/// Measures, prints, and judges nothing: the goals stand beside the ratios.
///
/// # Errors
/// When set-up fails or a cell does not run as expected.
pub async fn bench(project: &Project) -> Result<()> {
    setup(project, &Options::default()).await?;
    let toolchain = Toolchain::find()?;
    let notebook = project.course()?.swap_remove(0);
    let first = Notebook::load(&notebook)?
        .code_cells()
        .first()
        .map(|cell| cell.source.clone())
        .context("第一个笔记本没有代码单元格")?;
    let lab = std::env::current_exe()?;
    let ours = || {
        let mut command = Command::new(&lab);
        command.arg("kernel").env(PROJECT_ENV, project.root());
        command
    };
    let cold = tempfile::tempdir()?;
    let warm = tempfile::tempdir()?;
    println!(
        "内核启动加 :dep 单元格（每种 {STARTS} 次，取中位数；“安装即用”要从头编译依赖，只测一次）"
    );
    let installed = start(project, stock(&lab, &toolchain, cold.path()), &first).await?;
    start(project, stock(&lab, &toolchain, warm.path()), &first).await?; // warms it
    let (mut of_ours, mut of_stock) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        of_ours.push(start(project, ours(), &first).await?);
        of_stock.push(start(project, stock(&lab, &toolchain, warm.path()), &first).await?);
    }
    let (mine, theirs) = (median(of_ours), median(of_stock));
    row("本课程的内核", mine, None);
    row(
        "原版 evcxr，构建文件夹已预热",
        theirs,
        Some((mine, "≤ 0.75")),
    );
    row("原版 evcxr，安装即用", installed, Some((mine, "≤ 0.2")));

    let mut of_ours = open(project, ours(), &first).await?;
    let mut of_stock = open(project, stock(&lab, &toolchain, warm.path()), &first).await?;
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
            ("println! 单元格", "println!(\"{}\", 40 + 2);", "≤ 0.65"),
            ("表达式单元格", "40 + 2", ""),
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

    println!("编译错误（第一个与以后的，以后的取中位数）");
    for (name, kernel) in [
        ("本课程的内核", &mut of_ours),
        ("原版 evcxr", &mut of_stock),
    ] {
        let wrong = "let wrong: i32 = \"\";";
        let first_error = run(kernel, wrong, false).await?;
        let mut later = Vec::new();
        for _ in 0..5 {
            later.push(run(kernel, wrong, false).await?);
        }
        row(&format!("{name}，以后的"), median(later), None);
        row(&format!("{name}，第一个"), first_error, None);
    }
    of_ours.shutdown().await?;
    of_stock.shutdown().await
}

/// A kernel with the first cell run.
async fn open(project: &Project, mut command: Command, first: &str) -> Result<Kernel> {
    command.current_dir(project.notebooks());
    let mut kernel = Kernel::start_with(command, |_| ()).await?;
    run(&mut kernel, first, true).await?;
    Ok(kernel)
}

/// How long a kernel takes to start and run its first cell.
async fn start(project: &Project, mut command: Command, first: &str) -> Result<Duration> {
    command.current_dir(project.notebooks());
    let since = Instant::now();
    let mut kernel = Kernel::start_with(command, |_| ()).await?;
    let started = since.elapsed();
    let took = started + run(&mut kernel, first, true).await?;
    kernel.shutdown().await?;
    Ok(took)
}

/// How long a cell takes.
async fn run(kernel: &mut Kernel, code: &str, succeeds: bool) -> Result<Duration> {
    let execution = kernel.execute(code, LIMIT).await?;
    if (execution.outcome == Outcome::Ok) != succeeds {
        bail!("测量用的单元格结果是 {:?}：{code}", execution.outcome);
    }
    Ok(execution.took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
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
