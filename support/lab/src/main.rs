//! The command line of `lab`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, value_parser};
use lab::eprintln;
use lab::project::Project;
use lab::{
    bench, cargo, cells, class, doctor, environment, export, fmt, hub, kernel, open, run, setup,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

const EXAMPLES: &str = "例子:
  cargo run                          打开笔记本
  cargo run -- open --no-browser     只打印网址，自己去浏览器里打开
  cargo run -- run 01                执行 01 开头的笔记本
  cargo run -- export --out 讲义      执行全部笔记本，导出 HTML 到文件夹 讲义";

const EXPORT: &str =
    "执行笔记本，导出成可以分发的 HTML：每个笔记本一页，不用网络，双击 index.html 就能读

最后一个单元格结束以后，后台任务的输出也等进页面：直到 4 秒没有新的输出，最多等 30 秒。
有单元格出错，就指出是哪个笔记本的哪一格；以前导出的那一份原样留着。";

/// 会运行的中文异步 Rust 笔记本。不带命令时等于 open：缺什么先装什么，然后打开 JupyterLab
#[derive(Parser)]
#[command(name = "lab", version, disable_help_subcommand = true, after_help = EXAMPLES)]
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
    /// 在这台机器上给一个班开 JupyterHub，需要 root
    Hub(hub::Options),
    /// 演一节课：多少学生、要多少内存和处理器，需要 root
    Class(class::Options),
    /// 整理笔记本：去掉输出，用 rustfmt 排版代码
    Fmt(FmtOptions),
    /// 检查装了什么、缺什么、该怎么办
    Doctor,
    /// 与原版 evcxr 和 Python 的内核并排测量快慢，约需七分钟
    Bench(bench::Options),
    /// Jupyter 用它启动内核
    #[command(hide = true)]
    Kernel {
        /// 先执行笔记本的第一格，不等有人来要
        #[arg(long)]
        early: bool,
        /// Jupyter 写好的连接文件
        connection_file: PathBuf,
    },
    /// open 用它准备备用的内核
    #[command(hide = true)]
    Spare {
        /// 在这里等内核来取
        socket: PathBuf,
    },
}

#[derive(Args)]
struct RunOptions {
    /// 笔记本：路径、文件名，或文件名的开头，例如 01；不写就是全部
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
    #[command(flatten)]
    limit: Limit,
    /// 执行多少遍，1 到 1000，用来找时好时坏的单元格
    #[arg(long, value_name = "遍", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1000))]
    repeat: u32,
}

/// What a single cell may take.
#[derive(Args)]
struct Limit {
    /// 每个单元格最多执行多少秒，1 到 86400
    #[arg(long, value_name = "秒", default_value_t = 120, value_parser = value_parser!(u64).range(1..=86400))]
    timeout: u64,
}

impl Limit {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
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
struct FmtOptions {
    /// 笔记本：路径、文件名，或文件名的开头，例如 01；不写就是全部
    #[arg(value_name = "笔记本")]
    notebooks: Vec<String>,
    /// 只检查，不改动；有需要整理的就以非零状态退出
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    start().unwrap_or_else(|error| {
        eprintln!("错误：{error:#}");
        ExitCode::FAILURE
    })
}

/// evcxr starts this program again: to run cells, and in the place of cargo and rustc.
fn start() -> Result<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = PathBuf::from(arguments.next().unwrap_or_default());
    if let Some(done) = cargo::by_name(&name, &mut arguments) {
        return done;
    }
    if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
        return cells::run();
    }
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("--control_file") => evcxr_jupyter::main().map(|()| ExitCode::SUCCESS),
        _ => {
            let matches = in_chinese(Arguments::command()).try_get_matches();
            let matches = matches.unwrap_or_else(|error| refuse(&error));
            let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|e| refuse(&e));
            perform(arguments)
        }
    }
}

