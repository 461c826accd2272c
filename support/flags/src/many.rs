//! Downloading many flags: sequentially, as tasks, or with threads.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Instant;

use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{Code, Downloader, Error, Mode, Options, Record, Report};

/// Downloads the flags for all `codes`, and reports what came of it.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let server = flags::Server::local().start().await?;
/// let options = flags::Options::new(server.url()).folder(&folder).max_req(10);
/// let report = flags::download_many(&flags::POP20, &options).await?;
/// assert_eq!(report.ok(), 20);
/// assert!(server.stats().peak_requests <= 10);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the options' address is none. What fails for a single code stands in the report.
///
/// # Panics
/// Outside of a runtime.
pub async fn download_many(codes: &[Code], options: &Options) -> Result<Report, Error> {
    let mut downloads = Downloads::start(codes, options)?;
    while downloads.next().await.is_some() {}
    Ok(downloads.report())
}

/// Downloads that are under way: a stream of records, in the order in which they are completed.
///
/// Dropping it ends what is not yet completed. Until then, and after each record, a
/// [`report`](Downloads::report) tells how far it is: for progress bars, and for whoever interrupts.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use futures::StreamExt;
///
/// let server = flags::Server::local().start().await?;
/// let options = flags::Options::new(server.url()).folder(&folder);
/// let mut downloads = flags::Downloads::start(&flags::POP20, &options)?;
/// while let Some(record) = downloads.next().await {
///     println!("{record}"); // CN 已保存 China.svg
/// }
/// println!("{}", downloads.report());
/// # assert_eq!(downloads.report().ok(), 20);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Downloads {
    since: Instant,
    asked: usize,
    finished: Vec<Record>,
    incoming: mpsc::Receiver<Record>,
    /// Dropped with the rest, which aborts them. Threads look at the channel instead.
    _tasks: JoinSet<()>,
}

impl Downloads {
    /// Starts to download.
    ///
    /// # Errors
    /// When the options' address is none, or not a single thread can be started.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn start(codes: &[Code], options: &Options) -> Result<Downloads, Error> {
        let since = Instant::now();
        let downloader = Downloader::for_codes(options, codes.len())?;
        // Room for all, so that nobody waits for whoever reads the records.
        let (sender, incoming) = mpsc::channel(codes.len().max(1));
        let mut tasks = JoinSet::new();
        match options.mode {
            Mode::Sequential => {
                let codes = codes.to_vec();
                tasks.spawn(async move {
                    for code in codes {
                        let _ = sender.send(downloader.download_one(code).await).await;
                    }
                });
            }
            Mode::Async => {
                for code in codes.iter().copied() {
                    let (downloader, sender) = (downloader.clone(), sender.clone());
                    tasks.spawn(async move {
                        let _ = sender.send(downloader.download_one(code).await).await;
                    });
                }
            }
            Mode::Threads => {
                start_threads(
                    codes,
                    options.concurrency(codes.len()),
                    &downloader,
                    &sender,
                )?;
            }
        }
        Ok(Downloads {
            since,
            asked: codes.len(),
            finished: Vec::new(),
            incoming,
            _tasks: tasks,
        })
    }

    /// What has been done so far. Codes that are not completed count as [unfinished](Report::unfinished).
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            asked: self.asked,
            records: self.finished.clone(),
            elapsed: self.since.elapsed(),
        }
    }
}

impl Stream for Downloads {
    type Item = Record;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Record>> {
        let record = ready!(self.incoming.poll_recv(cx));
        self.finished.extend(record.clone());
        Poll::Ready(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.asked - self.finished.len();
        (left, Some(left))
    }
}

/// Starts threads that take one code after the other, and end when there is none left or nobody
/// wants the records.
fn start_threads(
    codes: &[Code],
    threads: usize,
    downloader: &Downloader,
    sender: &mpsc::Sender<Record>,
) -> Result<(), Error> {
    let codes = codes.to_vec();
    let queue = Arc::new(Mutex::new(codes.into_iter()));
    for started in 0..threads {
        let (queue, downloader, sender) = (queue.clone(), downloader.clone(), sender.clone());
        let runtime = Handle::current();
        let work = move || {
            let next = || queue.lock().expect("taking a code never panics").next();
            while let Some(code) = next() {
                let proceed = runtime.block_on(async {
                    tokio::select! {
                        biased;
                        () = sender.closed() => false,
                        record = downloader.download_one(code) => sender.send(record).await.is_ok(),
                    }
                });
                if !proceed {
                    break;
                }
            }
        };
        match thread::Builder::new()
            .name(format!("flags-{started}"))
            .spawn(work)
        {
            Ok(_) => {}
            // The threads that there are do all the work; it takes longer.
            Err(_) if started > 0 => break,
            Err(error) => return Err(Error::Setup(format!("没能启动线程：{error}"))),
        }
    }
    Ok(())
}
