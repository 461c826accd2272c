//! `lab setup`: what is missing, side by side as far as it goes. What is there already is not touched.
//!
//! ```text
//! survey ─┬─ kernel and runner (cargo) ─┐
//!         ├─ JupyterLab (pip) ──────────┼─ kernelspec ── sets of the notebooks
//!         └─ crates of the sets (cargo) ┘
//! ```

use std::path::PathBuf;
use std::thread;

use anyhow::{Result, anyhow, bail};
use base::files;
use base::toolchain::Toolchain;
use link::pack;

use crate::programs::{NEEDED, Programs};
use crate::project::Project;
use crate::python::{Environment, PACKAGES, TEST_PACKAGES};
use crate::screen::Screen;
use crate::sets::Set;
use crate::survey::survey;
use crate::{axe, kernelspec, log, sets};

/// What to set up.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Options {
    /// 只编译这些笔记本的依赖：文件名，或文件名的开头，例如 00；不写就是全部
    #[arg(value_name = "笔记本")]
    pub notebooks: Vec<String>,
    /// 再装上本项目自己的测试要用的 Python 包和 axe-core
    #[arg(long, hide = true)]
    pub tests: bool,
}

/// What has been set up.
pub struct Ready {
    /// The environment with JupyterLab.
    pub environment: Environment,
    /// The kernel and the runner.
    pub programs: Programs,
    /// The sets that are still to be compiled.
    pub later: Vec<Set>,
}

/// Which notebooks must be ready to be executed in the end.
pub enum Notebooks {
    /// Those with which a reader begins; the others are left for later.
    First,
    /// These.
    These(Vec<PathBuf>),
}

/// Sets up everything that the notebooks need. Safe to interrupt, and to start twice at once:
/// the second waits for the first.
///
/// # Errors
/// When something is missing that only the user can install, without network, on a full disk, or
/// when a notebook of the course is broken; everything else is then set up all the same.
pub fn setup(project: &Project, options: &Options) -> Result<Ready> {
    let notebooks = Notebooks::These(project.select(&options.notebooks)?);
    let (ready, warmed) = attempt(project, options, notebooks)?;
    warmed?;
    Ok(ready)
}

/// Sets up as [`setup`] does, but where only waiting would be saved, a failure is no more than a
/// warning: whoever broke a notebook needs JupyterLab to mend it, and the others can be run.
///
/// `regardless` says what is done all the same.
///
/// # Errors
/// When JupyterLab or the kernel cannot be installed.
pub fn setup_or_warn(project: &Project, notebooks: Notebooks, regardless: &str) -> Result<Ready> {
    let (ready, warmed) = attempt(project, &Options::default(), notebooks)?;
    if let Err(error) = warmed {
        eprintln!(
            "警告：{error:#}\n{regardless}，但没有预热的笔记本，第一个单元格要等它的依赖编译完，或者也因此出错"
        );
    }
    Ok(ready)
}

/// Sets up what nothing works without; the second result is that of compiling the sets.
fn attempt(
    project: &Project,
    options: &Options,
    notebooks: Notebooks,
) -> Result<(Ready, Result<()>)> {
    let lock = project.cache().join("setup.lock");
    let _lock = files::lock(&lock, "另一个 lab 正在准备环境，等它结束……")?;
    log::begin(&log::path(project));
    let environment = Environment::find(project);
    let programs = Programs::beside_us()?;
    let mut packages = PACKAGES.to_vec();
    if options.tests {
        packages.extend(TEST_PACKAGES);
    }
    let missing = environment.missing(&packages);
    let lacks_packages = !missing.is_empty();
    let has_programs = programs.lacks(&NEEDED).is_none();
    let is_first = !has_programs || lacks_packages;
    let found = survey(project, &environment, is_first)?;
    let toolchain = found.toolchain;
    let screen = Screen::new();
    for line in &found.well {
        screen.say(line);
    }
    let chosen = match &notebooks {
        Notebooks::First => project.course()?,
        Notebooks::These(these) => these.clone(),
    };
    let (all, troubles) = sets::survey(&chosen);
    if is_first {
        screen.say(&plan(project, has_programs, lacks_packages));
    }
    side_by_side(
        project,
        &toolchain,
        &programs,
        is_first,
        &screen,
        &all,
        || {
            let step = screen.begin("JupyterLab");
            let step = match lacks_packages {
                true if pack::here().is_some() => step.announce("安装，约二十秒"),
                true => step.announce("下载和安装，约一分钟"),
                false => step,
            };
            environment.install(&missing, step.bar())?;
            step.done(&format!("JupyterLab：{}", environment.folder().display()));
            Ok(())
        },
    )?;
    if options.tests {
        axe::install(project, &screen)?;
    }
    if !kernelspec::is_installed(project, &environment)
        || !kernelspec::is_of(&environment, &programs.kernel())
    {
        kernelspec::install(project, &environment, &programs.kernel())?;
    }
    screen.say(&format!(
        "✓ 内核 Rust：{}",
        kernelspec::folder(&environment).display()
    ));
    let mut ready = Ready {
        environment,
        programs,
        later: Vec::new(),
    };
    let warmed = warm(project, &mut ready, all, &notebooks, &screen);
    let warmed = match (warmed, troubles.is_empty()) {
        (warmed, true) => warmed,
        (warmed, false) => {
            let mut troubles: Vec<String> =
                troubles.iter().map(|error| format!("{error:#}")).collect();
            troubles.extend(warmed.err().map(|error| format!("{error:#}")));
            Err(anyhow!("{}", troubles.join("\n")))
        }
    };
    Ok((ready, warmed))
}

