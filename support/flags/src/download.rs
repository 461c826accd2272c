//! Downloading one flag.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{Code, Error, Options, Record, file_name, save};

/// The largest answer that is read, in bytes: a wrong server must not fill the memory.
const LARGEST: usize = 1 << 20;

/// The pause before the first retry; each further one is twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Downloads flags one by one; clones share the connections and the limit on requests.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// use flags::{Downloader, Options, Server};
///
/// let server = Server::local().start().await?;
/// let options = Options::new(server.url()).folder(&folder);
/// let downloader = Downloader::new(&options)?;
///
/// let cn = "CN".parse()?;
/// let picture = downloader.get_flag(cn).await?;
/// let country = downloader.get_country(cn).await?;
/// assert!(picture.starts_with(b"<svg "));
/// assert_eq!(country, "China");
///
/// // Both, and then the file is saved:
/// let record = downloader.download_one(cn).await;
/// assert_eq!(record.file, Some(folder.path().join("China.svg")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Downloader {
    client: Client,
    options: Arc<Options>,
    /// One permit a request that is under way.
    semaphore: Arc<Semaphore>,
}

/// What is needed of `metadata.json`.
#[derive(Deserialize)]
struct Metadata {
    country: String,
}

impl Downloader {
    /// A downloader that makes up to [`max_req`](Options::max_req) requests at the same time.
    ///
    /// # Errors
    /// [`Error::Url`] when the options' address is none, or is one of https and this crate has been
    /// built without its feature `remote`.
    pub fn new(options: &Options) -> Result<Downloader, Error> {
        Downloader::for_codes(options, usize::MAX)
    }

    pub(crate) fn for_codes(options: &Options, codes: usize) -> Result<Downloader, Error> {
        let refused = |reason: &str| Error::Url {
            url: options.site.clone(),
            reason: reason.to_owned(),
        };
        let url = Url::parse(&options.site).map_err(|error| refused(&error.to_string()))?;
        match url.scheme() {
            "http" => {}
            "https" if cfg!(feature = "remote") => {}
            "https" => {
                return Err(refused(
                    "编译时没有带上 TLS。在命令行上：cargo run --bin flags --features flags/remote -- -s remote",
                ));
            }
            _ => return Err(refused("要以 http:// 开头")),
        }
        let mut client = Client::builder().timeout(options.timeout);
        if matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]")) {
            // A proxy is on another machine, where our address means another server.
            client = client.no_proxy();
        }
        #[cfg(feature = "remote")]
        let client = crate::tls::add(client);
        Ok(Downloader {
            client: client
                .build()
                .map_err(|error| Error::Setup(error.to_string()))?,
            options: Arc::new(options.clone()),
            semaphore: Arc::new(Semaphore::new(options.concurrency(codes))),
        })
    }

    /// Downloads the picture.
    ///
    /// # Errors
    /// All but [`Error::Save`] and [`Error::Metadata`]; temporary ones only after the last retry.
    pub async fn get_flag(&self, code: Code) -> Result<Bytes, Error> {
        let code = code.lower();
        self.get(&format!("{code}/{code}.{}", self.options.extension))
            .await
    }

    /// Downloads the metadata, and returns the country's English name.
    ///
    /// # Errors
    /// As [`get_flag`](Downloader::get_flag), and [`Error::Metadata`].
    pub async fn get_country(&self, code: Code) -> Result<String, Error> {
        let json = self.get(&format!("{}/metadata.json", code.lower())).await?;
        let metadata: Metadata = serde_json::from_slice(&json).map_err(Error::Metadata)?;
        Ok(metadata.country)
    }

    /// Downloads the picture and the country's name, and saves the file. Returns when the file is
    /// written; what failed stands in the record.
    pub async fn download_one(&self, code: Code) -> Record {
        let since = Instant::now();
        let result = self.download(code).await;
        Record::new(code, result, since.elapsed())
    }

    async fn download(&self, code: Code) -> Result<(String, PathBuf, usize), Error> {
        let picture = self.get_flag(code).await?;
        let country = match self.options.metadata {
            true => self.get_country(code).await?,
            false => String::new(),
        };
        let size = picture.len();
        let name = file_name(&country, code, &self.options.extension);
        let path = save(&self.options.folder, &name, picture).await?;
        Ok((country, path, size))
    }

    /// GETs a file of the site, again if need be.
    async fn get(&self, path: &str) -> Result<Bytes, Error> {
        let url = format!("{}/{path}", self.options.site);
        let mut pause = FIRST_PAUSE;
        for _ in 0..self.options.retries {
            match self.get_once(&url).await {
                Err(error) if error.is_temporary() => tokio::time::sleep(pause).await,
                result => return result,
            }
            pause = LONGEST_PAUSE.min(2 * pause);
        }
        self.get_once(&url).await
    }

    async fn get_once(&self, url: &str) -> Result<Bytes, Error> {
        let _permit = self.semaphore.acquire().await.expect("nobody closes it");
        let failed = |error| Error::request(&error, self.options.timeout);
        let mut response = self.client.get(url).send().await.map_err(failed)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(Error::NotFound),
            status => return Err(Error::Status(status)),
        }
        let mut content = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if content.len() + chunk.len() > LARGEST {
                return Err(Error::TooLarge(LARGEST));
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content.freeze())
    }
}
