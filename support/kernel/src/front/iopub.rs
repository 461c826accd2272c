//! What everybody hears: outputs and states, for each client that subscribes.
//!
//! The ZeroMQ library's XPUB socket sends to one subscriber after the other, and waits for each:
//! one that has stopped reading would hold up the rest. So each client gets an XPUB socket of its
//! own behind the one address they all know, and a queue in front of it that has an end.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use bytes::Bytes;
use kernel_core::{Message, Outgoing};
use serde_json::json;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use zeromq::{SocketRecv, SocketSend, XPubSocket, ZmqMessage};

use super::sockets::door::{Listener, relay, socket_for_one};
use super::sockets::{FAREWELL, SMALL};
use super::wire::{self, Key};

/// Bytes that may wait for a client that does not read; it misses what comes then, as behind the
/// high-water mark of any PUB socket.
const LIMIT: usize = 64 << 20;

/// Clients at the same time, at most: more than there are file descriptors.
const MOST: usize = 1 << 20;

/// Sends messages to all clients, and never waits.
#[derive(Clone)]
pub struct Publisher {
    key: Key,
    clients: Arc<Mutex<Vec<Client>>>,
    /// One permit is with each client that is there.
    present: Arc<Semaphore>,
}

struct Client {
    queue: mpsc::UnboundedSender<ZmqMessage>,
    waiting: Arc<AtomicUsize>,
}

impl Publisher {
    /// Sends to nobody.
    pub fn nobody() -> Publisher {
        Publisher {
            key: Key::new(""),
            clients: Arc::default(),
            present: Arc::new(Semaphore::new(MOST)),
        }
    }

    /// Listens. `folder` is for sockets of its own, closed to others.
    pub fn new(listener: Listener, key: Key, session: String, folder: PathBuf) -> Publisher {
        let publisher = Publisher {
            key,
            clients: Arc::default(),
            present: Arc::new(Semaphore::new(MOST)),
        };
        let this = publisher.clone();
        let mut number = 0;
        tokio::spawn(listener.admit(move |stream| {
            let (path, session, this) = (
                folder.join(number.to_string()),
                session.clone(),
                this.clone(),
            );
            number += 1;
            async move {
                let (socket, inside) = socket_for_one(&path).await?;
                let permit = this.present.clone().acquire_owned().await?;
                Ok(async move {
                    let _permit = permit;
                    let mut relaying = pin!(relay(stream, inside, SMALL));
                    tokio::select! {
                        ended = this.talk(socket, &session) => ended?,
                        ended = &mut relaying => return ended, // the client has gone
                    }
                    // Nothing more is published, and what has been is on its way.
                    relaying.await
                })
            }
        }));
        publisher
    }

    /// Sends `message` under its kind as the topic.
    pub fn publish(&self, message: Message) {
        let topic = Bytes::from(message.kind.clone());
        let frames = wire::frames(message.addressed_to(vec![topic]), &self.key);
        let size: usize = frames.iter().map(Bytes::len).sum();
        self.lock().retain(|client| {
            if client.waiting.load(Ordering::Relaxed) > LIMIT {
                return !client.queue.is_closed();
            }
            client.waiting.fetch_add(size, Ordering::Relaxed);
            client.queue.send(frames.clone()).is_ok()
        });
    }

    /// Publishes nothing more, and waits a moment until everything has been sent.
    pub async fn finish(self) {
        self.lock().clear();
        let _ = timeout(FAREWELL, self.present.acquire_many(MOST as u32)).await;
    }

    /// Talks to one client, until nothing more is published.
    async fn talk(&self, mut socket: XPubSocket, session: &str) -> Result<()> {
        let (queue, mut messages) = mpsc::unbounded_channel::<ZmqMessage>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let client = Client {
            queue,
            waiting: waiting.clone(),
        };
        self.lock().push(client);
        loop {
            tokio::select! {
                frames = messages.recv() => {
                    let Some(frames) = frames else { return Ok(()) };
                    let size: usize = frames.iter().map(Bytes::len).sum();
                    socket.send(frames).await?;
                    waiting.fetch_sub(size, Ordering::Relaxed);
                }
                frames = socket.recv() => {
                    let frames = frames?;
                    let [1, topic @ ..] = frames.get(0).map_or(&[][..], |frame| frame) else {
                        continue; // has unsubscribed
                    };
                    let content = json!({ "subscription": String::from_utf8_lossy(topic) });
                    let welcome = Outgoing {
                        kind: "iopub_welcome".to_owned(),
                        parent: Bytes::new(),
                        identities: vec![Bytes::copy_from_slice(topic)],
                        content,
                    };
                    let welcome = wire::new(welcome, session);
                    socket.send(wire::frames(welcome, &self.key)).await?;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
