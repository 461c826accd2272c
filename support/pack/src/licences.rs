//! The licences of what a pack carries. The sources of crates and the wheels have theirs in them; here
//! are those of what is compiled into its programs, of the toolchain, and of what is linked with.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use base::process::last_lines;
use base::toolchain::Toolchain;
use lab::project::Project;
use lab::trees::link_tree;
use serde_json::Value;

/// How the names of files begin that a licence may be in.
const NAMES: [&str; 4] = ["copying", "copyright", "licen", "notice"];

/// Where Debian keeps the licences of what is linked with.
const SYSTEM: [&str; 3] = ["libc6-dev", "libc6", "libgcc-s1"];

const INTRODUCTION: &str = "\
这个文件夹里是各部分的许可证：
  crates.txt  编译进 bin/ 里各个程序的 crate，每个用什么许可证，全文在后面，相同的只写一遍
  rust/       toolchain/ 里的 Rust 工具链
  system/     toolchain/link/ 里的 C 库（glibc）和 libgcc
cargo/ 里的 crate 和 wheels/ 里的 Python 包，许可证在它们自己里面。
课程：course/notebooks/LICENSE（CC BY-SA 4.0）；代码：course/support/LICENSE-MIT 和 LICENSE-APACHE。
";

/// Collects them in a folder.
///
/// # Errors
/// When cargo does not say what the programs are made of.
pub fn collect(project: &Project, toolchain: &Toolchain, to: &Path) -> Result<()> {
    fs::write(to.join("README.txt"), INTRODUCTION)?;
    fs::write(to.join("crates.txt"), of_crates(project, toolchain)?)?;
    fs::create_dir_all(to.join("rust"))?;
    let documents = toolchain.sysroot.join("share/doc");
    for folder in ["rust", "rustc", "cargo"].map(|name| documents.join(name)) {
        for file in in_folder(&folder) {
            let name = file.file_name().context("a file has a name")?;
            fs::copy(&file, to.join("rust").join(name))?;
        }
    }
    link_tree(
        &documents.join("rust/licenses"),
        &to.join("rust/licenses"),
        true,
    )?;
    fs::create_dir_all(to.join("system"))?;
    for package in SYSTEM {
        let file = Path::new("/usr/share/doc").join(package).join("copyright");
        if file.is_file() {
            fs::copy(file, to.join("system").join(package))?;
        }
    }
    Ok(())
}

/// Of all crates that the workspace is made of: their licences, and the texts.
fn of_crates(project: &Project, toolchain: &Toolchain) -> Result<String> {
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
    let mut list = String::new();
    // Each text once, with all that it is the licence of.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        if package["source"].is_null() {
            continue; // our own
        }
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let name = format!("{} {}", text("name"), text("version"));
        list += &format!("{name}：{}\n", text("license"));
        let folder = Path::new(text("manifest_path")).parent();
        for file in folder.into_iter().flat_map(in_folder) {
            if let Ok(text) = fs::read_to_string(file) {
                texts.entry(text).or_default().push(name.clone());
            }
        }
    }
    for (text, names) in texts {
        list += &format!("\n==== {}\n\n{}\n", names.join("、"), text.trim_end());
    }
    Ok(list)
}

/// The files in a folder that a licence may be in.
fn in_folder(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = name.to_lowercase();
            path.is_file() && NAMES.iter().any(|known| name.starts_with(known))
        })
        .collect();
    files.sort();
    files
}
