//! The licences of what a pack carries. The sources of crates and the wheels have theirs in them; here
//! are those of what is compiled into its programs, of the toolchain, and of what is linked with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::project::Project;
use lab::trees::link_tree;
use serde_json::Value;
use walkdir::WalkDir;

/// How the names of files begin that a licence may be in, and of folders with such files.
const NAMES: [&str; 5] = ["copying", "copyright", "licen", "notice", "unlicen"];
/// How the names of files end that have code in them, whatever they are called.
const CODE: [&str; 8] = ["c", "go", "h", "js", "json", "py", "rs", "toml"];

/// Where Debian keeps the licences of what is linked with.
const SYSTEM: [&str; 3] = ["libc6-dev", "libc6", "libgcc-s1"];
/// Where Debian keeps the texts that those name.
const COMMON: &str = "/usr/share/common-licenses/";

const INTRODUCTION: &str = "\
这个文件夹里是各部分的许可证：
  crates.txt  编译进 bin/ 里各个程序的 crate，每个用什么许可证，全文在后面，相同的只写一遍
  rust/       toolchain/ 里的 Rust 工具链
  system/     toolchain/link/ 里的 C 库（glibc）和 libgcc；它们提到的 GPL、LGPL 等的全文在 system/common/
cargo/ 里的 crate 和 wheels/ 里的 Python 包，许可证在它们自己里面。
课程：course/notebooks/LICENSE（CC BY-SA 4.0）；代码：course/support/LICENSE-MIT 和 LICENSE-APACHE。
";

/// Collects them in a folder.
///
/// # Errors
/// When cargo does not say what the programs are made of, or a licence that must come along is not on
/// this system.
pub fn collect(project: &Project, toolchain: &Toolchain, to: &Path) -> Result<()> {
    fs::write(to.join("README.txt"), INTRODUCTION)?;
    let documents = toolchain.sysroot.join("share/doc");
    let standard = standard(&[&documents.join("rust/licenses"), Path::new(COMMON)]);
    let crates = listed(&crates(project, toolchain)?, &standard);
    fs::write(to.join("crates.txt"), crates)?;
    of_rust(&documents, &to.join("rust"))?;
    let documents = Path::new("/usr/share/doc");
    of_system(documents, Path::new(COMMON), &to.join("system"))
}

/// Those of the toolchain.
fn of_rust(documents: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    let folders = ["rust", "rustc", "cargo"].map(|name| documents.join(name));
    let files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| licences_in(folder, 1))
        .collect();
    ensure!(
        !files.is_empty(),
        "{} 里没有 Rust 的许可证，包里要附上它：请换用 rustup 安装的工具链",
        documents.display()
    );
    for file in files {
        let name = file.file_name().context("a file has a name")?;
        fs::copy(&file, to.join(name))?;
    }
    let more = Path::new("rust/licenses");
    Ok(link_tree(
        &documents.join(more),
        &to.join("licenses"),
        true,
    )?)
}

/// Those of what is linked with, and the texts that they only name.
fn of_system(documents: &Path, common: &Path, to: &Path) -> Result<()> {
    let texts = to.join("common");
    fs::create_dir_all(&texts)?;
    let copy = |from: &Path, to: &Path| {
        fs::copy(from, to).with_context(|| {
            format!(
                "拷贝不了 {}：包里带着 glibc 和 libgcc，要附上它们的许可证。请在 Debian 或 Ubuntu 上打包，装好 libc6-dev 和 base-files，磁盘留出空间",
                from.display()
            )
        })
    };
    for package in SYSTEM {
        let file = documents.join(package).join("copyright");
        copy(&file, &to.join(package))?;
        for name in named(&String::from_utf8_lossy(&fs::read(&file)?)) {
            copy(&common.join(&name), &texts.join(name))?;
        }
    }
    Ok(())
}