/// Says in Chinese what is wrong with the command line, and ends; or shows the help text.
fn refuse(error: &clap::Error) -> ! {
    use clap::error::{ContextKind, ErrorKind};
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = named(ContextKind::InvalidArg);
    let message = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
        ErrorKind::InvalidSubcommand => {
            format!("没有 {} 这个命令", named(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument => format!("这里不能用 {argument}"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            match named(ContextKind::InvalidValue) {
                value if value.is_empty() => format!("{argument} 后面缺一个值"),
                value => format!("{argument} 的值不能是 {value}"),
            }
        }
        ErrorKind::TooManyValues => format!(
            "{argument} 后面不能有值 {}",
            named(ContextKind::InvalidValue)
        ),
        ErrorKind::ArgumentConflict => {
            let earlier = named(ContextKind::PriorArg);
            match named(ContextKind::InvalidSubcommand) {
                task if !task.is_empty() => {
                    format!("{earlier} 不能写在命令 {task} 的前面：选项要跟在它所属的命令后面")
                }
                _ if earlier == argument => format!("{argument} 只能写一次"),
                _ => format!("{argument} 不能和 {earlier} 一起用"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("缺少 {argument}"),
        // Not what clap says by itself, which is English.
        _ => "不懂这样的命令行".to_owned(),
    };
    eprintln!("错误：{message}。用法见 --help");
    std::process::exit(2)
}

/// The words that clap writes by itself.
fn in_chinese(command: clap::Command) -> clap::Command {
    const TEMPLATE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";
    let flag = |name: &'static str, action, help| {
        let short = name.chars().next();
        let flag = clap::Arg::new(name).long(name).action(action).help(help);
        flag.short(short).help_heading("选项")
    };
    let top = command.get_name() == "lab";
    let usage = match (top, command.get_positionals().next()) {
        (true, _) => "lab [选项] [命令]".to_owned(),
        (false, None) => format!("lab {} [选项]", command.get_name()),
        (false, Some(_)) => format!("lab {} [选项] [笔记本]...", command.get_name()),
    };
    let command = command
        .help_template(TEMPLATE)
        .override_usage(usage)
        .subcommand_help_heading("命令")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(argument_in_chinese)
        .arg(flag("help", clap::ArgAction::Help, "显示这段说明"))
        .mut_subcommands(in_chinese);
    match top {
        true => command.arg(flag("version", clap::ArgAction::Version, "显示版本").short('V')),
        false => command,
    }
}

fn argument_in_chinese(argument: clap::Arg) -> clap::Arg {
    let heading = match argument.is_positional() {
        true => "参数",
        false => "选项",
    };
    let argument = argument.help_heading(heading);
    let default = argument
        .get_default_values()
        .first()
        .and_then(|value| value.to_str());
    match (default, argument.get_help()) {
        (Some(default), Some(help)) => {
            let help = format!("{help}（默认 {default}）");
            argument.help(help).hide_default_value(true)
        }
        _ => argument,
    }
}

fn perform(arguments: Arguments) -> Result<ExitCode> {
    let task = arguments.task.unwrap_or(Task::Open(arguments.open));
    match &task {
        Task::Kernel {
            early,
            connection_file,
        } => return kernel::kernel(connection_file, *early),
        Task::Spare { socket } => return kernel::spare(socket),
        _ => {}
    }
    let project = match task {
        Task::Hub(_) | Task::Class(_) => Project::find_without_cache()?,
        _ => Project::find()?,
    };
    let interrupted = match task {
        Task::Open(_) | Task::Setup(_) => "已中断。做完的步骤不会丢失，再运行一次就接着做",
        _ => "已中断",
    };
    if let Task::Hub(_) = task {
        // SAFETY: there is no other thread yet.
        unsafe { environment::become_clean() };
    }
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        let code = tokio::select! {
            biased;
            code = signals.next() => code,
            done = carry_out(&project, task) => match done {
                Ok(Done::Well) => return Ok(ExitCode::SUCCESS),
                Ok(Done::Badly) => return Ok(ExitCode::FAILURE),
                // It knows itself what signals mean.
                Ok(Done::Ready(jupyter)) => return jupyter.open().await,
                // Perhaps it only failed because the signal hit a program that it ran, too.
                Err(error) => match timeout(Duration::from_millis(100), signals.next()).await {
                    Ok(code) => code,
                    Err(_) => return Err(error),
                },
            },
        };
        eprintln!("{interrupted}");
        Ok(ExitCode::from(code))
    })
}

/// The signals that end a program, which would otherwise end it without any clean-up: kernels and
/// pip have process groups of their own, and would go on.
struct Signals([(Signal, SignalKind); 3]);

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| Ok::<_, std::io::Error>((signal(kind)?, kind));
        Ok(Signals([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one, and returns the exit status that shells expect after it.
    async fn next(&mut self) -> u8 {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        let kind = tokio::select! {
            _ = interrupt.recv() => a,
            _ = terminate.recv() => b,
            _ = hangup.recv() => c,
        };
        128 + kind.as_raw_value() as u8
    }
}

enum Done {
    Well,
    /// What was wrong has been said.
    Badly,
    /// Everything is there to open.
    Ready(Box<open::Jupyter>),
}

/// Does what was asked for.
async fn carry_out(project: &Project, task: Task) -> Result<Done> {
    let well = match task {
        Task::Open(options) => {
            let jupyter = open::prepare(project, &options).await?;
            return Ok(Done::Ready(Box::new(jupyter)));
        }
        Task::Setup(options) => setup::setup(project, &options).await.map(|_| true)?,
        Task::Run(options) => {
            let limit = options.limit.duration();
            run::command(project, &options.notebooks, limit, options.repeat).await?;
            true
        }
        Task::Export(options) => {
            let limit = options.limit.duration();
            export::command(project, &options.notebooks, limit, &options.out).await?;
            true
        }
        Task::Fmt(options) => {
            let changed = !fmt::fmt(&project.select(&options.notebooks)?, options.check)?;
            !(changed && options.check)
        }
        Task::Hub(options) => hub::hub(project, &options).await.map(|()| true)?,
        Task::Class(options) => class::class(project, &options).await.map(|()| true)?,
        Task::Bench(options) => bench::bench(project, &options).await.map(|()| true)?,
        Task::Doctor => doctor::doctor(project)?,
        Task::Kernel { .. } | Task::Spare { .. } => {
            unreachable!("handled above, before anything else is looked for")
        }
    };
    Ok(match well {
        true => Done::Well,
        false => Done::Badly,
    })
}
