//! A student as the hub sees one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use reqwest::Method;
use tokio::time::sleep;

use crate::browser::{Body, Browser, REQUEST};
use crate::server::Server;

/// Somebody with a browser who comes to a hub.
#[derive(Clone, Debug)]
pub struct Student {
    /// Who this is, or claims to be.
    pub name: String,
    /// The student's server, and the browser for that and for the hub.
    pub server: Server,
}

impl Student {
    /// Somebody who has not logged in yet.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(hub: &str, name: &str) -> Result<Student> {
        Ok(Student {
            name: name.to_owned(),
            server: Server {
                browser: Browser::new(hub)?,
                path: format!("/user/{name}/"),
            },
        })
    }

    /// Logs in. Returns whether the hub let us in.
    ///
    /// # Errors
    /// When the hub does not answer.
    pub async fn log_in(&mut self, password: &str) -> Result<bool> {
        let browser = &mut self.server.browser;
        browser.page("/hub/login").await?;
        let xsrf = browser.xsrf("/hub/login");
        let form = format!(
            "username={}&password={password}&_xsrf={}",
            self.name,
            xsrf.replace('|', "%7C").replace('=', "%3D")
        );
        let page = "/hub/login?next=%2Fhub%2Fhome";
        let answer = browser.request(Method::POST, page, Body::Form(form));
        let answer = answer.await?;
        Ok(answer.status.is_redirection())
    }

    /// Has the server started, waits until it can be used, and opens its page.
    ///
    /// # Errors
    /// When it is not there within `limit`.
    pub async fn start_server(&mut self, limit: Duration) -> Result<()> {
        self.spawn(limit).await?;
        self.open_page().await
    }

    /// Opens JupyterLab's page.
    ///
    /// # Errors
    /// When the server does not let us in.
    pub async fn open_page(&mut self) -> Result<()> {
        let lab = self.server.at("lab");
        // The server asks the hub who this is, once.
        let lab = self.server.browser.page(&lab).await?;
        ensure!(lab.status.is_success(), "{}：{}", lab.status, lab.text);
        Ok(())
    }

    /// Has the server started, unless it is there, and waits until it can be used.
    ///
    /// # Errors
    /// When it is not there within `limit`.
    pub async fn spawn(&mut self, limit: Duration) -> Result<()> {
        let user = format!("/hub/api/users/{}", self.name);
        let browser = &mut self.server.browser;
        let deadline = Instant::now() + limit;
        let mut asked = false;
        loop {
            let found = browser.request(Method::GET, &user, Body::None).await?;
            let found = found.json()?;
            if found["servers"][""]["ready"] == true {
                return Ok(());
            }
            let starts = found["pending"] == "spawn" || found["servers"][""]["pending"] == "spawn";
            if !starts {
                ensure!(!asked, "服务器没有启动：{found}");
                asked = true;
                // As a page does that finds no server.
                let answer = browser.request(Method::GET, "/hub/spawn", Body::None);
                let answer = answer.await?;
                ensure!(
                    answer.status.is_redirection(),
                    "{}：{}",
                    answer.status,
                    answer.text
                );
                continue;
            }
            ensure!(Instant::now() < deadline, "服务器 {limit:?} 还没有启动");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Stops the server, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub async fn stop_server(&mut self) -> Result<()> {
        let user = format!("/hub/api/users/{}", self.name);
        let server = format!("{user}/server");
        let browser = &mut self.server.browser;
        browser.request(Method::DELETE, &server, Body::None).await?;
        let deadline = Instant::now() + REQUEST;
        loop {
            let found = browser.request(Method::GET, &user, Body::None).await?;
            let found = found.json()?;
            if found["server"].is_null() && found["pending"].is_null() {
                break;
            }
            ensure!(Instant::now() < deadline, "服务器没有停下：{found}");
            sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }
}
