//! A kernel's channels, through the WebSocket of a Jupyter server.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::browser::{Browser, REQUEST};

/// The channels of a kernel.
pub struct Channels {
    /// The kernel's id.
    pub kernel: String,
    session: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How a cell went.
#[derive(Debug)]
pub struct Reply {
    /// "ok" or "error", as the reply says; "timeout" without one.
    pub status: String,
    /// What it has printed, and the error.
    pub text: String,
    /// From the request to the reply.
    pub took: Duration,
}

impl Channels {
    /// Connects to a kernel of the server whose addresses begin with `server`.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn open(browser: &Browser, server: &str, kernel: &str) -> Result<Channels> {
        let path = format!("{server}api/kernels/{kernel}/channels");
        let session = uuid::Uuid::new_v4().simple().to_string();
        let origin = &browser.origin;
        let mut request = format!(
            "{}{path}?session_id={session}&_xsrf={}",
            origin.replacen("http", "ws", 1),
            browser.xsrf(&path)
        )
        .into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("Cookie", browser.cookie_header(&path).parse()?);
        headers.insert("Origin", origin.parse()?);
        // A cell may print any amount.
        let limits = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let connecting = connect_async_with_config(request, Some(limits), true);
        let (socket, _) = timeout(REQUEST, connecting).await??;
        Ok(Channels {
            kernel: kernel.to_owned(),
            session,
            socket,
        })
    }

    /// Sends a cell, without waiting.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&mut self, code: &str) -> Result<String> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let now = chrono::Utc::now().to_rfc3339();
        let message = json!({
            "header": {
                "msg_id": id, "msg_type": "execute_request", "version": "5.3",
                "session": self.session, "username": "", "date": now,
            },
            "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
            "content": {
                "code": code, "silent": false, "store_history": true, "user_expressions": {},
                "allow_stdin": false, "stop_on_error": true,
            },
        });
        self.socket.send(Message::text(message.to_string())).await?;
        Ok(id)
    }

    /// Runs a cell.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn execute(&mut self, code: &str, limit: Duration) -> Result<Reply> {
        let since = Instant::now();
        let id = self.send(code).await?;
        self.finish(&id, since, limit).await
    }

    /// Waits until a cell that was sent has printed something.
    ///
    /// # Errors
    /// When it does not within `limit`, or the connection is gone.
    pub async fn wait_for_text(&mut self, id: &str, text: &str, limit: Duration) -> Result<()> {
        let found = async {
            loop {
                let message = self.message().await?;
                let printed = message["content"]["text"].as_str().unwrap_or_default();
                if message["parent_header"]["msg_id"] == id && printed.contains(text) {
                    return Ok(());
                }
            }
        };
        timeout(limit, found)
            .await
            .with_context(|| format!("{text:?} 没有打印出来"))?
    }

    /// The next message of the kernel.
    async fn message(&mut self) -> Result<Value> {
        loop {
            let message = self.socket.next().await;
            if let Message::Text(text) = message.context("服务器断开了内核的连接")?? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    /// Does nothing for a while, but to answer the server when it asks whether anybody is there.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn rest_until(&mut self, end: Instant) -> Result<()> {
        while let Ok(message) = tokio::time::timeout_at(end.into(), self.message()).await {
            message?;
        }
        Ok(())
    }

    /// Waits for the end of a cell that was sent.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn finish(&mut self, id: &str, since: Instant, limit: Duration) -> Result<Reply> {
        let mut reply = Reply {
            status: "timeout".to_owned(),
            text: String::new(),
            took: limit,
        };
        let until = tokio::time::Instant::from_std(since + limit);
        let (mut replied, mut idle) = (false, false);
        while !(replied && idle) {
            let Ok(message) = tokio::time::timeout_at(until, self.message()).await else {
                return Ok(reply);
            };
            let message = message?;
            if message["parent_header"]["msg_id"] != id {
                continue;
            }
            let content = &message["content"];
            match message["header"]["msg_type"].as_str().unwrap_or_default() {
                "execute_reply" => {
                    replied = true;
                    reply.took = since.elapsed();
                    reply.status = content["status"].as_str().unwrap_or("?").to_owned();
                }
                "status" => idle = content["execution_state"] == "idle",
                // Of a flood the beginning is enough.
                "stream" if reply.text.len() < 1 << 20 => {
                    reply.text += content["text"].as_str().unwrap_or_default();
                }
                "execute_result" | "display_data" => {
                    let text = &content["data"]["text/plain"];
                    reply.text += text.as_str().unwrap_or_default();
                }
                "error" => reply.text += content["evalue"].as_str().unwrap_or_default(),
                _ => {}
            }
        }
        Ok(reply)
    }
}
