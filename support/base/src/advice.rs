//! What messages tell people to do, as it is done where this program runs: in a clone, or in a pack.

use std::path::Path;

use link::pack;

/// How a command of the course's program is written here; that program itself, if it is empty.
pub fn spelled(command: &str) -> String {
    spelled_in(pack::here().as_deref(), command)
}

fn spelled_in(pack: Option<&Path>, command: &str) -> String {
    match (pack, command) {
        (Some(pack), "") => format!("{}/start", pack.display()),
        (Some(pack), _) => format!("{}/start {command}", pack.display()),
        (None, "") => "cargo run".to_owned(),
        (None, _) => format!("cargo run -- {command}"),
    }
}

/// What to look at when something could not be fetched or written: a pack has no network.
pub fn supplies() -> &'static str {
    match pack::here() {
        Some(_) => "磁盘空间",
        None => "网络和磁盘空间",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_spelled_as_it_is_typed_here() {
        let pack = Some(Path::new("/p"));
        for (pack, command, expected) in [
            (None, "", "cargo run"),
            (None, "run 01", "cargo run -- run 01"),
            (pack, "", "/p/start"),
            (pack, "run 01", "/p/start run 01"),
        ] {
            assert_eq!(spelled_in(pack, command), expected);
        }
    }
}
