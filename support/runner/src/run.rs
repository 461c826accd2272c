//! Executes notebooks without a browser, and stops at the first cell that fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use base::ipynb::{Cell, Notebook};
use base::memory::is_short;

use crate::client::{Execution, KernelClient, Outcome};
use crate::kernelspec::KernelSpec;

/// Silence after which background tasks are taken to have said everything: longer than the waits
/// in the course, and no longer than a reader of `lab export` likes to wait for nothing.
const SILENCE: Duration = Duration::from_secs(4);

/// Executes notebooks, one after the other, each in a kernel of its own. While one is executed, the
/// kernel for the next starts.
pub struct Runner<'a> {
    spec: &'a KernelSpec,
    /// What a single cell may take.
    limit: Duration,
    /// How long tasks that go on after the last cell are waited for at most, until they fall
    /// silent: some never do.
    background: Duration,
    early: Option<(PathBuf, KernelClient)>,
}

impl<'a> Runner<'a> {
    /// With nothing started yet.
    pub fn new(spec: &'a KernelSpec, limit: Duration, background: Duration) -> Runner<'a> {
        Runner {
            spec,
            limit,
            background,
            early: None,
        }
    }

    /// Executes a notebook and returns it with its outputs; `next` is the one that is executed
    /// then.
    ///
    /// # Errors
    /// At the first cell that fails and is not tagged `raises-exception`, or is tagged so and does
    /// not fail; with notebook, cell and cause.
    pub async fn run(&mut self, path: &Path, next: Option<&PathBuf>) -> Result<Notebook> {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let notebook = Notebook::load(path)?;
        let early = self.early.take().filter(|(started, _)| started == path);
        let kernel = match early {
            Some((_, kernel)) => kernel,
            None => KernelClient::start(self.spec, path)
                .await
                .with_context(|| format!("{name}：内核没有启动"))?,
        };
        // Without it, the next one starts when its turn comes, and says what is wrong.
        let early = async {
            let next = next.filter(|_| !is_short())?;
            let kernel = KernelClient::start_early(self.spec, next).await.ok()?;
            Some((next.clone(), kernel))
        };
        let executed = execute(&name, notebook, kernel, self.limit, self.background);
        // If a cell fails, nobody waits for the next kernel.
        let (executed, early) = tokio::try_join!(executed, async { Ok(early.await) })?;
        self.early = early;
        Ok(executed)
    }
}

async fn execute(
    name: &str,
    mut notebook: Notebook,
    mut kernel: KernelClient,
    limit: Duration,
    background: Duration,
) -> Result<Notebook> {
    let cells = notebook.code_cells();
    let bar = bar(name, cells.len());
    let mut executed = Vec::new();
    for cell in &cells {
        let execution = kernel
            .execute(&cell.source, limit)
            .await
            .with_context(|| format!("{name} {}", place(cell)))?;
        if let Some(cause) = failure(cell, &execution.outcome, limit) {
            bar.abandon();
            bail!(
                "{name} {}：{cause}{}{}",
                place(cell),
                shown(cell, &execution),
                match execution.outcome {
                    Outcome::KernelDied => {
                        format!("\n  内核最后的话：{}", kernel.last_words().await)
                    }
                    _ => String::new(),
                }
            );
        }
        executed.push((cell, execution));
        bar.inc(1);
    }
    kernel.listen(SILENCE, background).await;
    for (cell, execution) in executed {
        let outputs = kernel.outputs(execution.index);
        notebook.set_outputs(cell.index, outputs, execution.execution_count);
    }
    kernel
        .shutdown()
        .await
        .with_context(|| format!("{name}：结束不了内核"))?;
    bar.finish();
    Ok(notebook)
}

/// Which cell it is, to find it in JupyterLab by counting, or in the file by its id.
fn place(cell: &Cell) -> String {
    format!("第 {} 个代码单元格（id {}）", cell.number, cell.id)
}

/// Why the run must not go on, if so.
fn failure(cell: &Cell, outcome: &Outcome, limit: Duration) -> Option<String> {
    match outcome {
        Outcome::Ok if cell.raises_exception() => {
            Some("它带有 raises-exception 标签，本该失败，却成功了".to_owned())
        }
        Outcome::Ok => None,
        Outcome::Failed(_) if cell.raises_exception() => None,
        Outcome::Failed(message) => Some(message.clone()),
        Outcome::TimedOut => Some(format!(
            "超过 {} 秒没有结束（--timeout 可以放宽）",
            limit.as_secs()
        )),
        Outcome::KernelDied => {
            Some("内核在执行它时退出了：看看它有没有结束内核进程，或者用完了内存".to_owned())
        }
    }
}

/// The cell and the end of what it printed, to make sense of the cause.
fn shown(cell: &Cell, execution: &Execution) -> String {
    const LINES: usize = 20;
    let indented = |text: &str| -> String {
        let lines: Vec<&str> = text.lines().collect();
        let skipped = lines.len().saturating_sub(LINES);
        lines[skipped..]
            .iter()
            .map(|line| format!("\n    {line}"))
            .collect()
    };
    let mut text = format!("\n  代码：{}", indented(&cell.source));
    for stream in ["stdout", "stderr"] {
        let output = execution.stream(stream);
        if !output.trim().is_empty() {
            text += &format!("\n  {stream}：{}", indented(&output));
        }
    }
    text
}

fn bar(name: &str, cells: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{prefix}  [{bar:30}] {pos}/{len} 个单元格  {elapsed}")
            .expect("the template is well-formed")
            .progress_chars("=> ");
    let bar = ProgressBar::new(cells as u64)
        .with_style(style)
        .with_prefix(name.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Executes notebooks, `repeat` times.
///
/// # Errors
/// See [`Runner::run`].
pub async fn run_all(
    spec: &KernelSpec,
    notebooks: &[PathBuf],
    limit: Duration,
    repeat: u32,
) -> Result<()> {
    // Nobody would read what background tasks say later.
    let mut runner = Runner::new(spec, limit, Duration::ZERO);
    for round in 1..=repeat {
        if repeat > 1 {
            println!("第 {round} 遍，共 {repeat} 遍");
        }
        for (index, path) in notebooks.iter().enumerate() {
            let again = notebooks.first().filter(|_| round < repeat);
            runner.run(path, notebooks.get(index + 1).or(again)).await?;
        }
    }
    println!("全部通过：{} 个笔记本。", notebooks.len());
    Ok(())
}
