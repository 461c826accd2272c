//! Where sets are kept: in the user's own cache, and perhaps in one that several users share.
//!
//! A set's folder is complete when its mark is there, which is written last and taken away first.
//! Whoever is killed in the middle leaves a folder that nobody uses.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use base::caches::is_ours;
use base::files;
use link::variable;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{Set, Used, copy};
use crate::cargo::STORE_ENV;

/// Written last into a set's folder; touched when the set is used.
const READY: &str = "ready";
/// What the set is, for who looks for a similar one.
const LISTED: &str = "set.json";
/// How the names of folders begin that are being written, before the number of the process.
const NEW: &str = ".new-";
/// What sets may take together, in bytes, unless the environment says something else.
const LIMIT: u64 = 10 << 30;
/// How the names of folders begin with what has been compiled of a set that is not finished.
const UNFINISHED: &str = ".unfinished-";
/// How many answers are kept.
const ANSWERS: usize = 4000;

/// The stores of this user, in the order in which they are looked through.
pub struct Stores(Vec<Store>);

/// A folder with sets and answers.
pub struct Store(PathBuf);

#[derive(Serialize, Deserialize)]
struct Listed {
    family: String,
    dependencies: Vec<String>,
}

/// The most that sets may take together, in bytes.
pub fn limit() -> u64 {
    let limit = std::env::var(variable::CACHE_LIMIT).ok();
    limit.and_then(|bytes| bytes.parse().ok()).unwrap_or(LIMIT)
}

impl Stores {
    /// One that is shared, if there is one, and the one in the user's own `cache`.
    pub fn new(cache: &Path) -> Stores {
        let shared = std::env::var_os(variable::SHARED_CACHE).filter(|path| !path.is_empty());
        let shared = shared.map(PathBuf::from).into_iter();
        Stores(shared.chain([cache.to_owned()]).map(Store).collect())
    }

    /// Those of which the kernel has told us.
    pub fn in_environment() -> Stores {
        match std::env::var_os(STORE_ENV) {
            Some(cache) => Stores::new(Path::new(&cache)),
            None => Stores(Vec::new()),
        }
    }

    /// Whether one of them has a set.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The folder of a set that is complete.
    pub(super) fn find(&self, key: &str) -> Option<PathBuf> {
        let mut folders = self.0.iter().map(|store| store.folder(key));
        folders.find(|folder| is_ready(folder))
    }

    /// The one that is written to.
    pub(super) fn own(&self) -> Option<&Store> {
        self.0.iter().find(|store| is_ours(&store.0))
    }

    /// A set is used.
    pub(super) fn touch(&self, key: &str) {
        let marks = self.0.iter().map(|store| store.folder(key).join(READY));
        for mark in marks.filter(|mark| is_ours(mark)) {
            let mark = File::options().append(true).open(mark);
            let _ = mark.and_then(|mark| mark.set_modified(SystemTime::now()));
        }
    }

    /// The folder of the set that has most in common with this one; of several, the one that was
    /// used last.
    pub(super) fn nearest(&self, set: &Set) -> Option<PathBuf> {
        let folders = self.0.iter().flat_map(Store::all);
        let similar = folders.filter_map(|folder| {
            let used = used(&folder)?;
            let likeness = shared(&listed(&folder)?, set);
            (likeness.0 > 0).then_some((likeness, used, folder))
        });
        similar.max().map(|(_, _, folder)| folder)
    }

    /// An answer of cargo's that has been kept.
    pub fn answer(&self, name: &str) -> Option<String> {
        let mut files = self.0.iter().map(|store| store.answers().join(name));
        files.find_map(|file| fs::read_to_string(file).ok())
    }

    /// Keeps an answer. If that is not possible, cargo is asked again.
    pub fn keep_answer(&self, name: &str, text: &str) {
        let Some(store) = self.own() else { return };
        let folder = store.answers();
        let _ = fs::create_dir_all(&folder);
        let _ = files::replace(&folder.join(name), |file| file.write_all(text.as_bytes()));
        // Names are as good as random.
        if name.ends_with("00") {
            remove_oldest(&folder, ANSWERS);
        }
    }
}

impl Store {
    fn sets(&self) -> PathBuf {
        self.0.join("sets")
    }

    fn folder(&self, key: &str) -> PathBuf {
        self.sets().join(key)
    }

    /// Where what has been compiled of a set is kept while the set is not finished.
    pub(super) fn unfinished(&self, key: &str) -> PathBuf {
        let sets = std::path::absolute(self.sets()).unwrap_or_else(|_| self.sets());
        sets.join(format!("{UNFINISHED}{key}"))
    }

    fn answers(&self) -> PathBuf {
        self.0.join("answers")
    }

