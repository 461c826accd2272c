//! The signals that end this program: what it has started leads process groups of its own, and would
//! go on.

use std::io;
use std::process::exit;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base::process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

type Handler = Box<dyn FnMut(i32) + Send>;

static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// From now on such a signal ends all that has been started, then this program, which says
/// `interrupted` and has the exit status that shells expect.
///
/// # Errors
/// When the system lets nobody listen for signals.
pub fn end_everything(interrupted: &'static str) -> io::Result<()> {
    handle(Box::new(move |signal| {
        process::end_all();
        eprintln!("{interrupted}");
        exit(128 + signal);
    }));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let mut handler = HANDLER.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(handler) = &mut *handler {
                    handler(signal);
                }
            }
        })?;
    Ok(())
}

/// From now on `handler` decides what a signal means.
pub fn handle(handler: Handler) {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = Some(handler);
}

/// Before a failure is told: perhaps something only failed because a signal hit it, too, and then
/// that is what there is to say.
pub fn settle() {
    thread::sleep(Duration::from_millis(100));
}
