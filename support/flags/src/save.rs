//! Saving a flag: under which name, and without blocking the event loop.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
/// [`Error::Save`]; an older file of this name is then untouched, and half a new one is not left
/// behind.
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
    replace(folder, path, |file| file.write_all(content))
}

/// Writes a new file beside the one at `path` and puts it in its place when it is whole: until then
/// the old one stays as it is, also if the disk is full or the program is killed.
fn replace(
    folder: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let new = folder.join(format!(".flags-{}-{number}", std::process::id()));
    let mut file = match File::create(&new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            File::create(&new)?
        }
        opened => opened?,
    };
    let written = write(&mut file).and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| {
        // Of the two errors, the first is the one to report.
        let _ = fs::remove_file(&new);
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

    fn content(folder: &Path) -> Vec<(PathBuf, String)> {
        let files = fs::read_dir(folder).unwrap();
        files
            .map(|file| file.unwrap().path())
            .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
            .collect()
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("China.svg");
        for text in ["longer than the next", "short"] {
            write(folder.path(), &path, text.as_bytes()).unwrap();
            assert_eq!(content(folder.path()), [(path.clone(), text.to_owned())]);
        }
    }

    #[test]
    fn a_disk_that_gets_full_leaves_the_old_file_and_no_half_of_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("China.svg");
        fs::write(&path, "old").unwrap();
        let error = replace(folder.path(), &path, |file| {
            file.write_all(b"half of")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(content(folder.path()), [(path, "old".to_owned())]);
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
