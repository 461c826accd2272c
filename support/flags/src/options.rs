//! How to download.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

/// In which way many flags are downloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Mode {
    /// One after the other.
    Sequential,
    /// A task for each, all under one semaphore.
    #[default]
    Async,
    /// A number of threads, each of which downloads one at a time.
    Threads,
}

impl Mode {
    /// The concurrency of the book's example where nothing else is asked for: 1, 5 and 30.
    #[must_use]
    pub fn default_max_req(self) -> usize {
        match self {
            Mode::Sequential => 1,
            Mode::Async => 5,
            Mode::Threads => 30,
        }
    }
}

/// Where flags come from, where they go, and what is allowed on the way.
///
/// ```
/// use flags::{Mode, Options};
///
/// let options = Options::new("http://127.0.0.1:8000/flags").mode(Mode::Threads);
/// assert_eq!(options.concurrency(676), 30);
/// assert_eq!(options.max_req(5000).concurrency(676), 676);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) site: String,
    pub(crate) extension: String,
    pub(crate) folder: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) max_req: Option<usize>,
    pub(crate) metadata: bool,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
}

impl Options {
    /// The most requests that are ever made at the same time.
    pub const MAX_REQ: usize = 1000;

    /// The defaults: from the site at `url` (see [`Server::url`](crate::Server::url)) into the folder
    /// `downloaded`, async, each request at most 30 seconds, no retries.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Options {
        Options {
            site: url.into().trim_end_matches('/').to_owned(),
            extension: "svg".to_owned(),
            folder: "downloaded".into(),
            mode: Mode::default(),
            max_req: None,
            metadata: true,
            timeout: Duration::from_secs(30),
            retries: 0,
        }
    }

    /// The folder for the files. It is made when the first one is saved.
    #[must_use]
    pub fn folder(mut self, folder: impl AsRef<Path>) -> Options {
        self.folder = folder.as_ref().to_owned();
        self
    }

    /// In which way.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Options {
        self.mode = mode;
        self
    }

    /// At most so many requests at the same time; 0 counts as 1. Without it, as many as is
    /// [usual](Mode::default_max_req) for the mode. [`Mode::Sequential`] makes it 1.
    #[must_use]
    pub fn max_req(mut self, max_req: usize) -> Options {
        self.max_req = Some(max_req);
        self
    }

    /// Whether to ask for the country's name (a second request) and to name the file after it, as the
    /// book's flags3 does; or else after the code, as flags2 does.
    #[must_use]
    pub fn metadata(mut self, metadata: bool) -> Options {
        self.metadata = metadata;
        self
    }

    /// How long a single request may take, from connecting to the answer's last byte.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Options {
        self.timeout = timeout;
        self
    }

    /// How often a request is repeated that failed for a reason that may
    /// [pass](crate::Error::is_temporary).
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Options {
        self.retries = retries;
        self
    }

    /// The pictures' file name extension on the site: `svg` on the local servers.
    #[must_use]
    pub fn extension(mut self, extension: impl Into<String>) -> Options {
        self.extension = extension.into();
        self
    }

    /// How many requests are made at the same time for so many codes.
    #[must_use]
    pub fn concurrency(&self, codes: usize) -> usize {
        let max_req = match self.mode {
            Mode::Sequential => 1,
            mode => self.max_req.unwrap_or(mode.default_max_req()),
        };
        max_req.min(Options::MAX_REQ).min(codes).max(1)
    }
}
