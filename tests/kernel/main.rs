//! The kernel as its clients meet it. One program, so that its tests, which mostly wait, run side by
//! side.

#[path = "../common/mod.rs"]
mod common;

mod cargo;
mod conformance;
mod corpus;
mod evcxr;
mod front;
mod frontends;
mod kernel;
mod mistakes;
mod nesting;
mod peers;
mod random;
mod spare;
