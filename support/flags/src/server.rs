//! The local servers LOCAL, DELAY and ERROR.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use crate::fate::{Faults, Outcome, fate};
use crate::stats::Counts;
use crate::tree::{ROOT, Target, Tree};
use crate::{Delay, Stats};

/// How a server is to behave; [`start`](Builder::start) starts it.
#[derive(Clone, Debug)]
pub struct Builder {
    delay: Delay,
    faults: Faults,
    seed: Option<u64>,
    port: u16,
}

impl Builder {
    fn new(delay: Delay, error_rate: f64, reset_rate: f64) -> Builder {
        let faults = Faults {
            error_rate,
            statuses: vec![418],
            reset_rate,
        };
        Builder {
            delay,
            faults,
            seed: None,
            port: 0,
        }
    }

    /// How long each answer takes, also that there is no such file.
    #[must_use]
    pub fn delays(mut self, delay: Delay) -> Builder {
        self.delay = delay;
        self
    }

    /// The part of requests that are answered with an error, from 0 to 1.
    #[must_use]
    pub fn error_rate(mut self, rate: f64) -> Builder {
        self.faults.error_rate = rate;
        self
    }

    /// The errors to answer with, all equally likely; the first edition of the book had
    /// `[500, 501, 502, 503]`.
    ///
    /// # Panics
    /// If one of them is not a status code from 400 to 599, or there is none.
    #[must_use]
    pub fn statuses(mut self, statuses: impl Into<Vec<u16>>) -> Builder {
        self.faults.statuses = statuses.into();
        assert!(!self.faults.statuses.is_empty(), "no status to answer with");
        for status in &self.faults.statuses {
            assert!((400..600).contains(status), "{status} is no error");
        }
        self
    }

    /// The part of requests whose connection is reset instead of an answer, from 0 to 1.
    #[must_use]
    pub fn reset_rate(mut self, rate: f64) -> Builder {
        self.faults.reset_rate = rate;
        self
    }

    /// Makes delays and errors the same for every server with this seed. Without it, each server
    /// makes one up: see [`Server::seed`].
    ///
    /// What becomes of a request hangs on the seed, the path and how often the path has been asked
    /// for, and not on the order in which requests for different paths arrive.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Listens on this port instead of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Builder {
        self.port = port;
        self
    }

    /// Starts the server as tasks of the current runtime, listening on 127.0.0.1.
    ///
    /// Raises the process's limit of open files as far as it may: a thousand connections need two
    /// thousand where client and server are one process, and a usual limit is 1,024.
    ///
    /// # Errors
    /// When the port is taken.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub async fn start(self) -> io::Result<Server> {
        // Best effort: with a low limit, some connections have to wait.
        let _ = rlimit::increase_nofile_limit(1 << 16);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let address = listener.local_addr()?;
        let site = Arc::new(Site {
            tree: Tree::new(),
            delay: self.delay,
            faults: self.faults,
            // Short enough to be typed.
            seed: self
                .seed
                .unwrap_or_else(|| RandomState::new().hash_one(()) >> 44),
            attempts: (0..=Target::COUNT).map(|_| AtomicU32::new(0)).collect(),
            counts: Counts::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, site.clone(), stopped));
        Ok(Server {
            address,
            site,
            stop,
            task,
        })
    }
}

