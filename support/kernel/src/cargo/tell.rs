//! What our cargo tells the front: lines of JSON.
//!
//! A notice for the student is shown at some time; what rustc has said must have been heard before
//! evcxr says that the cell has failed, so that is waited for.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kernel_core::{Diagnosis, GENERATED};
use link::{frame, variable};
use serde_json::{Value, json};

/// How long the front may take to hear something.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// A connection to the front.
pub struct Connection(UnixStream);

impl Connection {
    /// None without a front.
    pub fn connect() -> Option<Connection> {
        let mut front = UnixStream::connect(std::env::var_os(variable::FRONT)?).ok()?;
        front.write_all(&[frame::SAYS]).ok()?;
        Some(Connection(front))
    }

    /// Has a line shown in the cell that waits.
    pub fn notice(&mut self, line: &str) {
        let _ = writeln!(self.0, "{}", json!({ "notice": line }));
    }

    /// Waits until what has been said has been heard.
    fn wait(&mut self) -> std::io::Result<()> {
        self.0.set_read_timeout(Some(HEARD_WITHIN))?;
        self.0.read_exact(&mut [0])
    }
}

/// Tells the front what rustc has said of the file that evcxr has just generated, if a student may
/// want to hear it.
pub fn diagnose(messages: &[Value]) {
    let wanted: Vec<&Value> = messages
        .iter()
        .filter(|message| Diagnosis::wants(message))
        .collect();
    if wanted.is_empty() {
        return;
    }
    let (Some(mut front), Ok(generated)) = (
        Connection::connect(),
        std::fs::read_to_string(Path::new(GENERATED)),
    ) else {
        return;
    };
    let said = json!({ "generated": generated, "messages": wanted });
    // If it is not heard, the student sees what evcxr makes of it.
    let _ = writeln!(front.0, "{said}").and_then(|()| front.wait());
}
