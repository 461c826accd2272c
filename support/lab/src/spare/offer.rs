//! A spare waits to be taken.

use std::fs;
use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use jupyter_protocol::ConnectionInfo;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::{ACCEPTED, INTERRUPT, Needs, Request};

/// How long somebody who has connected may take to say what is needed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What whoever takes a spare wants of it, in this order.
pub enum Order {
    /// Serve the clients of this connection.
    Serve(Box<ConnectionInfo>),
    /// Interrupt the cell.
    Interrupt,
    /// End: nobody needs this kernel any more.
    End,
}

/// A spare's socket, in a folder of the user's alone.
pub struct Offer {
    listener: UnixListener,
    path: PathBuf,
    needs: Needs,
    taker: Arc<OnceLock<UnixStream>>,
}

impl Offer {
    /// Listens at `path` for who needs just this.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn new(path: PathBuf, needs: Needs) -> Result<Offer> {
        let listener = UnixListener::bind(&path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener));
        Ok(Offer {
            listener: listener.with_context(|| format!("不能在 {} 上监听", path.display()))?,
            path,
            needs,
            taker: Arc::default(),
        })
    }

    /// Whom to tell how the kernel has ended.
    pub fn taker(&self) -> Taker {
        Taker(self.taker.clone())
    }

    /// Waits, from now on, for the one that takes the spare and for what it wants then.
    pub fn open(self) -> Receiver<Order> {
        let (orders, receiver) = channel(8);
        tokio::spawn(async move {
            let _ = self.serve(orders).await;
        });
        receiver
    }

    async fn serve(self, orders: Sender<Order>) -> Result<()> {
        let listener = tokio::net::UnixListener::from_std(self.listener)?;
        let (mut stream, connection) = loop {
            let mut stream = listener.accept().await?.0;
            if let Ok(Ok(request)) = timeout(PATIENCE, read(&mut stream)).await
                && request.needs == self.needs
            {
                break (stream, request.connection);
            }
        };
        // Whoever comes now finds nobody: a spare is taken once.
        let _ = fs::remove_file(&self.path);
        drop(listener);
        stream.write_all(&[ACCEPTED]).await?;
        let stream = stream.into_std()?;
        let _ = self.taker.set(stream.try_clone()?);
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        say("taken");
        orders.send(Order::Serve(Box::new(connection))).await?;
        while stream.read_u8().await.is_ok_and(|order| order == INTERRUPT) {
            orders.send(Order::Interrupt).await?;
        }
        Ok(orders.send(Order::End).await?)
    }
}

/// Tells the keeper, who may be gone.
pub fn say(word: &str) {
    let _ = writeln!(std::io::stdout(), "{word}");
}

async fn read(stream: &mut tokio::net::UnixStream) -> Result<Request> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}

/// The process that Jupyter started, if it has taken the spare.
pub struct Taker(Arc<OnceLock<UnixStream>>);

impl Taker {
    /// Says that the kernel has ended, to be called when nothing of it is left: Jupyter may start
    /// the next one on the same ports at once.
    pub fn tell(self, status: u8) {
        if let Some(mut stream) = self.0.get() {
            let _ = stream.write_all(&[status]);
        }
    }
}
