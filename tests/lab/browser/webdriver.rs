//! A browser, driven by the WebDriver protocol: JSON over HTTP, between this test and chromedriver.
//!
//! The crates that speak it turn on features of crates that evcxr is made of (`time`, `regex`,
//! `serde`), and every build would compile evcxr anew. What is needed of the protocol is this file.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::common::command::{LONG, Running, SHORT, start_server};
use crate::common::{clean, free_port, project};

/// Under this name the protocol refers to elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The key that makes Enter run a cell.
pub const SHIFT: char = '\u{e008}';
/// The one that ends a line.
pub const ENTER: char = '\u{e007}';
/// The one that goes from one thing that can be used to the next.
pub const TAB: char = '\u{e004}';
/// The arrow to the right.
pub const RIGHT: char = '\u{e014}';
/// The one that, with S, saves.
pub const CONTROL: char = '\u{e009}';

/// Whether there is a browser. That there is none is said aloud; CI must have one.
pub fn is_there() -> bool {
    let is_there = clean("chromedriver").arg("--version").output().is_ok();
    if !is_there {
        let how = "没有 chromedriver：请安装浏览器（Debian：apt install chromium chromium-driver fonts-noto-cjk）";
        assert!(std::env::var_os("LAB_SKIP_NOTHING").is_none(), "{how}");
        // Past the capture of the test's output: a skipped test is to be seen.
        let _ = writeln!(std::io::stderr(), "跳过浏览器里的测试，{how}");
    }
    is_there
}

/// A browser window of its own, with a profile of its own. Closed when dropped.
pub struct Browser {
    client: Client,
    session: String,
    /// Ends with us.
    _driver: Running,
    folder: tempfile::TempDir,
}

impl Browser {
    /// Starts chromedriver and, through it, chromium.
    pub fn start() -> Browser {
        Browser::start_with(&[])
    }

