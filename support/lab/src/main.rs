//! The command line of `lab`.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use base::advice::spelled;
use base::book::{absolute, refuse_foreign_files};
use base::eprintln;
use base::ipynb::Notebook;
use base::toolchain::Toolchain;
use clap::{Args, Parser, Subcommand};
use cli::whole;
use lab::project::Project;
use lab::setup::{Notebooks, Ready, setup_or_warn};
use lab::{doctor, fmt, kernelspec, open, programs, setup, signals};
use link::pack;

const EXAMPLES: [(&str, &str); 4] = [
    ("", "打开笔记本"),
    ("open --no-browser", "只打印网址，自己去浏览器里打开"),
    ("run 01", "执行 01 开头的笔记本"),
    (
        "export --out html",
        "执行全部笔记本，导出 HTML 到文件夹 html",
    ),
];

const EXPORT: &str =
    "执行笔记本，导出成可以分发的 HTML，不用网络，双击 index.html 就能读：每个笔记本一页，
还有它的幻灯片（标题分页，→ 下一张，S 看讲稿）；print.html 是全书一页，用来打印

最后一个单元格结束以后，后台任务的输出也等进页面：直到 4 秒没有新的输出，最多等 30 秒。
有单元格出错，就指出是哪个笔记本的哪一格；以前导出的那一份原样留着。";

/// 会运行的中文异步 Rust 笔记本。不带命令时等于 open：缺什么先装什么，然后打开 JupyterLab
#[derive(Parser)]
#[command(name = "lab", version, disable_help_subcommand = true)]
// Or options in front of a command would be taken for those of `open`, and do nothing.
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
    #[command(flatten)]
    open: open::Options,
}

#[derive(Subcommand)]
enum Task {
    /// 打开 JupyterLab；缺什么先装什么（默认）
    Open(open::Options),
    /// 只准备环境：JupyterLab、内核、预热好的依赖
    Setup(setup::Options),
    /// 不开浏览器，逐格执行笔记本；遇到出错的单元格就停下
    Run(RunOptions),
    /// 执行笔记本，导出成可以分发的 HTML
    #[command(long_about = EXPORT)]
    Export(ExportOptions),
    /// 打成一个文件，发给没有网络、没有 Rust 的学生：解开就能用
    Pack(PackOptions),
    /// 整理笔记本：去掉输出，用 rustfmt 排版代码
    Fmt(FmtOptions),
    /// 检查装了什么、缺什么、该怎么办
    Doctor,
}

#[derive(Args)]
struct RunOptions {
    /// 笔记本：路径、文件名，或文件名的开头，例如 01；不写就是全部
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
    #[command(flatten)]
    limit: Limit,
    /// 执行多少遍，1 到 1000，用来找时好时坏的单元格
    #[arg(long, value_name = "遍", default_value_t = 1, value_parser = whole(1..=1000_u32))]
    repeat: u32,
}

/// What a single cell may take.
#[derive(Args)]
struct Limit {
    /// 每个单元格最多执行多少秒，1 到 86400
    #[arg(long, value_name = "秒", default_value_t = 120, value_parser = whole(1..=86400_u64))]
    timeout: u64,
}

#[derive(Args)]
struct ExportOptions {
    /// 笔记本：路径、文件名，或文件名的开头，例如 01；不写就是全部
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
    /// 放进哪个文件夹：空的、还没有的，或者是以前导出的
    #[arg(long, value_name = "文件夹", default_value = "book")]
    out: PathBuf,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args)]
struct PackOptions {
    /// 写到哪个文件；不写就是 rust-async-notes-版本.run
    #[arg(long, value_name = "文件")]
    out: Option<PathBuf>,
    /// 只带这些笔记本的依赖，不带书；给测试用
    #[arg(long = "notebook", value_name = "笔记本", hide = true)]
    notebooks: Vec<String>,
}

#[derive(Args)]
struct FmtOptions {
    /// 笔记本：路径、文件名，或文件名的开头，例如 01；不写就是全部
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
    /// 只检查，不改动；有需要整理的就以非零状态退出
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments: Arguments = cli::parse_with(as_typed_here);
    let task = arguments.task.unwrap_or(Task::Open(arguments.open));
    perform(task).unwrap_or_else(|error| {
        signals::settle();
        eprintln!("错误：{error:#}");
        ExitCode::FAILURE
    })
}

