//! Command lines in Chinese: what clap writes by itself is English.
//!
//! A program says what it takes with clap's derive macros, help in Chinese, and calls [`parse`].

use std::error::Error as _;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::str::FromStr;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, ArgAction, Command, Parser};

const TEMPLATE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";

/// The command line of this process; or the program ends, after it has said what is wrong with it,
/// or shown the help text.
pub fn parse<T: Parser>() -> T {
    parse_with(|command| command)
}

/// As [`parse`], for a program that says not everywhere the same of itself: `change` gets what the
/// derive macros have made of it.
pub fn parse_with<T: Parser>(change: impl FnOnce(Command) -> Command) -> T {
    let command = change(T::command());
    let matches = in_chinese(command.clone(), None).try_get_matches();
    matches
        .and_then(|matches| T::from_arg_matches(&matches))
        .unwrap_or_else(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => error.exit(),
            _ => end(&command, &explain(&error)),
        })
}

/// Says what is wrong with the command line of `T`, and how one is written; and ends the program with
/// status 2.
pub fn refuse<T: Parser>(message: &str) -> ! {
    end(&T::command(), message)
}

fn end(command: &Command, message: &str) -> ! {
    let usage = usage(command, None);
    eprintln!("错误：{message}\n用法：{usage}\n全部选项见 --help");
    std::process::exit(2)
}

/// What parses a whole number within `range`, and says in Chinese which ones can be given: the
/// `value_parser` of an argument.
///
/// ```
/// let times = cli::whole(1..=1000);
/// assert_eq!(times("7"), Ok(7));
/// assert_eq!(times("0"), Err("要写 1 到 1000 的整数".to_owned()));
/// assert_eq!(cli::whole(1_u64..)("x"), Err("要写 1 以上的整数".to_owned()));
/// ```
pub fn whole<N, R>(range: R) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: Copy + Display + FromStr + PartialOrd,
    R: RangeBounds<N> + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match (range.start_bound(), range.end_bound()) {
            (Bound::Included(from), Bound::Included(to)) => format!("要写 {from} 到 {to} 的整数"),
            (Bound::Included(from), _) => format!("要写 {from} 以上的整数"),
            _ => "要写整数".to_owned(),
        })
    }
}

fn explain(error: &clap::Error) -> String {
    let named = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let argument = named(ContextKind::InvalidArg);
    let value = named(ContextKind::InvalidValue);
    // Of "--limit <N>" only the name.
    let name = argument.split(' ').next().unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            format!("没有 {} 这个命令", named(ContextKind::InvalidSubcommand))
        }
        ErrorKind::UnknownArgument => format!("这里不能用 {argument}"),
        ErrorKind::InvalidValue | ErrorKind::NoEquals if value.is_empty() => {
            format!("{name} 后面缺一个值")
        }
        ErrorKind::InvalidValue => {
            let possible = named(ContextKind::ValidValue);
            format!("{name} 的值不能是“{value}”：可以是 {possible}")
        }
        ErrorKind::ValueValidation => {
            // What clap and the standard library say is English; what we say is not.
            let reason = error.source().map(ToString::to_string);
            let reason = reason.filter(|reason| !reason.is_ascii());
            let reason = reason.map_or(String::new(), |reason| format!("：{reason}"));
            format!("{name} 的值不能是“{value}”{reason}")
        }
        ErrorKind::TooManyValues => format!("{name} 后面不能有值 {value}"),
        ErrorKind::ArgumentConflict => {
            let earlier = named(ContextKind::PriorArg);
            match named(ContextKind::InvalidSubcommand) {
                task if !task.is_empty() => {
                    format!("{earlier} 不能写在命令 {task} 的前面：选项要跟在它所属的命令后面")
                }
                _ if earlier == argument => format!("{name} 只能写一次"),
                _ => format!("{argument} 不能和 {earlier} 一起用"),
            }
        }
        ErrorKind::MissingRequiredArgument => format!("缺少 {argument}"),
        // Not what clap says by itself, which is English.
        _ => "不懂这样的命令行".to_owned(),
    }
}

