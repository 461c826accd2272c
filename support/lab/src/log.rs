//! The log of set-up: what the programs that it started have said, for whom what is on the screen
//! does not tell enough.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use base::process::{self, Stream};

use crate::project::Project;

static LOG: Mutex<Option<(File, Instant)>> = Mutex::new(None);

/// Where the log of a project lies.
pub fn path(project: &Project) -> PathBuf {
    project.cache().join("setup.log")
}

/// Begins a new log. Without one, nothing else is different.
pub fn begin(path: &Path) {
    let file = File::create(path).ok();
    *LOG.lock().unwrap_or_else(PoisonError::into_inner) = file.map(|file| (file, Instant::now()));
}

/// Writes a line, with the seconds since the beginning.
pub fn line(text: &str) {
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((file, since)) = &mut *log {
        let _ = writeln!(file, "{:8.2}  {text}", since.elapsed().as_secs_f32());
    }
}

/// As [`process::finish`]; what the program says is in the log as well.
///
/// # Errors
/// As there.
pub fn finish(command: Command, mut listener: impl FnMut(Stream, &str)) -> io::Result<Output> {
    line(&format!("{command:?}"));
    let finished = process::finish(command, |stream, text| {
        // Not each step of a bar.
        if !text.contains("[=") && !text.contains("[>") {
            line(text);
        }
        listener(stream, text);
    });
    match &finished {
        Ok(output) => line(&output.status.to_string()),
        Err(error) => line(&error.to_string()),
    }
    finished
}
