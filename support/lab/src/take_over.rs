//! A pack that is opened for the first time takes over what its reader wrote in an older one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base::files;
use link::pack::{COURSE, ORIGINALS, VERSION};
use walkdir::WalkDir;

/// Says that an older pack has been looked for.
const TAKEN: &str = ".taken-over";
/// Before the name of a notebook of the course that its reader has changed.
const OWN: &str = "我的-";

/// Copies what readers have written in the newest of the packs that lie beside this one, the first time
/// that this one is opened. Returns what, as it is called now.
///
/// # Errors
/// When something cannot be copied: it is tried again the next time.
pub fn take_over(pack: &Path) -> Result<Vec<String>> {
    let mark = pack.join(TAKEN);
    if mark.exists() {
        return Ok(Vec::new());
    }
    let mut taken = Vec::new();
    if let Some(older) = worked_in_last(pack) {
        taken = take(&older, pack)
            .with_context(|| format!("没能从 {} 拿来你的笔记本", older.display()))?;
    }
    files::replace(&mark, |_| Ok(()))?;
    Ok(taken)
}

/// The pack beside this one in which its reader wrote something last. One that was only opened has
/// nothing to take, however new its files are.
fn worked_in_last(pack: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(pack.parent()?).ok()?;
    let others = entries.flatten().map(|entry| entry.path());
    let others = others.filter(|path| {
        path != pack && path.join(VERSION).is_file() && path.join(ORIGINALS).is_dir()
    });
    let last = |other: &PathBuf| {
        let notebooks = notebooks(other);
        // What cannot be read is told when it is to be taken.
        let own = own(other).flatten();
        own.filter_map(|name| fs::metadata(notebooks.join(name)).ok()?.modified().ok())
            .max()
    };
    let written = others.filter_map(|other| Some((last(&other)?, other)));
    written.max().map(|(_, other)| other)
}

fn notebooks(pack: &Path) -> PathBuf {
    pack.join(COURSE).join("notebooks")
}

/// The files in the notebooks' folder of a pack that it did not bring there itself, by their names in
/// there.
fn own(pack: &Path) -> impl Iterator<Item = io::Result<PathBuf>> {
    let (notebooks, originals) = (notebooks(pack), pack.join(ORIGINALS));
    let entries = WalkDir::new(&notebooks).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(|entry| entry.file_name() != ".ipynb_checkpoints");
    entries.filter_map(move |entry| match entry {
        Ok(entry) => {
            let name = entry.path().strip_prefix(&notebooks).expect("is below");
            let is_own =
                entry.file_type().is_file() && !is_same(entry.path(), &originals.join(name));
            is_own.then(|| Ok(name.to_owned()))
        }
        Err(error) => Some(Err(error.into())),
    })
}

/// Copies a reader's own files from one pack to another. Nothing that is in the other one is touched:
/// what bears the name of a file of the course gets another one.
fn take(from: &Path, to: &Path) -> io::Result<Vec<String>> {
    let to = notebooks(to);
    let mut taken = Vec::new();
    for name in own(from) {
        let name = name?;
        let file = notebooks(from).join(&name);
        let Some(name) = free(&to, &name, &file) else {
            continue; // it is there already
        };
        let place = to.join(&name);
        fs::create_dir_all(place.parent().unwrap_or(&to))?;
        fs::copy(file, &place)?;
        taken.push(name.display().to_string());
    }
    Ok(taken)
}

