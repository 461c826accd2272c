//! The program of the course, the pages that it opens, and the repository that it is in. One program,
//! so that its tests, which mostly wait, run side by side.

#[path = "../common/mod.rs"]
mod common;

mod a_newcomer;
mod browser;
mod licences;
mod pack;
mod program;
mod repository;
