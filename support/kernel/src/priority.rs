//! Work that nobody waits for yet goes behind all other.
//!
//! Niceness does not do for that: who has been nice once must stay so. But Linux shares the
//! processors among *sessions* first (autogroups), and the niceness of a session may go up and
//! down. Where the system does not group so, this does nothing.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use rustix::process::{getpid, getsid};

const FILE: &str = "/proc/self/autogroup";
/// The system takes one change in a tenth of a second, from whomever.
const PAUSE: Duration = Duration::from_millis(70);
const TRIES: usize = 20;

/// Lets everything else go before this session. Returns whether it does.
pub fn low() -> bool {
    // Of our own: a terminal's has the student's programs in it.
    let is_own = getsid(None).is_ok_and(|session| session == getpid());
    is_own
        && (0..TRIES).any(|_| {
            let set = set("10");
            if set.is_none() {
                std::thread::sleep(PAUSE);
            }
            set.is_some()
        })
}

/// Makes this session like any other.
pub async fn normal() {
    for _ in 0..TRIES {
        if set("0").is_some() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// None if it is to be tried again.
fn set(niceness: &str) -> Option<()> {
    match fs::write(FILE, niceness) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        _ => Some(()),
    }
}
