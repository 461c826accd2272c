//! Where things lie: the project's folder and the cache folder that belongs to it.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base::caches;

/// Names the project's folder, instead of the one that the working directory lies in.
pub const PROJECT_ENV: &str = "LAB_PROJECT";

/// A clone of this repository and its cache.
#[derive(Clone, Debug)]
pub struct Project {
    root: PathBuf,
    cache: PathBuf,
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

    /// The same, but without making its cache folder.
    ///
    /// # Errors
    /// When `root` does not exist or there is no place for caches.
    pub fn located(root: &Path) -> Result<Project> {
        let root = root
            .canonicalize()
            .with_context(|| format!("找不到项目文件夹 {}", root.display()))?;
        let mut hasher = DefaultHasher::new();
        root.hash(&mut hasher);
        let cache = caches::folder()?.join(format!("{:016x}", hasher.finish()));
        Ok(Project { root, cache })
    }

    /// Makes the cache folder if it is missing, readable by the user alone.
    fn with_cache(self) -> Result<Project> {
        caches::make(&self.cache)?;
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

    /// The folder for what this program notes for its next run: everything in it can be made anew.
    pub fn cache(&self) -> &Path {
        &self.cache
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

#[cfg(test)]
mod tests {
    use super::*;

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