    /// Starts one that finds no other machine, and none that it is told of.
    pub fn without_network() -> Browser {
        let browser = Browser::start_with(&["--host-resolver-rules=MAP * ~NOTFOUND"]);
        let cut =
            json!({"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0});
        browser.devtools("Network.enable", json!({}));
        browser.devtools("Network.emulateNetworkConditions", cut);
        browser
    }

    fn start_with(more: &[&str]) -> Browser {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("downloads")).unwrap();
        let port = free_port();
        let mut driver = clean("chromedriver");
        driver
            .arg(format!("--port={port}"))
            // Where chromium puts what has no place in its profile.
            .env("TMPDIR", folder.path())
            .env("HOME", folder.path());
        let mut driver = start_server(&mut driver);
        let client = Client::builder().no_proxy().timeout(SHORT).build().unwrap();
        let address = format!("http://127.0.0.1:{port}");
        driver.until("chromedriver answers", SHORT, || {
            client.get(format!("{address}/status")).send().is_ok()
        });
        let arguments = [
            "--headless=new",
            // It ends with chromedriver, then.
            "--remote-debugging-pipe",
            "--no-sandbox", // for root, in a container; the pages are our own
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            // It finds out much about the world on its own otherwise.
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            "--lang=zh-CN",
        ];
        let profile = format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        );
        let more = more.iter().copied().chain([&*profile]);
        let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
        let options = json!({
            "args": arguments,
            "prefs": {"download.default_directory": folder.path().join("downloads")},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            "unhandledPromptBehavior": "accept",
            "timeouts": {"script": LONG.as_millis() as u64},
        }}});
        let made = answer(client.post(format!("{address}/session")).json(&wanted));
        let made = made.unwrap_or_else(|error| panic!("{error}: {}", driver.text()));
        let id = made["sessionId"].as_str().unwrap();
        Browser {
            session: format!("{address}/session/{id}"),
            client,
            _driver: driver,
            folder,
        }
    }

    fn post(&self, what: &str, body: &Value) -> Result<Value, String> {
        self.post_within(SHORT, what, body)
    }

    fn post_within(&self, limit: Duration, what: &str, body: &Value) -> Result<Value, String> {
        let request = self.client.post(format!("{}/{what}", self.session));
        answer(request.timeout(limit).json(body))
    }

    /// Goes to an address.
    pub fn open(&self, address: &str) {
        self.post("url", &json!({"url": address})).unwrap();
    }

    /// What the body of a JavaScript function returns, given `arguments`.
    pub fn script(&self, body: &str, arguments: Value) -> Value {
        self.script_within(SHORT, body, arguments)
    }

    /// The same, when what it returns is a promise that takes its time.
    pub fn script_within(&self, limit: Duration, body: &str, arguments: Value) -> Value {
        let call = json!({"script": body, "args": arguments});
        self.post_within(limit, "execute/sync", &call)
            .unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// What a command of chromium's own protocol returns.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let call = json!({"cmd": command, "params": parameters});
        self.post("goog/cdp/execute", &call)
            .unwrap_or_else(|error| panic!("{error}: {command}"))
    }

    /// What the console has shown since the last call.
    pub fn console(&self) -> Vec<String> {
        let entries = self.log("browser");
        entries
            .iter()
            .map(|entry| entry["message"].to_string())
            .collect()
    }

    /// The addresses of everything that the page has asked for since the last call.
    pub fn requests(&self) -> Vec<String> {
        let entries = self.log("performance");
        let messages = entries.iter().filter_map(|entry| entry["message"].as_str());
        messages
            .filter_map(|message| serde_json::from_str::<Value>(message).ok())
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| {
                let address = event["message"]["params"]["request"]["url"].as_str()?;
                Some(address.to_owned())
            })
            .collect()
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let entries = self.post("se/log", &json!({"type": kind})).unwrap();
        entries.as_array().cloned().unwrap_or_default()
    }

    /// Clicks in the middle of the first element that a selector finds, once it is there and
    /// nothing covers it. A selector is CSS, or XPath if it begins with `//`.
    pub fn click(&self, selector: &str) {
        let kind = match selector.starts_with("//") {
            true => "xpath",
            false => "css selector",
        };
        let find = json!({"using": kind, "value": selector});
        self.until(&format!("a click on {selector}"), SHORT, || {
            let found = self.post("element", &find).ok()?;
            let element = found[ELEMENT].as_str()?;
            self.post(&format!("element/{element}/click"), &json!({}))
                .ok()
        });
    }

    /// Presses keys one after the other, and lets them go in the opposite order.
    pub fn press(&self, keys: &[char]) {
        let event = |kind: &str, key: &char| json!({"type": kind, "value": key});
        let down = keys.iter().map(|key| event("keyDown", key));
        let up = keys.iter().rev().map(|key| event("keyUp", key));
        let events: Vec<Value> = down.chain(up).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": events});
        self.post("actions", &json!({"actions": [keyboard]}))
            .unwrap();
    }

    /// Waits until `condition` gives something.
    pub fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut() -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = condition() {
                return found;
            }
            if Instant::now() > deadline {
                let picture = self.screenshot("never");
                panic!("never: {what}; see {}", picture.display());
            }
            // Looking costs the page as much as working does.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Keeps a picture of the window in `target/screenshots/`.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let taken = self.client.get(format!("{}/screenshot", self.session));
        let picture = answer(taken).unwrap();
        let bytes = base64::prelude::BASE64_STANDARD.decode(picture.as_str().unwrap());
        let folder = project().root().join("target/screenshots");
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, bytes.unwrap()).unwrap();
        path
    }

    /// The page as it is printed on A4: a PDF. (The protocol's own command for this gives up after ten
    /// seconds.)
    pub fn print(&self) -> Vec<u8> {
        let paper = json!({"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true});
        let call = json!({"cmd": "Page.printToPDF", "params": paper});
        let printed = self.post_within(LONG, "goog/cdp/execute", &call).unwrap();
        let bytes = base64::prelude::BASE64_STANDARD.decode(printed["data"].as_str().unwrap());
        bytes.unwrap()
    }

    /// Where downloads go.
    pub fn downloads(&self) -> PathBuf {
        self.folder.path().join("downloads")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium then ends in good order; `Running` kills what is left, chromedriver at least.
        let _ = self.client.delete(&self.session).send();
    }
}

/// The value in an answer, or the message in a refusal.
fn answer(request: reqwest::blocking::RequestBuilder) -> Result<Value, String> {
    let response = request.send().map_err(|error| error.to_string())?;
    let refused = !response.status().is_success();
    let mut body: Value = response.json().map_err(|error| error.to_string())?;
    let value = body["value"].take();
    match refused {
        true => Err(value["message"].as_str().unwrap_or_default().to_owned()),
        false => Ok(value),
    }
}
