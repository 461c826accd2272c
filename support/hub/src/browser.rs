//! A browser, as far as a server can tell: cookies, forms, redirections.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::header::{COOKIE, HeaderValue, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

/// What one request may take.
pub const REQUEST: Duration = Duration::from_secs(60);
/// How many redirections a page may take.
const REDIRECTIONS: usize = 12;

/// A cookie, for addresses below `path`.
#[derive(Clone, Debug)]
struct Cookie {
    path: String,
    name: String,
    value: String,
}

/// A browser of somebody who visits one server.
#[derive(Clone, Debug)]
pub struct Browser {
    http: Client,
    /// The server's address, without a slash at its end.
    pub origin: String,
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

impl Browser {
    /// One that has no cookies yet.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(origin: &str) -> Result<Browser> {
        let http = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(REQUEST)
            .build()?;
        Ok(Browser {
            http,
            origin: origin.to_owned(),
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

    /// The cookies for an address, as they are sent.
    pub fn cookie_header(&self, path: &str) -> String {
        let pairs: Vec<String> = self
            .cookies(path)
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        pairs.join("; ")
    }

    /// The value that forms and scripts send to show that they are the page's own.
    pub fn xsrf(&self, path: &str) -> String {
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
            .request(method, format!("{}{path}", self.origin))
            .header(COOKIE, self.cookie_header(path))
            .header("Referer", format!("{}{path}", self.origin))
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
                    let next = location.strip_prefix(&self.origin).unwrap_or(&location);
                    ensure!(next.starts_with('/'), "{path} 转到了别处：{location}");
                    next.clone_into(&mut path);
                }
                _ => return Ok(answer),
            }
        }
        bail!("{path} 转来转去，没有尽头")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_go_where_they_belong_and_the_nearest_first() {
        let mut browser = Browser::new("http://127.0.0.1:1").unwrap();
        for cookie in [
            "_xsrf=a; Path=/hub/",
            "_xsrf=b; path=/user/ann/; HttpOnly",
            "s=c; Path=/",
        ] {
            browser.keep(cookie);
        }
        assert_eq!(browser.cookie_header("/user/ann/lab"), "_xsrf=b; s=c");
        assert_eq!(browser.xsrf("/hub/login"), "a");
        browser.keep("s=; Path=/");
        assert_eq!(browser.cookie_header("/x"), "");
    }
}
