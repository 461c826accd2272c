//! `lab bench`: our kernel against others, side by side in one run.
//!
//! Stock evcxr is this same program as plain evcxr, with the environment that a user's shell has:
//! the difference is what `lab kernel` puts around it, not how it was compiled.
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

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::client::{Kernel, Outcome};
use crate::ipynb::Notebook;
use crate::project::{PROJECT_ENV, Project};
use crate::python::Environment;
use crate::setup;
use crate::toolchain::Toolchain;

/// What a single cell may take.
const LIMIT: Duration = Duration::from_secs(600);

/// What to measure.
#[derive(clap::Args, Clone, Debug)]
pub struct Options {
    /// 只测这一部分；不写就全部测
    #[arg(value_enum, value_name = "部分")]
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
struct Setting<'a> {
    project: &'a Project,
    environment: Environment,
    toolchain: Toolchain,
    /// This program.
    lab: PathBuf,
    /// The first cell of the notebooks.
    first: String,
}

impl Setting<'_> {
    /// Our kernel, to be started.
    fn ours(&self) -> Command {
        let mut command = Command::new(&self.lab);
        command.arg("kernel").env(PROJECT_ENV, self.project.root());
        command
    }

    /// A kernel with the first cell run.
    async fn open(&self, command: Command) -> Result<Kernel> {
        let mut kernel = self.start(command).await?;
        run(&mut kernel, &self.first, true).await?;
        Ok(kernel)
    }

    /// A kernel in which nothing has run.
    async fn start(&self, mut command: Command) -> Result<Kernel> {
        command.current_dir(self.project.notebooks());
        Kernel::start_with(command, |_| ()).await
    }
}

/// Measures, prints, and judges nothing: the goals stand beside the figures.
///
/// # Errors
/// When set-up fails or a cell does not run as expected.
pub async fn bench(project: &Project, options: &Options) -> Result<()> {
    let environment = setup::setup(project, &setup::Options::default()).await?;
    let notebook = project.course()?.swap_remove(0);
    let first = Notebook::load(&notebook)?
        .code_cells()
        .first()
        .map(|cell| cell.source.clone())
        .context("第一个笔记本没有代码单元格")?;
    let setting = Setting {
        project,
        environment,
        toolchain: Toolchain::find()?,
        lab: std::env::current_exe()?,
        first,
    };
    let wanted = |part| options.part.is_none_or(|only| only == part);
    if wanted(Part::Start) {
        start::bench(&setting).await?;
    }
    if wanted(Part::Cells) {
        cells::bench(&setting).await?;
    }
    if wanted(Part::Output) {
        output::bench(&setting).await?;
    }
    if wanted(Part::Weight) {
        weight::bench(&setting).await?;
    }
    Ok(())
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