/// A running server of flags, on a free port of this machine.
///
/// It has, for each of the 194 countries, `/flags/cn/cn.svg` and `/flags/cn/metadata.json`, and 404
/// for everything else. It runs until it is dropped (or its runtime is), also between the cells of a
/// notebook.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = flags::Server::local().start().await?;
/// println!("{}", server.url()); // http://127.0.0.1:40123/flags
///
/// let downloader = flags::Downloader::new(&flags::Options::new(server.url()))?;
/// assert_eq!(downloader.get_country("CN".parse()?).await?, "China");
/// assert_eq!(server.stats().served, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    site: Arc<Site>,
    /// Dropped with the server, which ends its task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// LOCAL: answers at once, and never fails.
    #[must_use]
    pub fn local() -> Builder {
        Builder::new(Delay::None, 0.0, 0.0)
    }

    /// DELAY: every answer takes from 0.5 s to 5 s.
    #[must_use]
    pub fn delay() -> Builder {
        Builder::new(Delay::ORIGINAL, 0.0, 0.0)
    }

    /// ERROR: as slow as DELAY; a quarter of the answers are errors (418), and in one of 20 cases
    /// there is no answer: the connection is reset.
    #[must_use]
    pub fn error() -> Builder {
        Builder::new(Delay::ORIGINAL, 0.25, 0.05)
    }

    /// The address under which the flags lie: `http://127.0.0.1:PORT/flags`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}{ROOT}", self.address)
    }

    /// The address to connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The seed; another server with it behaves the same.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.site.seed
    }

    /// What it has counted so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.site.counts.stats()
    }

    /// Puts the counts back to zero and starts from the beginning: the same requests meet the same
    /// delays and errors once more. For when nothing is under way.
    pub fn rewind(&self) {
        self.site.counts.rewind();
        for attempts in &self.site.attempts {
            attempts.store(0, SeqCst);
        }
    }

    /// Stops listening, closes all connections, and returns when this is done.
    pub async fn stop(self) {
        drop(self.stop);
        // It only fails where there is nothing left to stop: its runtime has ended.
        let _ = self.task.await;
    }
}

/// What the connections of a server share.
#[derive(Debug)]
struct Site {
    tree: Tree,
    delay: Delay,
    faults: Faults,
    seed: u64,
    /// How often each target has been asked for; the last one is for all other paths.
    attempts: Vec<AtomicU32>,
    counts: Counts,
}

/// Accepts connections until the other end of `stopped` is dropped.
async fn accept(listener: TcpListener, site: Arc<Site>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, site.clone()))),
                // No more open files, as a rule: the next connection waits until one is closed.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Serves one connection.
async fn serve(stream: TcpStream, site: Arc<Site>) {
    let _counted = site.counts.connections.enter();
    // Or the end of an answer would wait for the client's acknowledgement of its start.
    let _ = stream.set_nodelay(true);
    let reset = Notify::new();
    let service = service_fn(|request| answer(&site, request, &reset));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // Clients may go away at any time, which is no error here.
        _ = &mut connection => {}
        () = reset.notified() => {
            // First: whoever is reset may ask at once how many were.
            count(&site.counts.resets);
            // Without time to linger, closing sends a reset.
            let _ = connection.into_parts().io.into_inner().set_zero_linger();
        }
    }
}

/// Answers one request, or has its connection reset.
async fn answer(
    site: &Site,
    request: Request<hyper::body::Incoming>,
    reset: &Notify,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let _counted = site.counts.requests.enter();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED);
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    let target = Target::parse(request.uri().path());
    let index = target.map_or(Target::COUNT, Target::index);
    let attempt = site.attempts[index].fetch_add(1, SeqCst);
    let (wait, outcome) = fate(site.seed, index, attempt, site.delay, &site.faults);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    Ok(match outcome {
        Outcome::Reset => {
            reset.notify_one();
            std::future::pending().await
        }
        Outcome::Failed(status) => {
            count(&site.counts.failed);
            plain(StatusCode::from_u16(status).expect("checked when it was set"))
        }
        Outcome::Served => match target.and_then(|target| Some((target, site.tree.get(target)?))) {
            Some((target, content)) => {
                count(&site.counts.served);
                let content_type = HeaderValue::from_static(target.content_type());
                let mut response = Response::new(Full::new(content));
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            None => {
                count(&site.counts.not_found);
                plain(StatusCode::NOT_FOUND)
            }
        },
    })
}

/// A response that only says its status.
fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{status}\n"))));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, SeqCst);
}