/// The words that clap writes by itself; of a command of `program`, if there is one.
fn in_chinese(command: Command, program: Option<&str>) -> Command {
    let flag = |name: &'static str, action, help| {
        let short = name.chars().next();
        let flag = Arg::new(name).long(name).action(action).help(help);
        flag.short(short).help_heading("选项")
    };
    let usage = usage(&command, program);
    let name = command.get_name().to_owned();
    let command = command
        .help_template(TEMPLATE)
        .override_usage(usage)
        .subcommand_help_heading("命令")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(argument_in_chinese)
        .arg(flag("help", ArgAction::Help, "显示这段说明"))
        .mut_subcommands(|inner| in_chinese(inner, Some(&name)));
    match program.is_none() {
        true => command.arg(flag("version", ArgAction::Version, "显示版本").short('V')),
        false => command,
    }
}

fn usage(command: &Command, program: Option<&str>) -> String {
    let words = match program {
        Some(program) => format!("{program} {}", command.get_name()),
        None => command.get_name().to_owned(),
    };
    let behind = match command.get_positionals().next() {
        _ if command.has_subcommands() => " [命令]".to_owned(),
        Some(positional) => format!(" [{}]...", value_name(positional)),
        None => String::new(),
    };
    format!("{words} [选项]{behind}")
}

fn value_name(argument: &Arg) -> &str {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
}

fn argument_in_chinese(argument: Arg) -> Arg {
    let argument = match (argument.get_help_heading(), argument.is_positional()) {
        (Some(_), _) => argument,
        (None, true) => argument.help_heading("参数"),
        (None, false) => argument.help_heading("选项"),
    };
    let default = argument
        .get_default_values()
        .first()
        .filter(|_| !argument.is_hide_default_value_set())
        .and_then(|value| value.to_str());
    match (default, argument.get_help()) {
        (Some(default), Some(help)) => {
            let help = format!("{help}（默认 {default}）");
            argument.help(help).hide_default_value(true)
        }
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    #[derive(Debug, clap::Args)]
    struct Inner {
        #[arg(long, value_parser = whole(1..=10_u32))]
        times: Option<u32>,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Task {
        Run(Inner),
    }

    /// 一个程序
    #[derive(Debug, Parser)]
    #[command(
        name = "program",
        disable_help_subcommand = true,
        args_conflicts_with_subcommands = true
    )]
    struct Program {
        /// 怎么做
        #[arg(long, value_parser = ["slow", "fast"], default_value = "fast")]
        how: String,
        /// 多少
        #[arg(long, value_name = "N", help_heading = "别的")]
        many: Option<i32>,
        #[arg(long)]
        all: bool,
        #[arg(long, requires = "many")]
        file: Option<String>,
        #[command(subcommand)]
        task: Option<Task>,
    }

    fn parsed(arguments: &str) -> Result<Program, clap::Error> {
        let words = std::iter::once("program").chain(arguments.split_whitespace());
        let matches = in_chinese(Program::command(), None).try_get_matches_from(words)?;
        Program::from_arg_matches(&matches)
    }

    #[test]
    fn what_is_wrong_is_said_in_chinese_with_what_can_be_given() {
        for (arguments, message) in [
            ("nonsense", "没有 nonsense 这个命令"),
            ("--nonsense", "这里不能用 --nonsense"),
            ("run 7", "这里不能用 7"),
            ("--how", "--how 后面缺一个值"),
            ("--how so", "--how 的值不能是“so”：可以是 slow, fast"),
            ("--many x", "--many 的值不能是“x”"),
            (
                "run --times 11",
                "--times 的值不能是“11”：要写 1 到 10 的整数",
            ),
            ("--all=1", "--all 后面不能有值 1"),
            ("--all --all", "--all 只能写一次"),
            (
                "--all run",
                "--all 不能写在命令 run 的前面：选项要跟在它所属的命令后面",
            ),
            ("--file a", "缺少 --many <N>"),
        ] {
            let error = parsed(arguments).expect_err(arguments);
            assert_eq!(explain(&error), message, "{arguments}");
        }
        assert!(parsed("--all --many 7").is_ok());
    }

    #[test]
    fn help_has_no_english_and_keeps_the_headings_of_a_program() {
        let error = parsed("--help").unwrap_err();
        let help = error.to_string();
        for part in [
            "用法：program [选项] [命令]",
            "怎么做（默认 fast）",
            "选项:",
            "别的:",
            "命令:",
        ] {
            assert!(help.contains(part), "{part}: {help}");
        }
        assert!(
            !help.contains("Usage") && !help.contains("Options"),
            "{help}"
        );
    }
}
