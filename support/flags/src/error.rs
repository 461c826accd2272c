//! What can go wrong, said so that one knows what to do next.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a flag could not be downloaded. The messages are for users, in Chinese.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This is no code.
    #[error("国家代码要写成 A 到 Z 或 AA 到 ZZ，不能是“{0}”")]
    Code(String),
    /// This is no address of a server.
    #[error("网址 {url} 用不了：{reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The client or its threads could not be set up.
    #[error("没能准备好下载：{0}")]
    Setup(String),
    /// The server says that there is no such file (404).
    #[error("未找到")]
    NotFound,
    /// The server answered with something else than 200 and 404.
    #[error("服务器答复 {0}")]
    Status(reqwest::StatusCode),
    /// There was no answer in time.
    #[error("{} 秒内没有收到完整的答复", .0.as_secs_f64())]
    Timeout(Duration),
    /// There was no answer: no connection, or it broke.
    #[error("{0}")]
    Transport(String),
    /// The answer is larger than any flag.
    #[error("答复超过 {} KB，不像国旗", .0 / 1024)]
    TooLarge(usize),
    /// `metadata.json` is not what it should be.
    #[error("metadata.json 里没有国名：{0}")]
    Metadata(serde_json::Error),
    /// The flag is there, but could not be saved.
    #[error("没能保存 {}：{}", .path.display(), disk(source))]
    Save {
        /// Where it was to go.
        path: PathBuf,
        /// Why it did not.
        source: io::Error,
    },
}

impl Error {
    /// Whether another try may go better.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Error::Status(_) | Error::Timeout(_) | Error::Transport(_)
        )
    }

    pub(crate) fn save(path: &Path, source: io::Error) -> Error {
        Error::Save {
            path: path.to_owned(),
            source,
        }
    }

    /// What a request failed with, where each could take `limit`.
    pub(crate) fn request(error: &reqwest::Error, limit: Duration) -> Error {
        if error.is_timeout() {
            return Error::Timeout(limit);
        }
        // The last cause is the one that tells; what wraps it repeats the address.
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        let reason = match cause.downcast_ref::<io::Error>() {
            Some(error) => network(error),
            None => cause.to_string(),
        };
        Error::Transport(match error.is_connect() {
            true => format!("连不上服务器：{reason}"),
            false => format!("连接断了：{reason}"),
        })
    }
}

fn network(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionReset => "被对方重置".to_owned(),
        io::ErrorKind::ConnectionRefused => "被拒绝，那里没有服务器在运行".to_owned(),
        io::ErrorKind::BrokenPipe => "已被对方关闭".to_owned(),
        _ if error.raw_os_error() == Some(24) => {
            "打开的文件太多，用 -m 减少并发连接，或用 ulimit -n 放宽上限".to_owned()
        }
        // The standard library has no kind for this one.
        _ if error.to_string().contains("lookup address") => {
            "查不到这个主机名，请检查网络".to_owned()
        }
        _ => error.to_string(),
    }
}

fn disk(error: &io::Error) -> String {
    let cause = match error.kind() {
        io::ErrorKind::StorageFull => "磁盘已满",
        io::ErrorKind::PermissionDenied => "没有写的权限",
        io::ErrorKind::ReadOnlyFilesystem => "文件系统只读",
        io::ErrorKind::NotFound => "文件夹不存在",
        io::ErrorKind::NotADirectory => "路径中有一段是文件，不是文件夹",
        io::ErrorKind::IsADirectory => "那里已有一个同名的文件夹",
        _ => return error.to_string(),
    };
    cause.to_owned()
}
