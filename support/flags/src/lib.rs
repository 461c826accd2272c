#![doc = include_str!("../README.md")]
//!
//! # Map of this crate
//! | file | idea |
//! |---|---|
//! | `code.rs` | [`Code`], [`POP20`], and which codes are [`Wanted`] |
//! | `country.rs` | [`Country`]: names, pictures, metadata |
//! | `server.rs` | [`Server`]: LOCAL, DELAY and ERROR |
//! | `tree.rs` | what a server has to offer, by path |
//! | `delay.rs` | [`Delay`]: how long an answer takes |
//! | `fate.rs` | what becomes of a request |
//! | `stats.rs` | [`Stats`]: what a server has counted |
//! | `options.rs` | [`Options`] and [`Mode`]: how to download |
//! | `download.rs` | [`Downloader`]: one flag |
//! | `tls.rs` | what the server REMOTE needs besides |
//! | `many.rs` | [`download_many`], [`Downloads`]: many flags |
//! | `save.rs` | [`file_name`] and [`save`] |
//! | `report.rs` | [`Report`], [`Record`], [`Status`]: what came of it |
//! | `error.rs` | [`Error`] |
//! | `main.rs`, `arguments.rs` | the program |

mod code;
mod country;
mod delay;
mod download;
mod error;
mod fate;
mod many;
mod options;
mod report;
mod save;
mod server;
mod stats;
#[cfg(feature = "remote")]
mod tls;
mod tree;

pub use code::{Code, POP20, Wanted};
pub use country::Country;
pub use delay::Delay;
pub use download::Downloader;
pub use error::Error;
pub use many::{Downloads, download_many};
pub use options::{Mode, Options};
pub use report::{Record, Report, Status};
pub use save::{file_name, save};
pub use server::{Builder, Server};
pub use stats::Stats;
