//! A class on JupyterHub: the real hub, proxy and spawner, with students that are system users.

#[path = "../common/mod.rs"]
mod common;

mod class;
mod ends;
