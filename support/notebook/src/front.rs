//! The link to the front (a stub: there is none yet).

/// Publishes a message of the Jupyter protocol ("display_data", "update_display_data", "clear_output")
/// from the running cell. False when there is no front (a stock kernel or an ordinary program).
pub(crate) fn publish(_message_type: &str, _content: &serde_json::Value) -> bool {
    false
}
