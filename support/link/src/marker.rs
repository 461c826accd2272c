//! Marker lines in what a cell's process writes, all but [`FAILURE`] evcxr's: what evcxr waits for,
//! and what crates of others print.
//!
//! Any cell may print the same. Where there is a front, it is told in [records](crate::record).

/// How every marker begins.
pub const PREFIX: &str = "EVCXR_";
/// The cell's code has come to its end.
pub const ENDED: &str = "EVCXR_EXECUTION_COMPLETE";
/// The cell's code panicked.
pub const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
/// A `?` in the cell's code returned an error.
pub const RETURNED: &str = "EVCXR_ERROR_OCCURRED";
/// Something to show begins; its MIME type follows.
pub const CONTENT: &str = "EVCXR_BEGIN_CONTENT ";
/// Something to show ends.
pub const CONTENT_END: &str = "EVCXR_END_CONTENT";
/// What evcxr itself must read: a variable has another type now.
pub const FOR_EVCXR: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
/// What the crate `evcxr_input` writes before it reads, with its question behind it.
pub const ASKS: &str = "EVCXR_INPUT_REQUEST:";
/// The same, for what is not to be seen when it is typed.
pub const ASKS_SECRETLY: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";

/// The MIME type by which the `notebook` crate says that a cell failed although a stock kernel
/// reports success: a panic, or a `?` that returned an error.
pub const FAILURE: &str = "application/x-notebook-failure+json";
