//! Command lines in Chinese: what clap writes by itself is English.

use clap::Parser;

/// The command line of this process; or the program ends, after it has said what is wrong with it,
/// or shown the help text.
pub fn parse<T: Parser>() -> T {
    let matches = in_chinese(T::command(), None).try_get_matches();
    let matches = matches.unwrap_or_else(|error| refuse(&error));
    T::from_arg_matches(&matches).unwrap_or_else(|error| refuse(&error))
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

/// The words that clap writes by itself; of a command of `program`, if there is one.
fn in_chinese(command: clap::Command, program: Option<&str>) -> clap::Command {
    const TEMPLATE: &str = "{about-with-newline}\n用法：{usage}\n\n{all-args}{after-help}";
    let flag = |name: &'static str, action, help| {
        let short = name.chars().next();
        let flag = clap::Arg::new(name).long(name).action(action).help(help);
        flag.short(short).help_heading("选项")
    };
    let words = match program {
        Some(program) => format!("{program} {}", command.get_name()),
        None => command.get_name().to_owned(),
    };
    let behind = match command.get_positionals().next() {
        _ if command.has_subcommands() => " [命令]".to_owned(),
        Some(positional) => format!(" [{}]...", value_name(positional)),
        None => String::new(),
    };
    let usage = format!("{words} [选项]{behind}");
    let name = command.get_name().to_owned();
    let command = command
        .help_template(TEMPLATE)
        .override_usage(usage)
        .subcommand_help_heading("命令")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .mut_args(argument_in_chinese)
        .arg(flag("help", clap::ArgAction::Help, "显示这段说明"))
        .mut_subcommands(|inner| in_chinese(inner, Some(&name)));
    match program.is_none() {
        true => command.arg(flag("version", clap::ArgAction::Version, "显示版本").short('V')),
        false => command,
    }
}

fn value_name(argument: &clap::Arg) -> &str {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
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
