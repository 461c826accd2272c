//! A kernel that Jupyter starts takes a spare, if one waits that is just what its notebook needs.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use jupyter_protocol::ConnectionInfo;
use link::variable;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::{ACCEPTED, INTERRUPT, Needs, Request};

/// How long a spare may take to answer. It gives way to others, and they may have all processors; one
/// that does not fit closes the connection at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes a spare and lives as long as its kernel; returns the kernel's exit status. None if there is
/// none to take: then nothing has happened.
///
/// # Errors
/// When the kernel that was taken ends without a word.
pub fn take(needs: &Needs, connection: &ConnectionInfo) -> Result<Option<u8>> {
    let Some(folder) = std::env::var_os(variable::SPARES).map(PathBuf::from) else {
        return Ok(None);
    };
    let request = Request {
        needs: needs.clone(),
        connection: connection.clone(),
    };
    let mut request = serde_json::to_vec(&request)?;
    request.push(b'\n');
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            for socket in sockets(&folder) {
                if let Ok(Ok(kernel)) = timeout(PATIENCE, ask(&socket, &request)).await {
                    return accompany(kernel).await.map(Some);
                }
            }
            Ok(None)
        })
}

/// The spares' sockets, the one that has waited longest first.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    // They are numbered.
    sockets.sort_by_key(|path| (path.as_os_str().as_bytes().len(), path.clone()));
    sockets
}

async fn ask(socket: &Path, request: &[u8]) -> Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request).await?;
    match stream.read_u8().await? {
        ACCEPTED => Ok(stream),
        _ => anyhow::bail!("not an answer"),
    }
}

/// Does for a kernel elsewhere what Jupyter expects of the process that it started. If this process
/// is killed, the connection closes and the kernel ends.
async fn accompany(mut kernel: UnixStream) -> Result<u8> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hang_ups = signal(SignalKind::hangup())?;
    let (mut ending, mut orders) = kernel.split();
    loop {
        tokio::select! {
            status = ending.read_u8() => return status.context("备用内核突然结束了：请重启内核"),
            // If that does not reach it, it has ended, and its last word is on the way.
            _ = interrupts.recv() => drop(orders.write_all(&[INTERRUPT]).await),
            _ = terminations.recv() => drop(orders.shutdown().await),
            _ = hang_ups.recv() => drop(orders.shutdown().await),
        }
    }
}