/// The texts in [`COMMON`] that a copyright file names.
fn named(copyright: &str) -> BTreeSet<String> {
    let behind = copyright.split(COMMON).skip(1);
    let names = behind.map(|text| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
        text[..end].trim_end_matches('.').to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// A crate that a program is made of.
struct Crate {
    /// With its version.
    name: String,
    /// As its manifest says it: SPDX, or with `/` for `OR`.
    licence: String,
    /// What its files with licences say.
    texts: Vec<String>,
}

/// All crates that the workspace is made of.
fn crates(project: &Project, toolchain: &Toolchain) -> Result<Vec<Crate>> {
    let output = Command::new(toolchain.cargo())
        .args(["metadata", "--format-version=1", "--locked"])
        .args(["--filter-platform", &toolchain.host])
        .current_dir(project.root())
        .output()
        .context("运行不了 cargo")?;
    ensure!(
        output.status.success(),
        "cargo metadata 失败：{}",
        last_lines(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut crates = Vec::new();
    for package in packages.filter(|package| !package["source"].is_null()) {
        let said = |key: &str| package[key].as_str().unwrap_or_default();
        let folder = Path::new(said("manifest_path")).parent();
        let mut texts = Vec::new();
        for file in folder
            .into_iter()
            .flat_map(|folder| licences_in(folder, usize::MAX))
        {
            texts.push(String::from_utf8_lossy(&fs::read(file)?).into_owned());
        }
        crates.push(Crate {
            name: format!("{} {}", said("name"), said("version")),
            licence: said("license").to_owned(),
            texts,
        });
    }
    Ok(crates)
}

/// The texts of licences by their names in SPDX, as far as files in these folders are called so.
fn standard(folders: &[&Path]) -> BTreeMap<String, String> {
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok());
    let files = entries.flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let name = name.strip_suffix(".txt").unwrap_or(&name).to_owned();
        Some((name, fs::read_to_string(entry.path()).ok()?))
    });
    files.collect()
}

/// The list of crates, and behind it each text once, with all that it is the licence of. To a crate that
/// has no text belong those of the licences that it names: the `standard` ones, or as another crate has
/// them.
fn listed(crates: &[Crate], standard: &BTreeMap<String, String>) -> String {
    let mut list = String::new();
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in crates {
        list += &format!("{}：{}\n", one.name, one.licence);
        let own = one.texts.iter().map(String::as_str);
        let named = ids(&one.licence).filter_map(|id| match standard.get(id) {
            Some(text) => Some(text.as_str()),
            None => of_others(id, crates),
        });
        let of_this: BTreeSet<&str> = match one.texts.is_empty() {
            true => named.collect(),
            false => own.collect(),
        };
        for text in of_this {
            texts.entry(text).or_default().push(&one.name);
        }
    }
    for (text, names) in texts {
        list += &format!("\n==== {}\n\n{}\n", names.join("、"), text.trim_end());
    }
    list
}

/// The licences that an expression names.
fn ids(expression: &str) -> impl Iterator<Item = &str> {
    let words = expression.split(|c: char| c.is_whitespace() || "/()".contains(c));
    words.filter(|word| !["", "AND", "OR", "WITH"].contains(word))
}

/// The text of a licence: the shortest that a crate has which names this one alone and has one text.
fn of_others<'a>(id: &str, crates: &'a [Crate]) -> Option<&'a str> {
    let texts = crates.iter().filter_map(|one| match &one.texts[..] {
        [text] if one.licence == id => Some(text.as_str()),
        _ => None,
    });
    texts.min_by_key(|text| (text.len(), *text))
}

