//! The pictures in the documentation are what the examples beside them draw.

/// Compares the picture of this name with what is drawn now.
pub fn check(name: &str, now: &str) {
    let path = format!("{}/src/pictures/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).is_ok_and(|known| known == now),
        "UPDATE_PICTURES=1 cargo test -p notebook draws {name} again"
    );
}
