//! The signals that end a program, which would otherwise end it without any clean-up: kernels have
//! sessions of their own, and would go on.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// Runs `work` to its end, or until a signal comes; then says `interrupted`, and returns the exit
/// status that shells expect.
///
/// # Errors
/// Those of `work`.
pub async fn until_interrupted(
    work: impl Future<Output = Result<()>>,
    interrupted: &str,
) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let code = tokio::select! {
        biased;
        code = signals.next() => code,
        done = work => match done {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            // Perhaps it only failed because the signal hit a program that it ran, too.
            Err(error) => match timeout(Duration::from_millis(100), signals.next()).await {
                Ok(code) => code,
                Err(_) => return Err(error),
            },
        },
    };
    eprintln!("{interrupted}");
    Ok(ExitCode::from(code))
}

struct Signals([(Signal, SignalKind); 3]);

impl Signals {
    fn new() -> Result<Signals> {
        let listen = |kind| Ok::<_, std::io::Error>((signal(kind)?, kind));
        Ok(Signals([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    /// Waits for the next one, and returns the exit status that shells expect after it.
    async fn next(&mut self) -> u8 {
        let [(interrupt, a), (terminate, b), (hangup, c)] = &mut self.0;
        let kind = tokio::select! {
            _ = interrupt.recv() => a,
            _ = terminate.recv() => b,
            _ = hangup.recv() => c,
        };
        128 + kind.as_raw_value() as u8
    }
}
