//! A folder as one compressed stream behind a script that unpacks it, and back.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Result;
use base::files;
use lab::python::{NEWEST_IN_PACK, OLDEST};
use lab::screen::Step;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use walkdir::WalkDir;

use crate::course;
use crate::make::Stage;

/// How much is tried to make it smaller: more takes minutes more, and saves little.
const LEVEL: i32 = 9;
/// How far back what has been there before is found, as a power of two: sets repeat what other sets have.
const WINDOW: u32 = 27;

const HEAD: &str = include_str!("../assets/head.sh");

/// Writes a pack: the script, this program, and the compressed folder.
///
/// # Errors
/// On a full disk; a file that was there before is then untouched.
pub fn write(stage: &Stage, packer: &Path, glibc: &str, out: &Path, step: &Step) -> Result<()> {
    let program = fs::read(packer)?;
    let head = head(glibc, program.len());
    let entries = entries(stage.folder())?;
    let total: u64 = entries.iter().map(|(_, length)| length).sum();
    files::replace(out, |file| {
        file.write_all(head.as_bytes())?;
        file.write_all(&program)?;
        let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        let threads = thread::available_parallelism().map_or(1, |count| count.get() as u32);
        encoder.multithread(threads)?;
        encoder.window_log(WINDOW)?;
        encoder.long_distance_matching(true)?;
        // What has been changed on its way is found when it is unpacked.
        encoder.include_checksum(true)?;
        let mut builder = Builder::new(encoder);
        let mut done = 0;
        // The first place of what is in several: sets share what they have in common.
        let mut seen = HashMap::new();
        for (path, length) in &entries {
            let name = path.strip_prefix(stage.folder()).expect("is below");
            append(&mut builder, path, name, &mut seen)?;
            done += length;
            step.advance(done >> 20, total >> 20, "MB".to_owned());
        }
        builder.into_inner()?.finish()?.flush()
    })
}

/// Writes beside a file what `sha256sum -c` compares it with: the checksum in the stream knows nothing of
/// what stands before that. Returns the checksum.
///
/// # Errors
/// When the file cannot be read, or the disk is full.
pub fn checksum(file: &Path) -> Result<String> {
    let mut reader = BufReader::with_capacity(1 << 20, File::open(file)?);
    let mut hasher = Sha256::new();
    loop {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        hasher.update(bytes);
        let count = bytes.len();
        reader.consume(count);
    }
    let sum: String = hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let name = file.file_name().unwrap_or_default().display();
    files::replace(&files::with_end(file, ".sha256"), |file| {
        writeln!(file, "{sum}  {name}")
    })?;
    Ok(sum)
}

/// All that is in a folder, and how long it is.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let all = WalkDir::new(folder).min_depth(1).sort_by_file_name();
    let mut entries = Vec::new();
    for entry in all {
        let entry = entry?;
        let length = match entry.file_type().is_file() {
            true => entry.metadata()?.len(),
            false => 0,
        };
        entries.push((entry.into_path(), length));
    }
    Ok(entries)
}

fn append<W: Write>(
    builder: &mut Builder<W>,
    path: &Path,
    name: &Path,
    seen: &mut HashMap<(u64, u64), PathBuf>,
) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let mut header = Header::new_gnu();
    header.set_metadata(&found);
    // Whoever unpacks it owns it.
    header.set_uid(0);
    header.set_gid(0);
    if found.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        return builder.append_link(&mut header, name, fs::read_link(path)?);
    }
    if found.is_dir() {
        return builder.append_data(&mut header, name, io::empty());
    }
    if found.nlink() > 1 {
        if let Some(first) = seen.get(&(found.dev(), found.ino())) {
            header.set_entry_type(EntryType::Link);
            header.set_size(0);
            return builder.append_link(&mut header, name, first);
        }
        seen.insert((found.dev(), found.ino()), name.to_owned());
    }
    builder.append_data(&mut header, name, File::open(path)?)
}

/// The script, which has numbers in it that say how long it is itself.
fn head(glibc: &str, program: usize) -> String {
    let pythons = (OLDEST..=NEWEST_IN_PACK).rev();
    let pythons: Vec<String> = pythons.map(|minor| format!("python3.{minor}")).collect();
    let with = |length: usize| {
        HEAD.replace("{version}", course::VERSION)
            .replace("{glibc}", glibc)
            .replace("{glibc_minor}", glibc.rsplit('.').next().unwrap_or("0"))
            .replace("{oldest}", &OLDEST.to_string())
            .replace("{newest}", &NEWEST_IN_PACK.to_string())
            .replace("{pythons}", &pythons.join(" "))
            .replace("{name}", &course::name())
            .replace("{program_at}", &format!("{:08}", length + 1))
            .replace("{program_length}", &program.to_string())
            .replace("{payload_at}", &format!("{:012}", length + program))
    };
    with(with(0).len())
}