/// A name under which a file can be put into a folder; none if that very file is there already.
fn free(folder: &Path, name: &Path, file: &Path) -> Option<PathBuf> {
    let simple = name.file_name()?.to_string_lossy();
    let (stem, end) = match simple.rsplit_once('.') {
        Some((stem, end)) => (stem.to_owned(), format!(".{end}")),
        None => (simple.to_string(), String::new()),
    };
    let own = match stem.starts_with(OWN) {
        true => stem,
        false => format!("{OWN}{stem}"),
    };
    let others = (2..).map(|number| name.with_file_name(format!("{own}-{number}{end}")));
    let names = [name.to_owned(), name.with_file_name(format!("{own}{end}"))];
    for name in names.into_iter().chain(others) {
        let place = folder.join(&name);
        if !place.exists() {
            return Some(name);
        }
        if is_same(&place, file) {
            return None;
        }
    }
    None
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A pack with one notebook and one file of data, as it was made.
    fn pack(folder: &Path, name: &str, text: &str) -> PathBuf {
        let pack = folder.join(name);
        for part in ["course/notebooks", ORIGINALS] {
            fs::create_dir_all(pack.join(part)).unwrap();
            fs::write(pack.join(part).join("01-why.ipynb"), text).unwrap();
            fs::write(pack.join(part).join("data.csv"), text).unwrap();
        }
        fs::write(pack.join(VERSION), name).unwrap();
        pack
    }

    fn read(pack: &Path, name: &str) -> String {
        fs::read_to_string(pack.join(COURSE).join("notebooks").join(name)).unwrap()
    }

    #[test]
    fn a_newer_pack_takes_over_what_its_reader_wrote_and_changes_nothing_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let old = pack(folder.path(), "old", "as it was");
        let notebooks = old.join(COURSE).join("notebooks");
        fs::write(notebooks.join("01-why.ipynb"), "with my answers").unwrap();
        fs::create_dir_all(notebooks.join("mine/.ipynb_checkpoints")).unwrap();
        fs::write(notebooks.join("mine/notes.ipynb"), "notes").unwrap();
        fs::write(notebooks.join("mine/.ipynb_checkpoints/x"), "").unwrap();
        let new = pack(folder.path(), "new", "newer");
        let taken = take_over(&new).unwrap();
        assert_eq!(taken, ["我的-01-why.ipynb", "mine/notes.ipynb"]);
        assert_eq!(read(&new, "01-why.ipynb"), "newer");
        assert_eq!(read(&new, "data.csv"), "newer");
        assert_eq!(read(&new, "我的-01-why.ipynb"), "with my answers");
        assert_eq!(read(&new, "mine/notes.ipynb"), "notes");
        assert_eq!(read(&old, "01-why.ipynb"), "with my answers");
        // Only once: what has been deleted since then does not come back.
        fs::remove_file(new.join(COURSE).join("notebooks/我的-01-why.ipynb")).unwrap();
        assert!(take_over(&new).unwrap().is_empty());
    }

    #[test]
    fn what_came_from_an_older_pack_goes_on_to_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let old = pack(folder.path(), "old", "1");
        let notebooks = old.join(COURSE).join("notebooks");
        fs::write(notebooks.join("01-why.ipynb"), "second answers").unwrap();
        fs::write(notebooks.join("我的-01-why.ipynb"), "first answers").unwrap();
        let new = pack(folder.path(), "new", "2");
        take_over(&new).unwrap();
        assert_eq!(read(&new, "我的-01-why.ipynb"), "second answers");
        assert_eq!(read(&new, "我的-01-why-2.ipynb"), "first answers");
    }

    /// The folder of one that was opened last is newer than what was written before, and so are files
    /// that nobody has changed.
    #[test]
    fn of_several_packs_the_one_in_which_something_was_written_last_counts() {
        let day = Duration::from_secs(86_400);
        for (written, expected) in [
            // In which of the packs something was written, and how many days ago.
            (&[][..], None),
            (&[("old", 9)][..], Some("old")),
            (&[("old", 9), ("middle", 5)][..], Some("middle")),
            (&[("old", 4), ("middle", 5)][..], Some("old")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for name in ["old", "middle", "opened"] {
                let checkpoints = pack(folder.path(), name, "1")
                    .join("course/notebooks")
                    .join(".ipynb_checkpoints");
                fs::create_dir(&checkpoints).unwrap();
                fs::write(checkpoints.join("01-why.ipynb"), "opened").unwrap();
            }
            for (name, days) in written {
                let file = notebooks(&folder.path().join(name)).join("01-why.ipynb");
                fs::write(&file, *name).unwrap();
                let file = fs::File::options().append(true).open(file).unwrap();
                file.set_modified(SystemTime::now() - day * *days).unwrap();
            }
            let new = pack(folder.path(), "new", "2");
            let taken = take_over(&new).unwrap();
            assert_eq!(taken.len(), usize::from(expected.is_some()), "{written:?}");
            if let Some(expected) = expected {
                assert_eq!(read(&new, &taken[0]), expected, "{written:?}");
            }
        }
    }

    #[test]
    fn alone_a_pack_takes_over_nothing() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("other")).unwrap();
        let new = pack(folder.path(), "new", "1");
        assert!(take_over(&new).unwrap().is_empty());
    }
}