    /// The folders of sets, complete or not.
    fn all(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.sets()).into_iter().flatten().flatten();
        let is_set = |entry: &fs::DirEntry| {
            !entry.file_name().as_encoded_bytes().starts_with(b".") && entry.path().is_dir()
        };
        entries.filter(is_set).map(|entry| entry.path()).collect()
    }

    /// Waits until nobody else is compiling the set; `waits` is called if somebody is. From then on
    /// nobody else is, as long as the file is open. None if that cannot be had.
    pub(super) fn lock(&self, key: &str, waits: impl FnOnce()) -> Option<File> {
        fs::create_dir_all(self.sets()).ok()?;
        let path = self.folder(key).with_extension("lock");
        let mut waits = Some(waits);
        loop {
            let file = File::create(&path).ok()?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::Error(_)) => return None,
                Err(TryLockError::WouldBlock) => {
                    if let Some(waits) = waits.take() {
                        waits();
                    }
                    file.lock().ok()?;
                }
            }
            // Unless it has been removed meanwhile.
            if file.metadata().ok()?.nlink() > 0 {
                return Some(file);
            }
        }
    }

    /// Keeps what the build folder has been provided with and what has been compiled in it, as far as
    /// it is used: what only the set that it began with needs would go from set to set for ever.
    /// Nobody else writes to this set's folder meanwhile.
    ///
    /// # Errors
    /// When it cannot be written, on a full disk for example.
    pub(super) fn publish(&self, set: &Set, build: &Path, used: &Used) -> Result<()> {
        let new = tempfile::Builder::new()
            .prefix(&format!("{NEW}{}-", std::process::id()))
            .permissions(Permissions::from_mode(0o777)) // others may read it, as the umask says
            .tempdir_in(self.sets())?;
        let (from, to) = (build.join("target"), new.path().join("target"));
        copy::merge_some(&from, &to, |path| used.includes(path))?;
        fs::copy(build.join("Cargo.lock"), new.path().join("Cargo.lock"))?;
        let listed = Listed {
            family: set.family.clone(),
            dependencies: set.dependencies.clone(),
        };
        fs::write(new.path().join(LISTED), serde_json::to_vec(&listed)?)?;
        let folder = self.folder(&set.key);
        remove(&folder)?; // of somebody who was killed
        fs::rename(new.path(), &folder)?;
        let _ = new.keep(); // which is not there any more
        File::create(folder.join(READY)).context("no mark")?;
        Ok(())
    }

    /// Removes what killed processes have left, and the sets that were used longest ago until all
    /// take no more than `limit` bytes. The set with the key `newest` stays.
    pub(super) fn prune(&self, limit: u64, newest: &str) {
        self.remove_leftovers();
        let mut sets: Vec<(bool, SystemTime, PathBuf)> = self
            .all()
            .into_iter()
            .filter_map(|folder| {
                let used = used(&folder)?;
                Some((folder.ends_with(newest), used, folder))
            })
            .collect();
        sets.extend(self.all_unfinished());
        sets.sort();
        let (mut seen, mut bytes) = (HashSet::new(), 0);
        for (stays, _, folder) in sets.into_iter().rev() {
            bytes += size(&folder, &mut seen);
            if bytes > limit && !stays {
                let _ = remove(&folder);
                let _ = fs::remove_file(folder.with_extension("lock"));
            }
        }
    }

    /// What is kept of sets that are not finished, with when it was begun.
    fn all_unfinished(&self) -> Vec<(bool, SystemTime, PathBuf)> {
        let entries = fs::read_dir(self.sets()).into_iter().flatten().flatten();
        entries
            .filter(|entry| {
                entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(UNFINISHED.as_bytes())
            })
            .filter_map(|entry| {
                Some((false, entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect()
    }

    fn remove_leftovers(&self) {
        for entry in fs::read_dir(self.sets()).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_finished = (name.to_str().and_then(|name| name.strip_prefix(UNFINISHED)))
                .is_some_and(|key| is_ready(&self.folder(key)));
            if is_finished || files::is_leftover(&name, NEW) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        for folder in self.all().iter().filter(|folder| !is_ready(folder)) {
            // Its mark may be written at this moment, by who holds this.
            let lock = File::create(folder.with_extension("lock"));
            if lock.is_ok_and(|lock| lock.try_lock().is_ok() && !is_ready(folder)) {
                let _ = remove(folder);
            }
        }
    }
}

/// When a set was used last, if it is complete.
fn used(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder.join(READY)).ok()?.modified().ok()
}

fn is_ready(folder: &Path) -> bool {
    folder.join(READY).is_file()
}

/// Removes a set's folder, the mark first.
fn remove(folder: &Path) -> io::Result<()> {
    let _ = fs::remove_file(folder.join(READY));
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn listed(folder: &Path) -> Option<Listed> {
    serde_json::from_slice(&fs::read(folder.join(LISTED)).ok()?).ok()
}

/// How many dependencies two sets share; and of those that share as many, the smallest is nearest.
fn shared(listed: &Listed, set: &Set) -> (usize, Reverse<usize>) {
    let is_shared = |line: &&String| set.dependencies.contains(line);
    let shared = match listed.family == set.family {
        true => listed.dependencies.iter().filter(is_shared).count(),
        false => 0,
    };
    (shared, Reverse(listed.dependencies.len()))
}

/// What a folder takes on the disk, without files that have been `seen`.
fn size(folder: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let entries = WalkDir::new(folder).into_iter().flatten();
    let found = entries.filter_map(|entry| entry.metadata().ok());
    found
        .filter(|found| seen.insert((found.dev(), found.ino())))
        .map(|found| found.blocks() * 512)
        .sum()
}

/// Leaves the `most` newest files in a folder.
fn remove_oldest(folder: &Path, most: usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<(SystemTime, PathBuf)> = entries
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(most);
    for (_, file) in files.drain(..surplus) {
        let _ = fs::remove_file(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(tempfile::tempdir().unwrap());
            fs::create_dir_all(folder.store().sets()).unwrap();
            folder
        }

        fn store(&self) -> Store {
            Store(self.0.path().join("store"))
        }

        /// A build folder in which something of this size has been compiled.
        fn build(&self, name: &str, size: usize) -> PathBuf {
            let build = self.0.path().join(name);
            let deps = build.join("target/debug/deps");
            fs::create_dir_all(&deps).unwrap();
            let file = deps.join(format!("lib{name}-0123456789abcdef.rlib"));
            fs::write(file, vec![1; size]).unwrap();
            fs::write(build.join("Cargo.lock"), "version = 4").unwrap();
            build
        }

        fn publish(&self, key: &str, dependencies: &[&str]) {
            let set = set(key, dependencies);
            let build = self.build(key, 100_000);
            self.store().publish(&set, &build, &used(key)).unwrap();
        }

        fn keys(&self) -> Vec<String> {
            let mut keys: Vec<String> = self
                .store()
                .all()
                .iter()
                .filter(|folder| is_ready(folder))
                .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
                .collect();
            keys.sort();
            keys
        }

        fn used(&self, key: &str, seconds_ago: u64) {
            let mark = File::options()
                .append(true)
                .open(self.store().folder(key).join(READY));
            let time = SystemTime::now() - Duration::from_secs(seconds_ago);
            mark.unwrap().set_modified(time).unwrap();
        }
    }

    fn set(key: &str, dependencies: &[&str]) -> Set {
        Set {
            key: key.to_owned(),
            family: "family".to_owned(),
            dependencies: dependencies.iter().map(|line| (*line).to_owned()).collect(),
        }
    }

    /// The library that is compiled in a folder of this name.
    fn used(name: &str) -> Used {
        let mut used = Used::default();
        let file = format!("/deps/lib{name}-0123456789abcdef.rlib");
        used.hear(&json!({ "reason": "compiler-artifact", "filenames": [file] }));
        used
    }

    #[test]
    fn what_is_not_used_is_not_kept() {
        let folder = Folder::new();
        let build = folder.build("a", 1);
        let deps = build.join("target/debug/deps");
        fs::write(deps.join("liba-fedcba9876543210.rlib"), "another's").unwrap();
        folder.publish("a", &[]);
        let kept = folder.store().folder("a").join("target/debug/deps");
        let kept: Vec<_> = fs::read_dir(kept).unwrap().flatten().collect();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].file_name(), "liba-0123456789abcdef.rlib");
    }

    #[test]
    fn a_set_is_there_when_its_mark_is_and_not_before() {
        let folder = Folder::new();
        let stores = Stores(vec![folder.store()]);
        assert!(!stores.has("a"));
        folder.publish("a", &[]);
        assert!(stores.has("a"));
        assert!(folder.store().folder("a").join("Cargo.lock").exists());
        // As if it had been killed before the last step.
        fs::remove_file(folder.store().folder("a").join(READY)).unwrap();
        assert!(!stores.has("a"));
        folder.publish("a", &[]);
        assert!(stores.has("a"));
    }

    #[test]
    fn what_killed_processes_have_left_goes_and_what_is_being_written_stays() {
        let folder = Folder::new();
        let sets = folder.store().sets();
        let living = format!("{NEW}{}-x", std::process::id());
        let dead = format!("{NEW}99999999-x"); // no process has such a number
        for name in [&living, &dead, "half", "held"] {
            fs::create_dir(sets.join(name)).unwrap();
        }
        folder.publish("a", &[]);
        let held = folder.store().lock("held", || panic!("nobody holds it"));
        folder.store().prune(LIMIT, "a");
        let exists = |name: &str| sets.join(name).exists();
        assert!(exists(&living) && exists("held") && exists("a"));
        assert!(!exists(&dead) && !exists("half"));
        drop(held);
        folder.store().prune(LIMIT, "a");
        assert!(!exists("held"));
    }

    #[test]
    fn the_sets_that_were_used_longest_ago_go_first_and_the_newest_never() {
        let folder = Folder::new();
        for (key, seconds_ago) in [("a", 30), ("b", 10), ("c", 20), ("d", 40)] {
            folder.publish(key, &[]);
            folder.used(key, seconds_ago);
        }
        folder.store().prune(LIMIT, "d");
        assert_eq!(folder.keys(), ["a", "b", "c", "d"]);
        let of_one = size(&folder.store().folder("a"), &mut HashSet::new());
        folder.store().prune(3 * of_one, "d");
        assert_eq!(folder.keys(), ["b", "c", "d"]);
        Stores(vec![folder.store()]).touch("c");
        folder.store().prune(2 * of_one, "d");
        assert_eq!(folder.keys(), ["c", "d"]);
        folder.store().prune(0, "d");
        assert_eq!(folder.keys(), ["d"]);
    }

    #[test]
    fn what_is_not_finished_is_kept_like_a_set_until_it_is() {
        let folder = Folder::new();
        let store = folder.store();
        let half = store.unfinished("half");
        fs::create_dir_all(&half).unwrap();
        fs::write(half.join("file"), vec![1; 100_000]).unwrap();
        folder.publish("a", &[]);
        store.prune(LIMIT, "a");
        assert!(half.exists());
        folder.publish("half", &[]);
        store.prune(LIMIT, "half");
        assert!(!half.exists());
        fs::create_dir_all(store.unfinished("other")).unwrap();
        store.prune(0, "half");
        assert!(!store.unfinished("other").exists());
        assert_eq!(folder.keys(), ["half"]);
    }

    #[test]
    fn what_sets_share_counts_once() {
        let folder = Folder::new();
        let build = folder.build("a", 1_000_000);
        for key in ["a", "b", "c"] {
            let set = set(key, &[]);
            folder.store().publish(&set, &build, &used("a")).unwrap();
        }
        folder.store().prune(1_500_000, "c");
        assert_eq!(folder.keys(), ["a", "b", "c"]);
    }

    #[test]
    fn the_nearest_set_is_of_the_same_family_and_shares_most() {
        let folder = Folder::new();
        let stores = Stores(vec![folder.store()]);
        let needed = ["tokio", "serde", "rand"];
        assert_eq!(stores.nearest(&set("x", &needed)), None);
        for (key, dependencies) in [
            ("none", &["axum"][..]),
            ("one", &["tokio"]),
            ("two", &["tokio", "serde"]),
            ("more", &["tokio", "serde", "axum", "sqlx"]),
            ("half", &["tokio", "serde", "rand"]),
            ("older", &["tokio", "serde"]),
        ] {
            folder.publish(key, dependencies);
        }
        folder.used("older", 10);
        fs::remove_file(folder.store().folder("half").join(READY)).unwrap();
        let mut other = set("x", &needed);
        assert_eq!(stores.nearest(&other), Some(folder.store().folder("two")));
        "another".clone_into(&mut other.family);
        assert_eq!(stores.nearest(&other), None);
        assert_eq!(stores.nearest(&set("x", &["chrono"])), None);
    }

    #[test]
    fn who_comes_second_waits_and_who_held_it_may_have_removed_it() {
        let folder = Folder::new();
        let store = folder.store();
        let first = store.lock("a", || panic!("nobody holds it")).unwrap();
        let (said, waits) = std::sync::mpsc::channel();
        let second = {
            let store = folder.store();
            std::thread::spawn(move || store.lock("a", || said.send(()).unwrap()).unwrap())
        };
        waits.recv_timeout(Duration::from_secs(20)).unwrap();
        fs::remove_file(store.folder("a").with_extension("lock")).unwrap();
        drop(first);
        let second = second.join().unwrap();
        let mut is_held = false;
        let third = File::open(store.folder("a").with_extension("lock")).unwrap();
        is_held |= matches!(third.try_lock(), Err(TryLockError::WouldBlock));
        assert!(is_held, "the second one holds what others will look at");
        drop(second);
    }

    #[test]
    fn of_many_answers_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for age in 0..5 {
            let file = File::create(folder.path().join(age.to_string())).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            file.set_modified(time).unwrap();
        }
        remove_oldest(folder.path(), 2);
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["0", "1"]);
    }
}
