//! A place in code, as a student knows it.
//!
//! A cell's code is compiled from a file that evcxr makes of it, and its places are those in that
//! file. Only the front knows which cell and line they came from: it puts that in the place of a
//! mark in what is displayed.

use std::panic::Location;

use crate::connection;
use crate::outlet;

/// What every file is called that evcxr makes of a cell.
const GENERATED: &str = "src/lib.rs";

/// Where this is, for something that is displayed; nothing where nobody could find it.
pub(crate) fn of(place: &Location<'_>) -> Option<String> {
    // Collected into a `JoinSet`: std stands between that and the caller.
    if place.file().ends_with("nest-tokio/src/sets.rs") {
        return None;
    }
    at(place.file(), place.line(), place.column())
}

/// The same, from its parts. The file's name is where the compiler put it: that tells which cell's
/// it is.
pub(crate) fn at(file: &str, line: u32, column: u32) -> Option<String> {
    match outlet::in_kernel() && file == GENERATED {
        true => connection::mark_place(file, line, column),
        false => Some(format!("{}:{line}:{column}", short(file))),
    }
}

/// Of a crate's file the part that says which, not where it lies on this computer.
fn short(file: &str) -> &str {
    match file.find(".cargo/registry/src/") {
        Some(at) => file[at..].splitn(5, '/').last().unwrap_or(file),
        None => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_of_a_kernel_a_place_is_file_line_and_column() {
        let place = Location::caller();
        let expected = format!("{}:{}:{}", file!(), place.line(), place.column());
        assert_eq!(of(place), Some(expected));
        let file = "/root/.cargo/registry/src/index-19/tokio-1.5/src/lib.rs";
        assert_eq!(short(file), "tokio-1.5/src/lib.rs");
    }
}
