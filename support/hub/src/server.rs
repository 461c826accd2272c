//! A Jupyter server, as the page of JupyterLab talks to it.

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::browser::{Body, Browser};
use crate::channels::Channels;

/// A server, with the browser that JupyterLab is open in.
#[derive(Clone, Debug)]
pub struct Server {
    /// The browser.
    pub browser: Browser,
    /// How the server's addresses begin: `/`, or on a hub `/user/NAME/`.
    pub path: String,
}

impl Server {
    /// An address of the server.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }

    /// Connects to a kernel.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn channels(&self, kernel: &str) -> Result<Channels> {
        Channels::open(&self.browser, &self.path, kernel).await
    }

    /// A request to the server.
    ///
    /// # Errors
    /// When it is refused, or nobody answers.
    pub async fn api(&mut self, method: Method, path: &str, body: Body<'_>) -> Result<Value> {
        let answer = self.browser.request(method, &self.at(path), body).await?;
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
    pub async fn open(&mut self, notebook: &str) -> Result<(Value, Channels)> {
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
        let channels = self.channels(id).await?;
        Ok((file["content"].clone(), channels))
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
    pub async fn restart(&mut self, kernel: &str) -> Result<Channels> {
        let path = format!("api/kernels/{kernel}/restart");
        self.api(Method::POST, &path, Body::None).await?;
        self.channels(kernel).await
    }
}
