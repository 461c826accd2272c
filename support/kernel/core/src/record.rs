//! Stand-in until link has it.
pub const ENDED: &str = "ENDED";
pub const PANICKED: &str = "PANICKED";
pub const RETURNED: &str = "RETURNED";
pub const CHANGED: &str = "CHANGED";
pub const MESSAGE: &str = "MESSAGE";
pub const ERRORS: &str = "ERRORS";
pub const IN_ORDER: [&str; 5] = [ENDED, PANICKED, RETURNED, CHANGED, MESSAGE];
pub fn prefix(secret: &str) -> String {
    format!("EVCXR_{secret}_")
}
pub fn new(secret: &str, kind: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{}{kind} {}\n", prefix(secret), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes.push(b'\n');
    bytes
}
pub const PLACE: &str = "PLACE ";
