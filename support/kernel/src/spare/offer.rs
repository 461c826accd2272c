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
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{sleep, timeout};

use super::{ACCEPTED, INTERRUPT, Needs, Request};

/// How long it waits after something went wrong.
const PAUSE: Duration = Duration::from_millis(100);
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
    ///
    /// # Errors
    /// When that is not possible.
    pub fn open(self) -> Result<Receiver<Order>> {
        let listener =
            tokio::net::UnixListener::from_std(self.listener).context("备用的内核不能等人来取")?;
        let (orders, receiver) = channel(8);
        tokio::spawn(async move {
            let mut is_said = false;
            let (mut stream, connection) = loop {
                // Whatever goes wrong here, nobody has taken it: it waits for the next.
                match taken(&listener, &self.needs, &self.taker).await {
                    Ok(Some(taken)) => break taken,
                    Ok(None) => {}
                    Err(error) => {
                        if !std::mem::replace(&mut is_said, true) {
                            eprintln!("没有取走备用的内核：{error:#}");
                        }
                        sleep(PAUSE).await;
                    }
                }
            };
            // Whoever comes now finds nobody: a spare is taken once.
            let _ = fs::remove_file(&self.path);
            drop(listener);
            say("taken");
            // Nobody hears orders any more when the kernel ends by itself.
            let connection = Box::new(connection);
            let mut is_heard = orders.send(Order::Serve(connection)).await.is_ok();
            while is_heard && stream.read_u8().await.is_ok_and(|order| order == INTERRUPT) {
                is_heard = orders.send(Order::Interrupt).await.is_ok();
            }
            let _ = orders.send(Order::End).await;
        });
        Ok(receiver)
    }
}

/// Waits for somebody who connects, and accepts who needs just this: from then on nothing can go
/// wrong any more. None if it needs something else, or does not say what.
async fn taken(
    listener: &tokio::net::UnixListener,
    needs: &Needs,
    taker: &OnceLock<UnixStream>,
) -> Result<Option<(tokio::net::UnixStream, ConnectionInfo)>> {
    let mut stream = listener.accept().await?.0;
    let connection = match timeout(PATIENCE, read(&mut stream)).await {
        Ok(Ok(request)) if request.needs == *needs => request.connection,
        _ => return Ok(None),
    };
    let stream = stream.into_std()?;
    let to_tell = stream.try_clone()?;
    let mut stream = tokio::net::UnixStream::from_std(stream)?;
    stream.write_all(&[ACCEPTED]).await?;
    let _ = taker.set(to_tell); // the first and only
    Ok(Some((stream, connection)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// For anything that ought to take milliseconds.
    const LIMIT: Duration = Duration::from_secs(20);

    fn needs(first: &str) -> Needs {
        Needs {
            folder: "folder".into(),
            set: "set".to_owned(),
            first: first.to_owned(),
        }
    }

    #[tokio::test]
    async fn who_goes_before_it_is_accepted_has_not_taken_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0");
        let offer = Offer::new(path.clone(), needs("this")).unwrap();
        let taker = offer.taker();
        let mut orders = offer.open().unwrap();
        let connection = crate::front::inner_connection(folder.path());
        let request = |first| {
            let connection = connection.clone();
            let needs = needs(first);
            let mut line = serde_json::to_vec(&Request { needs, connection }).unwrap();
            line.push(b'\n');
            line
        };
        let right = request("this");
        let others = [b"nonsense\n".to_vec(), request("that"), right.clone()];
        let cut = (0..right.len()).step_by(7).map(|end| right[..end].to_vec());
        for sent in cut.chain(others) {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.write_all(&sent).unwrap();
        }
        // All of them have gone before anything could be answered. This one stays.
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(&right).await.unwrap();
        let answer = timeout(LIMIT, stream.read_u8()).await.unwrap();
        assert_eq!(answer.unwrap(), ACCEPTED);
        stream.write_all(&[INTERRUPT]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut next = async || timeout(LIMIT, orders.recv()).await.unwrap();
        let Some(Order::Serve(served)) = next().await else {
            panic!("not the first order");
        };
        assert_eq!(served.key, connection.key);
        assert!(matches!(next().await, Some(Order::Interrupt)));
        assert!(matches!(next().await, Some(Order::End)));
        assert!(!path.exists());
        taker.tell(7);
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut status = [0];
        stream.read_exact(&mut status).unwrap();
        assert_eq!(status, [7]);
    }
}
