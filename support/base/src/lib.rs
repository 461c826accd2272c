//! What several of our programs need. None of it knows the course, Jupyter or evcxr.
//!
//! | module | idea |
//! |---|---|
//! | `print` | what is printed, whether anybody reads it or not |
//! | `files` | files and folders that are written whole or not at all |
//! | `caches` | where caches are kept |
//! | `process` | programs that are started: how they end, what they said |
//! | `processes` | what runs on this machine, and what it takes |
//! | `memory` | whether there is memory for one more |
//! | `environment` | clean environments: what any program needs, how the network is reached |
//! | `toolchain` | the Rust toolchain that cells are compiled with |
//! | `npm` | packages from npm, as a lock file names them |
//! | `ipynb` | notebook files |
//! | `book` | folders with an exported book |
//! | `advice` | what messages tell people to do: in a clone, or in a pack |

// First, since its macros are for all others.
#[macro_use]
pub mod print;

pub mod advice;
pub mod book;
pub mod caches;
pub mod environment;
pub mod files;
pub mod ipynb;
pub mod memory;
pub mod npm;
pub mod process;
pub mod processes;
pub mod toolchain;
