//! What the names of the files say that cargo compiles to.

use std::path::Path;

/// A name and, behind it, what cargo tells two compilations of a package apart by.
pub fn hashed(path: &Path) -> Option<(&str, &str)> {
    let parts = path.file_stem()?.to_str()?.rsplit_once('-')?;
    let is_hash = parts.1.len() == 16 && parts.1.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then_some(parts)
}

/// The library of a package of this name.
pub fn library_of(package: &str) -> String {
    package.replace('-', "_")
}

/// The library's name in the name of its file.
pub fn library(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()?.strip_prefix("lib")
}
