//! Where things lie: the project's folder and the cache folder that belongs to it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Names the project's folder to a kernel, which Jupyter starts anywhere.
pub const PROJECT_ENV: &str = "LAB_PROJECT";
/// Overrides the folder in which caches are kept.
pub const CACHE_ENV: &str = "LAB_CACHE";
/// Names a folder with warmed build folders that several users share: only set-up, run by its
/// owner, writes to it. Without it they lie in the cache folder.
pub const WARM_ENV: &str = "LAB_WARM";

/// A clone of this repository and its cache.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    cache: PathBuf,
    warm: PathBuf,
}

impl Project {
    /// The project that `$LAB_PROJECT` names, or that the working directory lies in, or that
    /// this program was built from.
    ///
    /// # Errors
    /// When there is none, or no cache folder can be made for it.
    pub fn find() -> Result<Project> {
        Project::find_without_cache()?.with_cache()
    }

    /// The same, but without making its cache folder, nor minding whose it is: root prepares a class
    /// in the clone and the home of somebody else.
    ///
    /// # Errors
    /// When there is none.
    pub fn find_without_cache() -> Result<Project> {
        let named = std::env::var_os(PROJECT_ENV).map(PathBuf::from);
        let working =
            std::env::current_dir().context("当前文件夹已不存在：请 cd 到项目文件夹再试")?;
        let built = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = named
            .into_iter()
            .chain(working.ancestors().map(Path::to_owned))
            .chain(built.ancestors().map(Path::to_owned))
            .find(|folder| folder.join("notebooks").is_dir() && folder.join("support/lab").is_dir())
            .context("找不到项目文件夹（其中有 notebooks/ 和 support/）：请在项目里运行")?;
        Project::located(&root)
    }

    /// The project in the folder `root`.
    ///
    /// # Errors
    /// When `root` does not exist or no cache folder can be made for it.
    pub fn at(root: &Path) -> Result<Project> {
        Project::located(root)?.with_cache()
    }

    fn located(root: &Path) -> Result<Project> {
        let root = root
            .canonicalize()
            .with_context(|| format!("找不到项目文件夹 {}", root.display()))?;
        let cache = cache_for(&root)?;
        let shared = std::env::var_os(WARM_ENV).filter(|folder| !folder.is_empty());
        let warm = shared.map_or_else(|| cache.join("warm"), PathBuf::from);
        Ok(Project { root, cache, warm })
    }

    /// Makes the cache folder if it is missing, readable by the user alone.
    fn with_cache(self) -> Result<Project> {
        let folder = &self.cache;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| {
                format!(
                    "建不了缓存文件夹 {}：请检查权限和磁盘空间，或用 {CACHE_ENV} 另指一处",
                    folder.display()
                )
            })?;
        // SAFETY: always succeeds.
        if fs::metadata(folder)?.uid() != unsafe { libc::getuid() } {
            bail!(
                "缓存文件夹 {} 属于别的用户：请用 {CACHE_ENV} 另指一处",
                folder.display()
            );
        }
        Ok(self)
    }

    /// The folder with `Cargo.toml` and `notebooks/`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder with the notebooks.
    pub fn notebooks(&self) -> PathBuf {
        self.root.join("notebooks")
    }

    /// The notebooks of the course, in order: those with a number in front. What readers add
    /// under other names, in whatever state, is their own.
    ///
    /// # Errors
    /// When the folder cannot be read or holds none.
    pub fn course(&self) -> Result<Vec<PathBuf>> {
        let mut paths = self.all()?;
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default();
            name.as_encoded_bytes()
                .first()
                .is_some_and(u8::is_ascii_digit)
        });
        if paths.is_empty() {
            bail!(
                "{} 里没有课程的笔记本（01-….ipynb）：请重新克隆项目",
                self.notebooks().display()
            );
        }
        Ok(paths)
    }

    /// All notebooks in the folder, in order.
    fn all(&self) -> Result<Vec<PathBuf>> {
        let folder = self.notebooks();
        let entries =
            fs::read_dir(&folder).with_context(|| format!("读不了文件夹 {}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "ipynb"))
            .collect();
        paths.sort();
        Ok(paths)
    }

    /// The notebooks that the words name: paths, file names, or beginnings of file names. No
    /// words mean the whole course.
    ///
    /// # Errors
    /// When a word names no notebook, or several.
    pub fn select(&self, words: &[String]) -> Result<Vec<PathBuf>> {
        if words.is_empty() {
            return self.course();
        }
        words.iter().map(|word| self.choose(word)).collect()
    }

    fn choose(&self, word: &str) -> Result<PathBuf> {
        let path = Path::new(word);
        if path.is_file() {
            return path
                .canonicalize()
                .with_context(|| format!("打不开 {word}"));
        }
        choose(word, &self.all()?)
    }

    /// The folder for what can be made anew: warmed build folders and those of kernels.
    ///
    /// It is outside of the project, since cargo would take a build folder in there for a member
    /// of the workspace, and its path has no space, since evcxr cannot handle one.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder with the warmed build folders; perhaps another user's, and then only read.
    pub fn warm(&self) -> &Path {
        &self.warm
    }
}

/// The one of `notebooks` whose name is or begins with `word`.
fn choose(word: &str, notebooks: &[PathBuf]) -> Result<PathBuf> {
    let stem = |path: &PathBuf| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let wanted = word.strip_suffix(".ipynb").unwrap_or(word);
    let matching: Vec<&PathBuf> = match notebooks.iter().find(|path| stem(path) == wanted) {
        Some(exact) => vec![exact],
        None => notebooks
            .iter()
            .filter(|path| stem(path).starts_with(wanted))
            .collect(),
    };
    match matching[..] {
        [one] => Ok(one.clone()),
        [] => {
            let names: Vec<String> = notebooks.iter().map(stem).collect();
            bail!("没有叫 {word} 的笔记本。现有：{}", names.join("、"))
        }
        _ => {
            let names: Vec<String> = matching.into_iter().map(stem).collect();
            bail!(
                "{word} 可以指好几个笔记本：{}。请写得再全一些",
                names.join("、")
            )
        }
    }
}

/// The cache folder of the project at `root`.
fn cache_for(root: &Path) -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let usual = [
        variable("XDG_CACHE_HOME"),
        std::env::home_dir().map(|home| home.join(".cache")),
    ];
    let base = match cache_base(variable(CACHE_ENV), usual)? {
        Some(base) => base,
        // SAFETY: always succeeds.
        None => shared_base(Path::new("/tmp"), unsafe { libc::getuid() })?,
    };
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    Ok(base
        .join("rust-async-notebooks")
        .join(format!("{:016x}", hasher.finish())))
}

