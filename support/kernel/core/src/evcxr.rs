//! What evcxr 0.22 waits to read from the process that runs the cells. The front writes it, when it
//! has heard the same from that process in a way that no text can imitate.

pub use link::marker::{ENDED, FOR_EVCXR as CHANGED_TYPE, PANICKED, RETURNED};
