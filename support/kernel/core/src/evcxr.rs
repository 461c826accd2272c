//! What is known of evcxr 0.22, and nowhere written down: an upgrade of it begins here.
//!
//! | module | what |
//! |---|---|
//! | [`generated`] | the file that it generates for a cell, and what we change in that |
//! | [`source_map`] | which cell and line a place in such a file came from |
//! | `bindings.rs` | the variables that a cell's own `let`s define |
//! | `trail.rs` | the student's own functions that led to a panic |
//! | `positions.rs` | places in code, in the terms of Jupyter and of evcxr; what it offers |
//! | `limits.rs` | what cannot be done in a notebook because of how it keeps things between cells |
//! | `words.rs` | its words for what has happened |
//!
//! `tests/kernel/evcxr.rs` fails when a new version does something else.

mod bindings;
pub mod generated;
pub(crate) mod limits;
pub(crate) mod positions;
pub mod source_map;
pub(crate) mod trail;
pub(crate) mod words;