/// Unpacks what stands in a file from `offset` on. `tell` hears how many of how many bytes of the file
/// have been read.
///
/// # Errors
/// When the file is not whole, or the disk is full.
pub fn read(file: &Path, offset: u64, to: &Path, tell: impl Fn(u64, u64)) -> Result<()> {
    let mut file = File::open(file)?;
    let total = file.metadata()?.len() - offset;
    file.seek(SeekFrom::Start(offset))?;
    let counted = Counted {
        inner: file,
        done: 0,
        tell: |done| tell(done, total),
    };
    let mut decoder = zstd::Decoder::new(BufReader::with_capacity(1 << 20, counted))?;
    decoder.window_log_max(WINDOW)?;
    let mut archive = tar::Archive::new(decoder);
    archive.set_preserve_mtime(true);
    archive.unpack(to)?;
    // The end of the stream has its checksum.
    io::copy(&mut archive.into_inner(), &mut io::sink())?;
    Ok(())
}

struct Counted<R, T> {
    inner: R,
    done: u64,
    tell: T,
}

impl<R: Read, T: Fn(u64)> Read for Counted<R, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.done += count as u64;
        (self.tell)(self.done);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pack of a small folder, whose script is not used.
    fn packed(folder: &Path) -> PathBuf {
        let out = folder.join("packed");
        let mut encoder = zstd::Encoder::new(File::create(&out).unwrap(), 1).unwrap();
        encoder.include_checksum(true).unwrap();
        let mut builder = Builder::new(encoder);
        let from = folder.join("from");
        let mut seen = HashMap::new();
        for (path, _) in entries(&from).unwrap() {
            let name = path.strip_prefix(&from).unwrap();
            append(&mut builder, &path, name, &mut seen).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        out
    }

    #[test]
    fn a_folder_comes_back_with_its_times_links_and_programs() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir_all(from.join("深/er")).unwrap();
        let long = "x".repeat(150);
        fs::write(from.join("深/er").join(&long), "text").unwrap();
        fs::hard_link(from.join("深/er").join(&long), from.join("same")).unwrap();
        symlink("same", from.join("link")).unwrap();
        fs::write(from.join("program"), "").unwrap();
        fs::set_permissions(from.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        let long_ago = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let file = File::options().write(true).open(from.join("same")).unwrap();
        file.set_modified(long_ago).unwrap();

        let to = folder.path().join("to");
        read(&packed(folder.path()), 0, &to, |done, all| {
            assert!(done <= all)
        })
        .unwrap();
        let found = |name: &str| fs::metadata(to.join(name)).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("深/er").join(&long)).unwrap(),
            "text"
        );
        assert_eq!(found("same").nlink(), 2);
        assert_eq!(found("same").modified().unwrap(), long_ago);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("same"));
        assert_eq!(found("program").permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn a_file_that_is_cut_off_or_changed_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("file"), vec![7; 100_000]).unwrap();
        let whole = fs::read(packed(folder.path())).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        for (name, bytes) in [("cut", &whole[..whole.len() - 3]), ("changed", &changed)] {
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            let to = folder.path().join(format!("to-{name}"));
            assert!(read(&file, 0, &to, |_, _| ()).is_err(), "{name}");
        }
    }

    #[test]
    fn the_checksum_is_what_sha256sum_compares() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("notes-0.1.0.run");
        fs::write(&file, "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(checksum(&file).unwrap(), abc);
        let written = fs::read_to_string(folder.path().join("notes-0.1.0.run.sha256")).unwrap();
        assert_eq!(written, format!("{abc}  notes-0.1.0.run\n"));
    }

    #[test]
    fn the_script_says_where_what_follows_it_begins() {
        let head = head("2.34", 5_000_000);
        let length = head.len();
        assert!(head.contains(&format!("tail -c +{:08} ", length + 1)));
        assert!(head.contains(&format!("--offset {:012} ", length + 5_000_000)));
        assert!(head.contains(r#"-ge "34" ]"#), "{head}");
        assert!(head.contains("in python3 python3.14 ") && head.contains("(3, 10) <="));
        // All places have been filled.
        let is_name = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let places = head
            .split('{')
            .skip(1)
            .filter_map(|text| text.split_once('}'));
        let left: Vec<&str> = places
            .map(|(name, _)| name)
            .filter(|name| is_name(name))
            .collect();
        assert_eq!(left, Vec::<&str>::new());
    }
}
