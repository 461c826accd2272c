//! What came of the downloads.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::{Code, Error};

/// What came of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Status {
    /// The flag is downloaded and saved.
    Ok,
    /// The server has no such flag (404).
    NotFound,
    /// Anything else: another status, no answer, a file that could not be saved.
    Error,
}

/// What came of one code, and how; as a row of a table, too.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// The code.
    pub code: Code,
    /// What came of it.
    pub status: Status,
    /// The country's English name, if it is known.
    pub country: Option<String>,
    /// The file, if it is saved.
    pub file: Option<PathBuf>,
    /// The picture's size, in bytes.
    pub bytes: usize,
    /// How long it took from the first request until the file was saved, in seconds, waiting for the
    /// semaphore included.
    pub seconds: f64,
    /// Why there is no file, for users.
    pub reason: Option<String>,
}

impl Record {
    pub(crate) fn new(
        code: Code,
        result: Result<(String, PathBuf, usize), Error>,
        elapsed: Duration,
    ) -> Record {
        let (status, reason) = match &result {
            Ok(_) => (Status::Ok, None),
            Err(error @ Error::NotFound) => (Status::NotFound, Some(error.to_string())),
            Err(error) => (Status::Error, Some(error.to_string())),
        };
        let (country, file, bytes) = match result {
            Ok((country, file, bytes)) => (Some(country), Some(file), bytes),
            Err(_) => (None, None, 0),
        };
        let country = country.filter(|name| !name.is_empty());
        Record {
            code,
            status,
            country,
            file,
            bytes,
            seconds: elapsed.as_secs_f64(),
            reason,
        }
    }
}

/// One line for users: the code, and the file's name or why there is none.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.as_ref().and_then(|file| file.file_name());
        match (name, &self.reason) {
            (Some(name), _) => write!(f, "{} 已保存 {}", self.code, name.display()),
            (None, Some(reason)) if self.status == Status::Error => {
                write!(f, "{} 出错：{reason}", self.code)
            }
            (None, reason) => write!(f, "{} {}", self.code, reason.as_deref().unwrap_or_default()),
        }
    }
}

/// What came of all codes. `ok + not_found + errors + unfinished` is always `asked`.
///
/// Displayed, it is the program's final report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How many codes were asked for.
    pub asked: usize,
    /// A record for each code that was completed, in the order of completion.
    pub records: Vec<Record>,
    /// The time since the start.
    pub elapsed: Duration,
}

impl Report {
    /// Flags that were downloaded and saved.
    #[must_use]
    pub fn ok(&self) -> usize {
        self.count(Status::Ok)
    }

    /// Flags that the server does not have.
    #[must_use]
    pub fn not_found(&self) -> usize {
        self.count(Status::NotFound)
    }

    /// Flags that something went wrong with.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Status::Error)
    }

    /// Flags that were asked for and not completed, because someone interrupted it.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.asked - self.records.len()
    }

    fn count(&self, status: Status) -> usize {
        self.records
            .iter()
            .filter(|record| record.status == status)
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", "-".repeat(20))?;
        writeln!(f, "{:3} 面国旗已下载。", self.ok())?;
        for (number, what) in [
            (self.not_found(), "个未找到"),
            (self.errors(), "个出错"),
            (self.unfinished(), "个没有做完"),
        ] {
            if number > 0 {
                writeln!(f, "{number:3} {what}。")?;
            }
        }
        write!(f, "用时：{:.2}s", self.elapsed.as_secs_f64())
    }
}
