//! The program `lab`: sets up, opens JupyterLab, is the Rust kernel, runs and exports notebooks.
//!
//! # Map of this crate
//! | file | idea |
//! |---|---|
//! | `project.rs` | where things lie: the clone and its cache folder |
//! | `toolchain.rs` | the Rust toolchain that cells are compiled with |
//! | `sources.rs` | the standard library's sources, without what nobody needs |
//! | `build_folder.rs` | warmed build folders, and a copy for each kernel |
//! | `cargo.rs`, `cargo/` | the `cargo` and the `rustc` that evcxr finds: a cell without cargo, known answers, the lock file's versions |
//! | `kernel.rs` | `lab kernel`: evcxr with what it needs around it |
//! | `front/` | what Jupyter talks to: a relay to evcxr that does what evcxr falls short of |
//! | `cells.rs`, `cells/` | the process that runs the cells, and what they read |
//! | `client.rs` | a Jupyter client: starts kernels, runs cells |
//! | `outputs.rs` | what a cell has shown, as a notebook stores it |
//! | `ipynb.rs` | notebook files |
//! | `files.rs` | files that are written whole or not at all |
//! | `print.rs` | what is printed, whether anybody reads it or not |
//! | `process.rs` | programs that are started: how they end, what they said |
//! | `environment.rs` | clean environments: what any program needs, how the network is reached |
//! | `priority.rs` | work that nobody waits for yet |
//! | `spare/` | kernels that wait to be taken, while JupyterLab is open |
//! | `python.rs` | the environment with JupyterLab |
//! | `kernelspec.rs` | the entry by which Jupyter finds the kernel |
//! | `warm.rs` | warming a build folder |
//! | `setup.rs` | `lab setup`: all of the above that is missing |
//! | `open.rs` | `lab open` |
//! | `doctor.rs` | `lab doctor` |
//! | `bench.rs` | `lab bench`: our kernel against others |
//! | `run.rs` | `lab run` |
//! | `fmt.rs` | `lab fmt` |
//! | `export.rs` | `lab export`: pages of HTML |
//! | `hub.rs` | `lab hub`: a class on one machine |
//! | `class.rs` | `lab class`: one that is only played, to measure it |

// First, since its macros are for all others.
#[macro_use]
pub mod print;

pub mod bench;
pub mod build_folder;
pub mod cargo;
pub mod cells;
pub mod class;
pub mod client;
pub mod doctor;
pub mod environment;
pub mod export;
pub mod files;
pub mod fmt;
pub mod front;
pub mod hub;
pub mod ipynb;
pub mod kernel;
pub mod kernelspec;
pub mod open;
pub mod outputs;
pub mod priority;
pub mod process;
pub mod project;
pub mod python;
pub mod run;
pub mod setup;
pub mod sources;
pub mod spare;
pub mod toolchain;
pub mod warm;