/// What a first set-up will do.
fn plan(project: &Project, has_programs: bool, lacks_packages: bool) -> String {
    if pack::here().is_some() {
        return format!(
            "\n第一次打开：安装 JupyterLab，不用网络，约半分钟；以后几秒就绪。\n  完整的经过记在 {}\n",
            log::path(project).display()
        );
    }
    let cores = thread::available_parallelism().map_or(2, |cores| cores.get().min(8)) as u64;
    let minutes = |seconds: u64| (seconds / cores).div_ceil(60).max(1);
    let mut text = String::from(
        "\n第一次要准备的，下面会自己做完，以后几秒就绪；Ctrl-C 随时可以停，再运行就接着做。\n",
    );
    if !has_programs {
        text += &format!(
            "  · 编译内核和 runner：约 {} 分钟，target/ 占 3 GB\n",
            minutes(COMPILING)
        );
    }
    if lacks_packages {
        text += "  · 安装 JupyterLab：约 1 分钟，占 0.3 GB\n";
    }
    text += &format!(
        "  · 下载笔记本用到的 crate，编译 00 到 04 的：约 {} 分钟，占 0.4 GB\n    前几步同时进行；这一步一好就能打开 00，其余笔记本的依赖（约 {} 分钟，1 GB）在后台接着编译。\n",
        minutes(LIGHT),
        minutes(HEAVY)
    );
    text += &format!("  完整的经过记在 {}\n", log::path(project).display());
    text
}

/// Processor seconds, as measured: the programs, the first set, the others.
const COMPILING: u64 = 700;
const LIGHT: u64 = 150;
const HEAVY: u64 = 480;

/// Compiles the programs, lets `python` be installed, downloads crates.
fn side_by_side(
    project: &Project,
    toolchain: &Toolchain,
    programs: &Programs,
    is_first: bool,
    screen: &Screen,
    all: &[Set],
    python: impl FnOnce() -> Result<()> + Send,
) -> Result<()> {
    thread::scope(|scope| {
        let compiling = scope.spawn(|| {
            let step = screen.begin("内核和 runner");
            let step = match programs.lacks(&NEEDED) {
                None => step,
                Some(_) => step.announce("编译，要几分钟"),
            };
            let cargo = programs.cargo(project, toolchain, &NEEDED);
            let log = log::path(project);
            programs
                .build(&NEEDED, cargo, &step)
                .map_err(|error| anyhow!("{error:#}（完整的输出在 {}）", log.display()))?;
            step.done("内核和 runner 是新的");
            Ok(())
        });
        let installing = scope.spawn(python);
        let downloading = scope.spawn(|| {
            if is_first && Programs::named().is_none() {
                let step = screen.begin("crate").announce("下载笔记本用到的");
                sets::download(project, toolchain, all, &step)?;
                step.done("笔记本用到的 crate 都在");
            }
            Ok(())
        });
        let results = [compiling.join(), installing.join(), downloading.join()];
        let mut troubles = Vec::new();
        for result in results {
            match result {
                Ok(Ok(())) => {}
                Ok(Err(error)) => troubles.push(format!("{error:#}")),
                Err(_) => troubles.push("这一步自己出了错，请把上面的输出报告给我们".to_owned()),
            }
        }
        match troubles.is_empty() {
            true => Ok(()),
            false => bail!("{}", troubles.join("\n")),
        }
    })
}

/// Compiles the sets that must be ready.
fn warm(
    project: &Project,
    ready: &mut Ready,
    all: Vec<Set>,
    notebooks: &Notebooks,
    screen: &Screen,
) -> Result<()> {
    let mut missing = sets::missing(
        &all,
        &ready.programs.kernel(),
        &kernelspec::variables(project),
    )?;
    if let Notebooks::First = notebooks
        && let Some(first) = all.first()
    {
        ready.later = missing;
        missing = Vec::new();
        if let Some(at) = ready
            .later
            .iter()
            .position(|set| set.notebook == first.notebook)
        {
            missing.push(ready.later.remove(at));
        }
    }
    if !missing.is_empty() {
        let step = screen
            .begin("依赖")
            .announce("编译笔记本用到的，只有这一次");
        let kernel = kernelspec::folder(&ready.environment);
        sets::warm(&ready.programs.runner(), &kernel, &missing, &step)?;
        step.clear();
    }
    // None where they are compiled elsewhere: for a pack.
    let count = all.len() - ready.later.len();
    if count > 0 {
        screen.say(&format!("✓ 笔记本的依赖：{count} 组，已编译好"));
    }
    Ok(())
}