/// The folder for caches that the user named, or else the first of the `usual` ones that can be
/// used. Evcxr cannot handle a path with a space.
fn cache_base(
    named: Option<PathBuf>,
    usual: impl IntoIterator<Item = Option<PathBuf>>,
) -> Result<Option<PathBuf>> {
    let usable = |path: &PathBuf| path.is_absolute() && !path.to_string_lossy().contains(' ');
    match named.filter(|path| !path.as_os_str().is_empty()) {
        Some(named) if usable(&named) => Ok(Some(named)),
        Some(named) => bail!(
            "{CACHE_ENV}={} 不能用作缓存文件夹：请换成没有空格的绝对路径，或者不设它",
            named.display()
        ),
        None => Ok(usual.into_iter().flatten().find(usable)),
    }
}

/// A folder of the user's own in one in which anybody may have put something under its name.
fn shared_base(shared: &Path, user: u32) -> Result<PathBuf> {
    let folder = shared.join(format!("cache-{user}"));
    let made = fs::DirBuilder::new().mode(0o700).create(&folder);
    let safe = fs::symlink_metadata(&folder)
        .is_ok_and(|found| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0);
    match made {
        _ if safe => Ok(folder),
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error).with_context(|| {
            format!(
                "建不了缓存文件夹 {}：请检查权限和磁盘空间，或用 {CACHE_ENV} 另指一处",
                folder.display()
            )
        }),
        _ => bail!(
            "缓存文件夹 {} 别人也能改动，或者不是文件夹：请删除它，或用 {CACHE_ENV} 另指一处",
            folder.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_first_usable_cache_folder_is_taken_whichever_others_are_not() {
        let path = |text| Some(PathBuf::from(text));
        let usual = || [path("/with space"), path("/home/x/.cache")];
        assert_eq!(cache_base(path("/named"), usual()).unwrap(), path("/named"));
        assert_eq!(cache_base(None, usual()).unwrap(), path("/home/x/.cache"));
        assert_eq!(
            cache_base(path(""), usual()).unwrap(),
            path("/home/x/.cache")
        );
        assert_eq!(cache_base(None, [path("relative"), None]).unwrap(), None);
    }

    #[test]
    fn a_named_cache_folder_that_cannot_be_used_is_refused() {
        for named in ["relative", "/with space"] {
            let refusal = cache_base(Some(named.into()), []).unwrap_err().to_string();
            assert!(
                refusal.contains(&format!("{CACHE_ENV}={named}")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn in_a_shared_folder_only_the_users_own_is_trusted() {
        let shared = tempfile::tempdir().unwrap();
        // SAFETY: always succeeds.
        let user = unsafe { libc::getuid() };
        let folder = shared_base(shared.path(), user).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        assert_eq!(shared_base(shared.path(), user).unwrap(), folder);

        let refused = || {
            let refusal = shared_base(shared.path(), user).unwrap_err().to_string();
            assert!(refusal.contains(CACHE_ENV), "{refusal}");
        };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        refused();
        fs::remove_dir(&folder).unwrap();
        symlink(shared.path(), &folder).unwrap();
        refused();
        fs::remove_file(&folder).unwrap();
        fs::write(&folder, "").unwrap();
        refused();
    }

    fn course() -> Vec<PathBuf> {
        ["01-why.ipynb", "02-define.ipynb", "02-design.ipynb"]
            .map(PathBuf::from)
            .to_vec()
    }

    #[test]
    fn a_notebook_is_chosen_by_the_beginning_of_its_name() {
        assert_eq!(
            choose("01", &course()).unwrap(),
            PathBuf::from("01-why.ipynb")
        );
        assert_eq!(
            choose("01-why.ipynb", &course()).unwrap(),
            PathBuf::from("01-why.ipynb")
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = choose("07", &course()).unwrap_err().to_string();
        assert!(
            message.contains("07") && message.contains("01-why"),
            "{message}"
        );
    }

    #[test]
    fn an_ambiguous_name_lists_the_candidates() {
        let message = choose("02", &course()).unwrap_err().to_string();
        assert!(
            message.contains("02-define") && message.contains("02-design"),
            "{message}"
        );
        assert!(!message.contains("01-why"), "{message}");
    }
}
