//! What is known of evcxr 0.22, and nowhere written down: an upgrade of it begins here.
//!
//! | module | what |
//! |---|---|
//! | [`generated`] | the file that it generates for a cell, and what we change in that |
//!
//! The markers that it prints are in [`link::marker`]. `tests/kernel/evcxr.rs` fails when a new
//! version does something else.

pub mod generated;
