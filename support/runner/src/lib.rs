//! Runs notebooks in a Jupyter kernel without a browser, and exports them as HTML. Any kernel that
//! has a kernelspec will do.
//!
//! | module | idea |
//! |---|---|
//! | `client` | a Jupyter client: starts kernels, runs cells |
//! | `kernelspec` | entries by which Jupyter finds kernels |
//! | `outputs` | what a cell has shown, as a notebook stores it |
//! | `run` | notebooks, cell by cell |
//! | `warm` | first cells, so that nobody has to wait for what they name |
//! | `export` | pages of HTML |
//! | `stock` | plain evcxr, for comparison |
//! | `signals` | what ends a program |

#[macro_use]
extern crate base;

pub mod client;
pub mod export;
pub mod kernelspec;
pub mod outputs;
pub mod run;
pub mod signals;
pub mod stock;
pub mod warm;
