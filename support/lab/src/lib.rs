//! The program of the course: sets up, opens JupyterLab, lets notebooks be run and exported. It is
//! small, so that it can speak before anything long begins: what is large, the kernel and the runner,
//! are programs of their own that it compiles and starts.
//!
//! | module | idea |
//! |---|---|
//! | `project` | where things lie: the clone and its cache folder |
//! | `committed` | the project as others get it |
//! | `survey` | what is there, what is missing, and what that will take |
//! | `screen` | bars for what goes on side by side |
//! | `log` | what programs say that set-up starts |
//! | `signals` | what ends this program, and all that it has started |
//! | `programs` | the kernel and the runner are compiled |
//! | `python` | the environment with JupyterLab |
//! | `axe` | what the tests of exported pages need |
//! | `kernelspec` | the entry by which Jupyter finds the kernel |
//! | `sets` | what the notebooks depend on: downloaded, compiled once |
//! | `setup` | `lab setup`: all of the above that is missing |
//! | `open` | `lab open` |
//! | `trees` | folders that are copied |
//! | `take_over` | what its reader wrote in an older pack |
//! | `doctor` | `lab doctor` |
//! | `fmt` | `lab fmt` |

#[macro_use]
extern crate base;

pub mod axe;
pub mod committed;
pub mod doctor;
pub mod fmt;
pub mod kernelspec;
pub mod log;
pub mod open;
pub mod programs;
pub mod project;
pub mod python;
pub mod screen;
pub mod sets;
pub mod setup;
pub mod signals;
pub mod survey;
pub mod take_over;
pub mod trees;
