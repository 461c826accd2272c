//! What both ends of a connection must agree on, and nothing else: a kernel and what runs in its
//! cells, a kernel and who starts it. No dependencies but libc.
//!
//! | module | who agrees |
//! |---|---|
//! | [`marker`] | evcxr, the kernel's front, and the `notebook` crate: lines in what a cell writes |
//! | [`record`] | what runs in the cells' process, and the front: what it is told among that text |
//! | [`pack`] | who makes a pack, and what runs out of it: what lies where |
//! | [`frame`] | the front, and the process that runs the cells: what goes over their socket |
//! | [`stack`] | the same: what was being called when something panicked |
//! | [`variable`] | names of environment variables |

pub mod frame;
pub mod marker;
pub mod pack;
pub mod record;
pub mod stack;

/// Names of environment variables.
pub mod variable {
    /// Where the front listens for the process that runs its cells: the path of a socket.
    pub const FRONT: &str = "NOTEBOOK_FRONT";
    /// The folder in which caches are kept, instead of the user's usual one.
    pub const CACHE: &str = "LAB_CACHE";
    /// A second cache that several users share: only its owner writes to it.
    pub const SHARED_CACHE: &str = "LAB_WARM";
    /// The most that the sets in a cache may take, in bytes.
    pub const CACHE_LIMIT: &str = "LAB_CACHE_LIMIT";
    /// The lock file whose versions cells get.
    pub const LOCK: &str = "LAB_LOCK";
    /// A file that says where the course explains what, by the kinds of mistakes: TOML.
    pub const SECTIONS: &str = "LAB_SECTIONS";
    /// The folder with the sockets of spare kernels, if there are any.
    pub const SPARES: &str = "LAB_SPARES";
    /// Set for a kernel that nobody waits for yet: it runs its notebook's first cell before anybody
    /// asks, and everything else goes first.
    pub const EARLY: &str = "LAB_EARLY";
    /// Set for a kernel behind which everything else goes first, to its end.
    pub const BEHIND: &str = "LAB_BEHIND";
    /// The folder with the programs `kernel` and `runner`, which are then not compiled at set-up.
    pub const PROGRAMS: &str = "LAB_PROGRAMS";
    /// What the front writes to its standard error of what it hears and does: `messages`, or `texts`
    /// with what is in them, too.
    pub const LOG: &str = "LAB_LOG";
    /// The folder of the [`pack`](crate::pack) that everything comes from, if it comes from one.
    pub const PACK: &str = "LAB_PACK";
    /// Set by evcxr for the process in which it runs cells.
    pub const IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";
    /// The folder in which evcxr has cells compiled.
    pub const BUILD: &str = "EVCXR_TMPDIR";
    /// The notebook that a kernel is started for; Jupyter sets it.
    pub const NOTEBOOK: &str = "JPY_SESSION_NAME";
}
