//! The notebooks of the course, executed: whole, in parts, and against real services. One program, so
//! that its tests, which mostly wait, run side by side.

#[path = "../common/mod.rs"]
mod common;

mod exercises;
mod notebooks;
mod services;
