//! What a server has counted.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde::Serialize;

/// What a [`Server`](crate::Server) has counted so far.
///
/// A connection outlives its requests: clients keep it for the next one. How much a client does at
/// once is therefore seen from `peak_requests`, not from `peak_connections`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests that have arrived.
    pub requests: u64,
    /// Requests that are being worked on or waited over just now.
    pub open_requests: u64,
    /// The most requests that were open at the same time.
    pub peak_requests: u64,
    /// Connections that have been accepted.
    pub connections: u64,
    /// Connections that are open just now.
    pub open_connections: u64,
    /// The most connections that were open at the same time.
    pub peak_connections: u64,
    /// Answers with the file that was asked for.
    pub served: u64,
    /// Answers that there is no such file (404).
    pub not_found: u64,
    /// Requests that were answered with an error on purpose.
    pub failed: u64,
    /// Connections that were reset on purpose.
    pub resets: u64,
}

/// One line for users.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats {
            requests,
            peak_requests,
            connections,
            peak_connections,
            ..
        } = self;
        let Stats {
            served,
            not_found,
            failed,
            resets,
            ..
        } = self;
        write!(f, "{requests} 个请求（同时最多 {peak_requests} 个），")?;
        write!(
            f,
            "{connections} 个连接（同时最多 {peak_connections} 个）："
        )?;
        write!(
            f,
            "{served} 个成功，{not_found} 个未找到，{failed} 个出错，{resets} 个被重置"
        )
    }
}

/// How many there have been, how many there are, and the most there were at once.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    total: AtomicU64,
    open: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// Counts one more, which is open until the guard is dropped.
    pub fn enter(&self) -> Inside<'_> {
        self.total.fetch_add(1, SeqCst);
        let open = self.open.fetch_add(1, SeqCst) + 1;
        self.peak.fetch_max(open, SeqCst);
        Inside(self)
    }

    /// From now on counts as if all that is not open had never been.
    pub fn rewind(&self) {
        let open = self.open.load(SeqCst);
        self.total.store(open, SeqCst);
        self.peak.store(open, SeqCst);
    }
}

pub(crate) struct Inside<'a>(&'a Gauge);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub requests: Gauge,
    pub connections: Gauge,
    pub served: AtomicU64,
    pub not_found: AtomicU64,
    pub failed: AtomicU64,
    pub resets: AtomicU64,
}

impl Counts {
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(SeqCst);
        Stats {
            requests: get(&self.requests.total),
            open_requests: get(&self.requests.open),
            peak_requests: get(&self.requests.peak),
            connections: get(&self.connections.total),
            open_connections: get(&self.connections.open),
            peak_connections: get(&self.connections.peak),
            served: get(&self.served),
            not_found: get(&self.not_found),
            failed: get(&self.failed),
            resets: get(&self.resets),
        }
    }

    pub fn rewind(&self) {
        self.requests.rewind();
        self.connections.rewind();
        for counter in [&self.served, &self.not_found, &self.failed, &self.resets] {
            counter.store(0, SeqCst);
        }
    }
}
