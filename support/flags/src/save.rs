//! Saving a flag: under which name, and without blocking the event loop.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::{Code, Error};

/// The longest that a name (without its extension) may be, in bytes; file systems take 255.
const LONGEST: usize = 120;

/// The file name for a country: its name with `_` for spaces, and for everything else that some
/// file system, Windows' included, does not take.
///
/// The name comes from a server, so nothing about it is sure. If nothing of it can be used, the code
/// is the name.
///
/// ```
/// let cd = "CD".parse()?;
/// assert_eq!(flags::file_name("Congo (Kinshasa)", cd, "svg"), "Congo_(Kinshasa).svg");
/// assert_eq!(flags::file_name("../../etc/passwd", cd, "svg"), "etc_passwd.svg");
/// # Ok::<(), flags::Error>(())
/// ```
#[must_use]
pub fn file_name(country: &str, code: Code, extension: &str) -> String {
    let safe = |c: char| match c {
        c if c.is_alphanumeric() => c,
        '(' | ')' | ',' | '\'' | '-' | '.' => c,
        _ => '_',
    };
    let name: String = country.chars().map(safe).collect();
    // No hidden files, no `..`, and no dot at the end, which Windows drops.
    let name = name.trim_matches(['.', '_']);
    let name = &name[..name.floor_char_boundary(LONGEST)];
    match name {
        "" => format!("{}.{extension}", code.lower()),
        _ => format!("{name}.{extension}"),
    }
}

/// Writes `content` to a file of this name in `folder`, which is made if it is not there, and returns
/// the file's path once everything is written.
///
/// The work is done on a thread where it may block: a disk can take long, and all other downloads go
/// on meanwhile.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), flags::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let folder = folder.path();
/// let path = flags::save(folder, "hello.txt", "你好".into()).await?;
/// assert_eq!(std::fs::read_to_string(path).unwrap(), "你好");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Save`]; half a file is not left behind.
pub async fn save(folder: &Path, name: &str, content: Bytes) -> Result<PathBuf, Error> {
    let folder = folder.to_owned();
    let path = folder.join(name);
    let work = {
        let path = path.clone();
        move || write(&folder, &path, &content)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => Ok(path),
        Ok(Err(error)) => Err(Error::save(&path, error)),
        Err(error) => Err(Error::save(&path, io::Error::other(error))),
    }
}

fn write(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            File::create(path)?
        }
        opened => opened?,
    };
    file.write_all(content).inspect_err(|_| {
        // Of the two errors, the first is the one to report.
        let _ = fs::remove_file(path);
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Country;

    #[test]
    fn every_country_has_a_safe_file_name_of_its_own() {
        let names: HashSet<String> = Country::all()
            .map(|c| file_name(c.name, c.code, "svg").to_lowercase())
            .collect();
        assert_eq!(names.len(), 194);
        for name in &names {
            assert!(
                !name.contains([' ', '/', '\\', ':', '*', '?', '"', '<', '>', '|']),
                "{name}"
            );
        }
        assert!(names.contains("côte_d'ivoire.svg"));
        assert!(names.contains("korea,_north.svg"));
        assert!(names.contains("guinea-bissau.svg"));
    }

    #[test]
    fn names_from_a_hostile_server_stay_in_the_folder() {
        let code: Code = "CN".parse().unwrap();
        for (country, wanted) in [
            ("..", "cn.svg"),
            ("", "cn.svg"),
            ("\0\n/", "cn.svg"),
            (".bashrc", "bashrc.svg"),
            ("C:\\Windows", "C__Windows.svg"),
            ("/etc/passwd", "etc_passwd.svg"),
        ] {
            assert_eq!(file_name(country, code, "svg"), wanted, "{country:?}");
        }
        assert_eq!(
            file_name(&"国".repeat(1000), code, "svg"),
            "国".repeat(40) + ".svg"
        );
    }
}