/// The files in a folder, so many folders deep, that a licence may be in.
fn licences_in(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let is_one = |path: &Path| {
        let is_code = path
            .extension()
            .is_some_and(|end| CODE.iter().any(|code| end.eq_ignore_ascii_case(code)));
        // A licence, or in a folder of licences.
        let mut names = path.strip_prefix(folder).unwrap_or(path).iter();
        !is_code
            && names.any(|name| {
                let name = name.to_string_lossy().to_lowercase();
                NAMES.iter().any(|known| name.starts_with(known))
            })
    };
    let entries = WalkDir::new(folder).max_depth(depth).sort_by_file_name();
    let files = entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.path().is_file());
    files
        .map(walkdir::DirEntry::into_path)
        .filter(|path| is_one(path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, licence: &str, texts: &[&str]) -> Crate {
        Crate {
            name: name.to_owned(),
            licence: licence.to_owned(),
            texts: texts.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    #[test]
    fn each_text_is_there_once_and_who_brings_none_has_that_of_others() {
        let crates = [
            made("a 1", "MIT", &["the MIT text, of a"]),
            made("b 1", "MIT", &["the MIT text, of b and c"]),
            made("c 1", "MIT", &["its own text", "of C code in it"]),
            made("d 1", "Apache-2.0", &["Apache, in short"]),
            made("e 1", "MIT OR Apache-2.0", &[]),
            made("f 1", "MIT/Apache-2.0", &["Apache, in short"]),
            made("g 1", "(ISC AND MIT) OR Unknown", &[]),
        ];
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("Apache-2.0.txt"),
            "the whole Apache text",
        )
        .unwrap();
        let list = listed(&crates, &standard(&[folder.path(), Path::new("/none")]));
        let mut parts = list.split("\n==== ");
        let expected = "a 1：MIT\nb 1：MIT\nc 1：MIT\nd 1：Apache-2.0\ne 1：MIT OR Apache-2.0\n\
            f 1：MIT/Apache-2.0\ng 1：(ISC AND MIT) OR Unknown\n";
        assert_eq!(parts.next(), Some(expected));
        let parts: BTreeSet<&str> = parts.map(str::trim_end).collect();
        let expected = [
            "a 1、e 1、g 1\n\nthe MIT text, of a",
            "b 1\n\nthe MIT text, of b and c",
            "c 1\n\nits own text",
            "c 1\n\nof C code in it",
            "d 1、f 1\n\nApache, in short",
            "e 1\n\nthe whole Apache text",
        ];
        assert_eq!(parts, BTreeSet::from(expected));
    }

    #[test]
    fn licences_are_found_at_any_depth_and_code_is_none() {
        let folder = tempfile::tempdir().unwrap();
        for (path, is_one) in [
            ("LICENSE-MIT", true),
            ("UNLICENSE", true),
            ("c_src/v2/LICENSE", true),
            ("zstd/COPYING", true),
            ("LICENSES/Apache-2.0.txt", true),
            ("LICENSE-APACHE-2.0", true),
            ("src/licenses.rs", false),
            ("licenses/mod.rs", false),
            ("README.md", false),
        ] {
            let file = folder.path().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            let found = licences_in(folder.path(), usize::MAX);
            assert_eq!(found.contains(&file), is_one, "{path}");
        }
        let at_the_top = licences_in(folder.path(), 1);
        assert_eq!(at_the_top.len(), 3, "{at_the_top:?}");
    }

    #[test]
    fn the_texts_that_a_copyright_file_names_come_along_and_none_may_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let collected = || of_system(&path("doc"), &path("common"), &path("to"));
        let refusal = format!("{:#}", collected().unwrap_err());
        assert!(refusal.contains("libc6-dev/copyright"), "{refusal}");
        for package in SYSTEM {
            fs::create_dir_all(path("doc").join(package)).unwrap();
            let text = format!("see `{COMMON}LGPL-2.1', or {COMMON}GPL.\n");
            fs::write(path("doc").join(package).join("copyright"), text).unwrap();
        }
        fs::create_dir(path("common")).unwrap();
        fs::write(path("common/GPL"), "").unwrap();
        let refusal = format!("{:#}", collected().unwrap_err());
        assert!(refusal.contains("common/LGPL-2.1"), "{refusal}");
        fs::write(path("common/LGPL-2.1"), "").unwrap();
        collected().unwrap();
        for name in ["libgcc-s1", "common/GPL", "common/LGPL-2.1"] {
            assert!(path("to").join(name).is_file(), "{name}");
        }
    }
}
