//! The command line: what it can say, and what is said when it is wrong.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cli::whole;
use flags::{Delay, Mode, Wanted};

const EXAMPLES: &str = "例子:
  cargo run --bin flags                               人口最多的 20 国，从 LOCAL 下载
  cargo run --bin flags -- CN JP A                    中国、日本，和 A 开头的 26 个代码
  cargo run --bin flags -- -a -s delay -m 200         全部 194 面，每个请求要等 0.5 到 5 秒
  cargo run --bin flags -- -s delay --mode sequential 同样的 20 面，一面接一面，用来比较
  cargo run --bin flags -- -e -s error --seed 1 --delay 0 --retries 3";

/// 下载国旗：同一件事，可以逐个做、异步做、用线程做。
///
/// 不写 CC 就下载人口最多的 20 国。LOCAL、DELAY、ERROR 三个服务器由程序自己在本机启动，不需要网络。
#[derive(Parser)]
#[command(name = "flags", version, after_help = EXAMPLES)]
pub struct Arguments {
    /// 国家代码（CN），或一个字母，代表以它开头的 26 个代码；大小写均可
    #[arg(value_name = "CC")]
    codes: Vec<String>,
    /// 全部 194 个国家和地区
    #[arg(short, long)]
    all: bool,
    /// 所有可能的代码，从 AA 到 ZZ，共 676 个
    #[arg(short, long)]
    every: bool,
    /// 只下载（排序后的）前 N 个
    #[arg(short, long, value_name = "N", value_parser = whole(1_usize..), allow_hyphen_values = true)]
    limit: Option<usize>,
    /// 最多同时进行几个请求，不超过 1000（默认：async 5，threads 30，sequential 总是 1）
    #[arg(short, long = "max_req", alias = "max-req", value_name = "N", value_parser = whole(1_usize..), allow_hyphen_values = true)]
    pub max_req: Option<usize>,
    /// 从哪个服务器下载：LOCAL、DELAY、ERROR 或 REMOTE，大小写均可（默认 LOCAL）；REMOTE 在互联网上，
    /// 要编译进 TLS：cargo run --bin flags --features flags/remote -- -s remote
    #[arg(short, long, value_name = "名字", value_parser = label, default_value = "LOCAL", hide_default_value = true)]
    pub server: Label,
    /// 每个代码打印一行，代替进度条
    #[arg(short, long)]
    pub verbose: bool,
    /// 下载的方式：sequential、async 或 threads
    #[arg(
        long,
        value_name = "方式",
        default_value = "async",
        hide_possible_values = true,
        ignore_case = true
    )]
    pub mode: Mode,
    /// 保存到哪个文件夹
    #[arg(short, long, value_name = "文件夹", default_value = "downloaded")]
    pub out: PathBuf,
    /// 不问国名，文件名用代码（flags2 的做法）
    #[arg(long)]
    pub no_metadata: bool,
    /// 一个请求最多等几秒
    #[arg(long, value_name = "秒", value_parser = timeout, default_value = "30", allow_hyphen_values = true)]
    pub timeout: Duration,
    /// 出错的请求最多重试几次，不超过 10
    #[arg(long, value_name = "次", value_parser = whole(0..=10_u32), default_value = "0", allow_hyphen_values = true)]
    pub retries: u32,
    /// 只启动服务器，让别的程序来用
    #[arg(long, help_heading = "本机的服务器")]
    pub serve: bool,
    /// 服务器的端口（默认：任意空闲的）
    #[arg(long, value_name = "端口", value_parser = whole(0..=u16::MAX), help_heading = "本机的服务器")]
    pub port: Option<u16>,
    /// 固定随机数，使延迟和错误每次都一样
    #[arg(long, value_name = "N", value_parser = whole(0_u64..), help_heading = "本机的服务器")]
    pub seed: Option<u64>,
    /// 每个答复要等几秒：0.2，或均匀分布在 0.5..5 之间（默认：LOCAL 不等，其余 0.5..5）
    #[arg(long, value_name = "秒", value_parser = delay, help_heading = "本机的服务器", allow_hyphen_values = true)]
    pub delay: Option<Delay>,
    /// 答复 418 的比例，0 到 1（默认：ERROR 0.25，其余 0）
    #[arg(long, value_name = "比例", value_parser = rate, help_heading = "本机的服务器", allow_hyphen_values = true)]
    pub error_rate: Option<f64>,
    /// 重置连接的比例，0 到 1（默认：ERROR 0.05，其余 0）
    #[arg(long, value_name = "比例", value_parser = rate, help_heading = "本机的服务器", allow_hyphen_values = true)]
    pub reset_rate: Option<f64>,
}

/// A server by its name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Label {
    Local,
    Delay,
    Error,
    Remote,
}

impl Label {
    pub fn name(self) -> &'static str {
        match self {
            Label::Local => "LOCAL",
            Label::Delay => "DELAY",
            Label::Error => "ERROR",
            Label::Remote => "REMOTE",
        }
    }
}

impl Arguments {
    /// Whether chance decides something on the server.
    pub fn is_random(&self) -> bool {
        let asked = [self.error_rate, self.reset_rate];
        self.server != Label::Local || self.delay.is_some() || asked.iter().any(Option::is_some)
    }

    /// Which codes are meant. Ends the program if one of them is none.
    pub fn wanted(&self) -> Vec<flags::Code> {
        let wanted = Wanted {
            every: self.every,
            all: self.all,
            codes: self.codes.clone(),
            limit: self.limit,
        };
        wanted
            .expand()
            .unwrap_or_else(|error| cli::refuse::<Arguments>(&error.to_string()))
    }
}

fn label(text: &str) -> Result<Label, String> {
    Label::from_str(text, true).map_err(|_| "要写 LOCAL、DELAY、ERROR 或 REMOTE".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (0.0..=1.0).contains(number));
    number.ok_or_else(|| "要写 0 到 1 的数".to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    seconds(text)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "要写大于 0 的秒数".to_owned())
}

fn delay(text: &str) -> Result<Delay, String> {
    let delay = match text.split_once("..") {
        None => seconds(text).map(Delay::Fixed),
        Some((from, to)) => seconds(from)
            .zip(seconds(to))
            .filter(|(from, to)| from <= to)
            .map(|(from, to)| Delay::Uniform(from, to)),
    };
    delay.ok_or_else(|| "要写秒数，例如 0.2 或 0.5..5".to_owned())
}

/// At most an hour, which is less than what a `Duration` or a timer could not hold.
fn seconds(text: &str) -> Option<Duration> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64)
}
