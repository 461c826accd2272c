//! `measure kernels`: our kernel against others, side by side in one run.
//!
//! Stock evcxr is the kernel's own program as plain evcxr, with the environment that a user's shell
//! has: the difference is what the front puts around it, not how it was compiled.
//!
//! | file | question |
//! |---|---|
//! | `start.rs` | how long until a notebook that has been opened has awaited something? |
//! | `cells.rs` | how long does a student wait for a kernel and for a cell? |
//! | `output.rs` | how soon is output there, and how fast is much of it? |
//! | `weight.rs` | how much memory does a kernel take, and what does the front cost? |

mod cells;
mod output;
mod start;
mod weight;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::ipynb::Notebook;
use base::toolchain::Toolchain;
use lab::project::Project;
use lab::python::Environment;
use lab::{kernelspec, setup};
use runner::client::{KernelClient, Outcome};
use runner::kernelspec::KernelSpec;

/// What a single cell may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 只测这一部分：start、cells、output 或 weight；不写就全部测
    #[arg(value_enum, value_name = "部分", hide_possible_values = true)]
    part: Option<Part>,
}

/// A part of the measurements.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// 从要一个内核到第一个 .await
    Start,
    /// 启动和单元格
    Cells,
    /// 输出
    Output,
    /// 内核占的内存，前端的开销
    Weight,
}

/// What all measurements need.
pub struct Setting {
    project: Project,
    environment: Environment,
    toolchain: Toolchain,
    /// Our kernel, as Jupyter finds it.
    spec: KernelSpec,
    /// The first cell of the notebooks.
    first: String,
}

impl Setting {
    /// Sets everything up.
    ///
    /// # Errors
    /// When that fails.
    pub fn new(project: Project) -> Result<Setting> {
        let environment = setup::setup(&project, &setup::Options::default())?.environment;
        let notebook = project.course()?.swap_remove(0);
        let first = Notebook::load(&notebook)?
            .code_cells()
            .first()
            .map(|cell| cell.source.clone())
            .context("第一个笔记本没有代码单元格")?;
        Ok(Setting {
            spec: KernelSpec::load(&kernelspec::folder(&environment))?,
            toolchain: Toolchain::find()?,
            project,
            environment,
            first,
        })
    }

    /// Our kernel, to be started.
    fn ours(&self) -> Command {
        self.spec.command()
    }

    /// Plain evcxr, to be started, building in `folder`.
    fn stock(&self, folder: &Path) -> Command {
        runner::stock::stock(&self.spec.program(), &self.toolchain, folder)
    }

    /// A kernel with the first cell run.
    async fn open(&self, command: Command) -> Result<KernelClient> {
        let mut kernel = self.start(command).await?;
        run(&mut kernel, &self.first, true).await?;
        Ok(kernel)
    }

    /// A kernel in which nothing has run.
    async fn start(&self, mut command: Command) -> Result<KernelClient> {
        command.current_dir(self.project.notebooks());
        KernelClient::start_with(command, |_| ()).await
    }
}

/// Measures, prints, and judges nothing: the goals stand beside the figures.
///
/// # Errors
/// When a cell does not run as expected.
pub async fn measure(setting: &Setting, options: &Options) -> Result<()> {
    let wanted = |part| options.part.is_none_or(|only| only == part);
    if wanted(Part::Start) {
        start::measure(setting).await?;
    }
    if wanted(Part::Cells) {
        cells::measure(setting).await?;
    }
    if wanted(Part::Output) {
        output::measure(setting).await?;
    }
    if wanted(Part::Weight) {
        weight::measure(setting).await?;
    }
    Ok(())
}

/// How long a cell takes.
async fn run(kernel: &mut KernelClient, code: &str, succeeds: bool) -> Result<Duration> {
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