/// The help as it is right here: with commands as they are typed, and none that a pack does not have.
fn as_typed_here(command: clap::Command) -> clap::Command {
    let examples = EXAMPLES.map(|(words, what)| (spelled(words), what));
    let width = examples.iter().map(|(words, _)| words.len()).max();
    let examples = examples.map(|(words, what)| {
        format!(
            "\n  {words:width$}   {what}",
            width = width.unwrap_or_default()
        )
    });
    let command = command.after_help(format!("例子:{}", examples.concat()));
    match pack::here() {
        Some(_) => command
            .name("start")
            .mut_subcommand("pack", |pack| pack.hide(true)),
        None => command,
    }
}

fn perform(task: Task) -> Result<ExitCode> {
    signals::end_everything(match task {
        Task::Open(_) | Task::Setup(_) => "已中断。做完的步骤不会丢失，再运行一次就接着做",
        _ => "已中断",
    })?;
    let project = Project::find()?;
    let well = match task {
        Task::Open(options) => return open::open(&project, &options),
        Task::Setup(options) => setup::setup(&project, &options).map(|_| true)?,
        Task::Run(options) => {
            let notebooks = chosen(&project, &options.notebooks)?;
            let (_, mut runner) = runner(&project, &notebooks, "run")?;
            runner.arg("--repeat").arg(options.repeat.to_string());
            return become_runner(runner, &options.limit, &notebooks);
        }
        Task::Export(options) => {
            let notebooks = chosen(&project, &options.notebooks)?;
            refuse_foreign_files(&absolute(&options.out)?)?;
            let (ready, mut runner) = runner(&project, &notebooks, "export")?;
            runner.arg("--python").arg(ready.environment.python());
            runner.arg("--out").arg(&options.out);
            return become_runner(runner, &options.limit, &notebooks);
        }
        Task::Pack(options) => return become_packer(&project, &options),
        Task::Fmt(options) => {
            let changed = !fmt::fmt(&project.select(&options.notebooks)?, options.check)?;
            !(changed && options.check)
        }
        Task::Doctor => doctor::doctor(&project)?,
    };
    Ok(match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The notebooks that these words name. A file that is no notebook is found before anything else has
/// been waited for.
fn chosen(project: &Project, words: &[String]) -> Result<Vec<PathBuf>> {
    let notebooks = project.select(words)?;
    for path in &notebooks {
        Notebook::load(path)?;
    }
    Ok(notebooks)
}

/// Sets up for these notebooks; the runner's command, as far as it is the same for all tasks.
fn runner(project: &Project, notebooks: &[PathBuf], task: &str) -> Result<(Ready, Command)> {
    let ready = setup_or_warn(project, Notebooks::These(notebooks.to_vec()), "照样执行")?;
    let mut runner = Command::new(ready.programs.runner());
    runner
        .arg(task)
        .arg("--kernel")
        .arg(kernelspec::folder(&ready.environment));
    Ok((ready, runner))
}

/// From here on this process is the program that makes packs, compiled if need be.
fn become_packer(project: &Project, options: &PackOptions) -> Result<ExitCode> {
    if pack::here().is_some() {
        bail!("这已经是一个包：把当初的那个 .run 文件发给别人就行");
    }
    let toolchain = Toolchain::find_or_complete()?;
    let programs = programs::bring_up_to_date(project, &toolchain, &["pack"])?;
    let mut packer = Command::new(programs.folder().join("pack"));
    packer.arg("make").args(&options.notebooks);
    if let Some(out) = &options.out {
        packer.arg("--out").arg(out);
    }
    let error = packer.exec();
    Err(error).with_context(|| format!("运行不了 {}", packer.get_program().display()))
}

/// From here on this process is the runner: signals reach it directly.
fn become_runner(mut runner: Command, limit: &Limit, notebooks: &[PathBuf]) -> Result<ExitCode> {
    runner
        .arg("--timeout")
        .arg(limit.timeout.to_string())
        .args(notebooks);
    let error = runner.exec();
    Err(error).with_context(|| format!("运行不了 {}", runner.get_program().display()))
}
