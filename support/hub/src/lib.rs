//! A class on one machine, with JupyterHub. The program prepares what all students share, then becomes
//! JupyterHub; the library is also for who plays a class.
//!
//! Everything lies in one folder:
//!
//! | folder | what | who may read it |
//! |---|---|---|
//! | `shared/` | the course as committed, toolchain, sources of crates, what notebooks depend on, compiled, Python environment with the kernel, proxy, the notebooks as a repository to pull from | everybody; only root writes |
//! | `homes/NAME` | a student's home | that student |
//! | `hub/` | JupyterHub's database and keys, the passwords to hand out | root |
//!
//! What is shared is set up by the program `lab` itself, which is only told that the project, its
//! caches, the toolchain and the programs are elsewhere. What students get there
//! `support/hub/jupyterhub_config.py` says.
//!
//! Anything that compiles or installs may write down what it finds in its environment. So the program
//! has a clean one ([`base::environment::become_clean`]), and all that it starts: how the network is
//! reached, and no secrets of whoever prepares the class but the passwords of proxies and mirrors.
//! Students get the same without these.
//!
//! | module | idea |
//! |---|---|
//! | `prepare` | what the program does, step by step |
//! | `class` | the folder of a class |
//! | `share` | what all students share |
//! | `accounts` | who may log in, with which password |
//! | `network` | how students' programs reach the network |
//! | `jupyterhub` | the hub itself, told where everything is |
//! | `closed` | what other users cannot reach |
//! | `trees` | the times of files in folders that are made anew |
//!
//! And to play one:
//!
//! | module | idea |
//! |---|---|
//! | `played` | a hub for a short time, which leaves nothing behind |
//! | `student` | somebody who logs in and has a server |
//! | `server` | a Jupyter server, as JupyterLab's page talks to it |
//! | `channels` | a kernel, through the server's WebSocket |
//! | `browser` | cookies, forms, redirections |
//! | `usage` | memory and processor time of a student's processes |

#[macro_use]
extern crate base;

mod accounts;
pub mod browser;
pub mod channels;
mod class;
mod closed;
mod jupyterhub;
mod network;
pub mod played;
pub mod prepare;
pub mod server;
mod share;
pub mod student;
mod trees;
pub mod usage;
