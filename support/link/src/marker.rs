//! Marker lines in what a cell's process writes. All but [`MESSAGE`] and [`FAILURE`] are evcxr's.

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
/// A message of the Jupyter protocol follows, as one line of JSON.
pub const MESSAGE: &str = "EVCXR_NOTEBOOK_MESSAGE ";

/// All of them that can begin a line.
pub const ALL: [&str; 8] = [
    ENDED,
    PANICKED,
    RETURNED,
    CONTENT,
    MESSAGE,
    FOR_EVCXR,
    ASKS,
    ASKS_SECRETLY,
];

/// The MIME type by which the `notebook` crate says that a cell failed although a stock kernel
/// reports success: a panic, or a `?` that returned an error.
pub const FAILURE: &str = "application/x-notebook-failure+json";
