//! A student as the hub sees one: a browser's cookies, JupyterLab's requests, a kernel's messages.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt};
use reqwest::header::{COOKIE, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// What one request may take.
const REQUEST: Duration = Duration::from_secs(60);
/// How many redirections a page may take.
const REDIRECTIONS: usize = 12;

/// A cookie, for addresses below `path`.
#[derive(Clone, Debug)]
struct Cookie {
    path: String,
    name: String,
    value: String,
}

/// Somebody with a browser.
#[derive(Clone, Debug)]
pub struct Student {
    http: Client,
    /// The hub's address, without a slash at its end.
    hub: String,
    /// Who this is, or claims to be.
    pub name: String,
    cookies: Vec<Cookie>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub text: String,
    location: Option<String>,
}

impl Answer {
    /// The body as JSON, of an answer that is no refusal.
    ///
    /// # Errors
    /// When it is one, or is no JSON.
    pub fn json(&self) -> Result<Value> {
        ensure!(self.status.is_success(), "{}：{}", self.status, self.text);
        Ok(serde_json::from_str(&self.text)?)
    }
}

impl Student {
    /// Somebody who has not logged in yet.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(hub: &str, name: &str) -> Result<Student> {
        let http = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(REQUEST)
            .build()?;
        Ok(Student {
            http,
            hub: hub.to_owned(),
            name: name.to_owned(),
            cookies: Vec::new(),
        })
    }

    /// The cookies for an address.
    fn cookies(&self, path: &str) -> impl Iterator<Item = &Cookie> {
        let mut cookies: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|cookie| path.starts_with(&cookie.path))
            .collect();
        // The nearest first, as browsers send them.
        cookies.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        cookies.into_iter()
    }

    fn cookie_header(&self, path: &str) -> String {
        let pairs: Vec<String> = self
            .cookies(path)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// The value that forms and scripts send to show that they are the page's own.
    fn xsrf(&self, path: &str) -> String {
        let mut cookies = self.cookies(path);
        let found = cookies.find(|cookie| cookie.name == "_xsrf");
        found.map(|cookie| cookie.value.clone()).unwrap_or_default()
    }

    fn keep(&mut self, set_cookie: &str) {
        let mut parts = set_cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        let path = parts
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case("path"))
            .map_or("/", |(_, path)| path);
        self.cookies
            .retain(|cookie| cookie.name != name || cookie.path != path);
        let value = value.trim_matches('"');
        if !value.is_empty() {
            self.cookies.push(Cookie {
                path: path.to_owned(),
                name: name.to_owned(),
                value: value.to_owned(),
            });
        }
    }

    /// Puts what somebody else could have made up in the place of every cookie's value.
    pub fn forge_cookies(&mut self) {
        for cookie in &mut self.cookies {
            if cookie.name != "_xsrf" {
                let forged = cookie.value.chars().map(|c| match c {
                    'a'..='y' | 'A'..='Y' | '0'..='8' => char::from(c as u8 + 1),
                    other => other,
                });
                cookie.value = forged.collect();
            }
        }
    }

    /// One request, without following where it leads.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn request(&mut self, method: Method, path: &str, body: Body<'_>) -> Result<Answer> {
        // The hub gives new cookies to pages alone, not to what scripts ask for.
        let mode = match path.contains("/api/") && !path.contains("/oauth2/") {
            true => "cors",
            false => "navigate",
        };
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.hub))
            .header(COOKIE, self.cookie_header(path))
            .header("Referer", format!("{}{path}", self.hub))
            .header("Sec-Fetch-Mode", mode)
            .header("Sec-Fetch-Site", "same-origin")
            .header("X-XSRFToken", self.xsrf(path));
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Form(text) => request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(text),
            Body::Token(token) => request.header("Authorization", format!("token {token}")),
        };
        let response = request.send().await?;
        let status = response.status();
        let headers = response.headers();
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).ok();
        let location = headers.get(LOCATION).and_then(text);
        let set: Vec<String> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(text)
            .collect();
        for cookie in set {
            self.keep(&cookie);
        }
        Ok(Answer {
            status,
            text: response.text().await?,
            location,
        })
    }

    /// A page, with all redirections followed.
    ///
    /// # Errors
    /// When nobody answers, or the redirections never end.
    pub async fn page(&mut self, path: &str) -> Result<Answer> {
        let mut path = path.to_owned();
        for _ in 0..REDIRECTIONS {
            let answer = self.request(Method::GET, &path, Body::None).await?;
            match answer.location {
                Some(location) if answer.status.is_redirection() => {
                    let next = location.strip_prefix(&self.hub).unwrap_or(&location);
                    ensure!(next.starts_with('/'), "{path} 转到了别处：{location}");
                    next.clone_into(&mut path);
                }
                _ => return Ok(answer),
            }
        }
        bail!("{path} 转来转去，没有尽头")
    }

    /// Logs in. Returns whether the hub let us in.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn log_in(&mut self, password: &str) -> Result<bool> {
        self.page("/hub/login").await?;
        let form = format!(
            "username={}&password={password}&_xsrf={}",
            self.name,
            self.xsrf("/hub/login")
                .replace('|', "%7C")
                .replace('=', "%3D")
        );
        let answer = self
            .request(
                Method::POST,
                "/hub/login?next=%2Fhub%2Fhome",
                Body::Form(form),
            )
            .await?;
        Ok(answer.status.is_redirection())
    }

    /// Has the server started, and waits until it can be used.
    ///
    /// # Errors
    /// When it is not there within `limit`.
    pub async fn start_server(&mut self, limit: Duration) -> Result<()> {
        let user = format!("/hub/api/users/{}", self.name);
        let server = format!("{user}/server");
        let asked = self
            .request(Method::POST, &server, Body::Json(&json!({})))
            .await?;
        ensure!(
            asked.status.is_success(),
            "{}：{}",
            asked.status,
            asked.text
        );
        let deadline = Instant::now() + limit;
        loop {
            let found = self.request(Method::GET, &user, Body::None).await?.json()?;
            if found["servers"][""]["ready"] == true {
                break;
            }
            ensure!(
                found["pending"] == "spawn" || found["servers"][""]["pending"] == "spawn",
                "服务器没有启动：{found}"
            );
            ensure!(Instant::now() < deadline, "服务器 {limit:?} 还没有启动");
            sleep(Duration::from_millis(200)).await;
        }
        // The server asks the hub who this is, once.
        let lab = self.page(&self.at("lab")).await?;
        ensure!(lab.status.is_success(), "{}：{}", lab.status, lab.text);
        Ok(())
    }

    /// Stops the server, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub async fn stop_server(&mut self) -> Result<()> {
        let user = format!("/hub/api/users/{}", self.name);
        let server = format!("{user}/server");
        self.request(Method::DELETE, &server, Body::None).await?;
        let deadline = Instant::now() + REQUEST;
        loop {
            let found = self.request(Method::GET, &user, Body::None).await?;
            let found = found.json()?;
            if found["server"].is_null() && found["pending"].is_null() {
                break;
            }
            ensure!(Instant::now() < deadline, "服务器没有停下：{found}");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// An address of the student's server.
    pub fn at(&self, path: &str) -> String {
        format!("/user/{}/{path}", self.name)
    }

    /// A request to the student's server.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub async fn api(&mut self, method: Method, path: &str, body: Body<'_>) -> Result<Value> {
        let answer = self.request(method, &self.at(path), body).await?;
        match answer.text.is_empty() {
            true => {
                ensure!(answer.status.is_success(), "{}", answer.status);
                Ok(Value::Null)
            }
            false => answer.json(),
        }
    }

    /// Opens a notebook as JupyterLab does: reads it and has a kernel started for it.
    ///
    /// # Errors
    /// When there is no such notebook or no kernel.
    pub async fn open(&mut self, notebook: &str) -> Result<(Value, Kernel)> {
        let path = format!("api/contents/{notebook}");
        let file = self.api(Method::GET, &path, Body::None).await?;
        let session = json!({
            "path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "rust"},
        });
        let session = self
            .api(Method::POST, "api/sessions", Body::Json(&session))
            .await?;
        let id = session["kernel"]["id"]
            .as_str()
            .context("the kernel has an id")?;
        let kernel = self.connect(id).await?;
        Ok((file["content"].clone(), kernel))
    }

    /// Connects to a kernel.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn connect(&self, kernel: &str) -> Result<Kernel> {
        let path = self.at(&format!("api/kernels/{kernel}/channels"));
        let session = uuid::Uuid::new_v4().simple().to_string();
        let hub = self.hub.replacen("http", "ws", 1);
        let mut request = format!(
            "{hub}{path}?session_id={session}&_xsrf={}",
            self.xsrf(&path)
        )
        .into_client_request()?;
        request
            .headers_mut()
            .insert("Cookie", self.cookie_header(&path).parse()?);
        request.headers_mut().insert("Origin", self.hub.parse()?);
        // A cell may print any amount.
        let limits = WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let connecting = connect_async_with_config(request, Some(limits), true);
        let (socket, _) = timeout(REQUEST, connecting).await??;
        Ok(Kernel {
            id: kernel.to_owned(),
            session,
            socket,
        })
    }

    /// Interrupts a kernel, as the stop button does.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn interrupt(&mut self, kernel: &str) -> Result<()> {
        let path = format!("api/kernels/{kernel}/interrupt");
        self.api(Method::POST, &path, Body::None).await.map(drop)
    }

    /// Restarts a kernel. Connect to it once more.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart(&mut self, kernel: &str) -> Result<Kernel> {
        let path = format!("api/kernels/{kernel}/restart");
        self.api(Method::POST, &path, Body::None).await?;
        self.connect(kernel).await
    }
}

