//! What a server has to offer: the pictures and metadata, by path, in memory.
//!
//! No path ever reaches the file system, so there is nothing that a path with tricks could find.

use bytes::Bytes;

use crate::{Code, Country};

/// The folder of URLs under which everything lies.
pub(crate) const ROOT: &str = "/flags";

/// What a path of the right form asks for: `/flags/cn/cn.svg` or `/flags/cn/metadata.json`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Target {
    pub code: Code,
    pub metadata: bool,
}

impl Target {
    /// How many there can be.
    pub const COUNT: usize = 2 * Code::COUNT;

    pub fn parse(path: &str) -> Option<Target> {
        let (folder, file) = path
            .strip_prefix(ROOT)?
            .strip_prefix('/')?
            .split_once('/')?;
        let code: Code = folder.parse().ok()?;
        // As on the book's server, names are in lower case.
        let metadata = match (folder == code.lower()).then_some(file)? {
            "metadata.json" => true,
            _ if file.strip_suffix(".svg") == Some(folder) => false,
            _ => return None,
        };
        Some(Target { code, metadata })
    }

    /// Its place among all targets.
    pub fn index(self) -> usize {
        2 * self.code.index() + usize::from(self.metadata)
    }

    pub fn content_type(self) -> &'static str {
        match self.metadata {
            true => "application/json",
            false => "image/svg+xml",
        }
    }
}

/// The contents of all targets.
#[derive(Debug)]
pub(crate) struct Tree(Vec<Option<Bytes>>);

impl Tree {
    pub fn new() -> Tree {
        let mut contents = vec![None; Target::COUNT];
        for country in Country::all() {
            let target = |metadata| {
                Target {
                    code: country.code,
                    metadata,
                }
                .index()
            };
            contents[target(false)] = Some(Bytes::from_static(country.picture.as_bytes()));
            contents[target(true)] = Some(Bytes::from(country.metadata()));
        }
        Tree(contents)
    }

    /// The content, if there is a country with this code.
    pub fn get(&self, target: Target) -> Option<Bytes> {
        self.0[target.index()].clone()
    }
}