/// What is sent along with a request.
#[derive(Debug)]
pub enum Body<'a> {
    /// Nothing.
    None,
    /// JSON.
    Json(&'a Value),
    /// A filled-in form.
    Form(String),
    /// Nothing but a token to be let in with.
    Token(&'a str),
}

/// A kernel, through the server's WebSocket.
pub struct Kernel {
    /// Its id.
    pub id: String,
    session: String,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// How a cell went.
#[derive(Debug)]
pub struct Execution {
    /// "ok" or "error", as the reply says; "timeout" without one.
    pub status: String,
    /// What it has printed, and the error.
    pub text: String,
    /// From the request to the reply.
    pub took: Duration,
}

impl Kernel {
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
    pub async fn execute(&mut self, code: &str, limit: Duration) -> Result<Execution> {
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
    pub async fn finish(&mut self, id: &str, since: Instant, limit: Duration) -> Result<Execution> {
        let mut execution = Execution {
            status: "timeout".to_owned(),
            text: String::new(),
            took: limit,
        };
        let until = tokio::time::Instant::from_std(since + limit);
        let (mut replied, mut idle) = (false, false);
        while !(replied && idle) {
            let Ok(message) = tokio::time::timeout_at(until, self.message()).await else {
                return Ok(execution);
            };
            let message = message?;
            if message["parent_header"]["msg_id"] != id {
                continue;
            }
            let content = &message["content"];
            match message["header"]["msg_type"].as_str().unwrap_or_default() {
                "execute_reply" => {
                    replied = true;
                    execution.took = since.elapsed();
                    execution.status = content["status"].as_str().unwrap_or("?").to_owned();
                }
                "status" => idle = content["execution_state"] == "idle",
                // Of a flood the beginning is enough.
                "stream" if execution.text.len() < 1 << 20 => {
                    execution.text += content["text"].as_str().unwrap_or_default();
                }
                "execute_result" | "display_data" => {
                    let text = &content["data"]["text/plain"];
                    execution.text += text.as_str().unwrap_or_default();
                }
                "error" => execution.text += content["evalue"].as_str().unwrap_or_default(),
                _ => {}
            }
        }
        Ok(execution)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_where_they_belong_and_the_nearest_first() {
        let mut student = Student::new("http://127.0.0.1:1", "ann").unwrap();
        for cookie in [
            "_xsrf=a; Path=/hub/",
            "_xsrf=b; path=/user/ann/; HttpOnly",
            "s=c; Path=/",
        ] {
            student.keep(cookie);
        }
        assert_eq!(student.cookie_header("/user/ann/lab"), "_xsrf=b; s=c");
        assert_eq!(student.xsrf("/hub/login"), "a");
        student.keep("s=; Path=/");
        assert_eq!(student.cookie_header("/x"), "");
    }
}
