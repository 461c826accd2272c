//! `lab export`: executed notebooks as a book of HTML pages that need nothing but a browser.
//!
//! nbconvert turns cells into HTML; the page around them is ours (`assets/nbconvert/lab-book`). A
//! page requests nothing from the network: no fonts, no scripts, no MathJax. Formulas therefore
//! stay as they were typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ipynb::Notebook;

/// One page of the book.
#[derive(Clone, Debug)]
pub struct Page {
    /// File name without extension, such as `01-why-coroutines`: the page becomes `NAME.html`.
    pub name: String,
    /// The heading of its entry in the index, and the browser's title.
    pub title: String,
    /// A notebook (`.ipynb`) with outputs.
    pub executed: PathBuf,
}

const BOOK_TITLE: &str = "异步 Rust：对照《流畅的 Python》";

/// Stands in every page, so that a later export knows the files it may replace.
const GENERATOR: &str = "lab export";

const CREDIT: &str = r#"改写自 <a href="https://github.com/StdioA/fluent-python-notes">StdioA/fluent-python-notes</a>，原笔记所读的书是 Luciano Ramalho 的《流畅的 Python》（<cite lang="en">Fluent Python</cite>）。本课程以 <a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.zh-hans">CC BY-SA 4.0</a> 许可发布。"#;

const INDEX: &str = include_str!("../assets/book-index.html");
const CSS: &str = include_str!("../assets/nbconvert/lab-book/book.css");

/// The nbconvert template, file by file: the program must run without its sources at hand.
const TEMPLATE: [(&str, &str); 3] = [
    ("conf.json", include_str!("../assets/nbconvert/lab-book/conf.json")),
    ("index.html.j2", include_str!("../assets/nbconvert/lab-book/index.html.j2")),
    ("book.css", CSS),
];

/// Renders the pages and an `index.html` into the folder `out`, replacing an earlier book there.
///
/// `jupyter_python` is a Python with nbconvert. All or nothing: until every page is rendered,
/// `out` stays as it was.
///
/// # Errors
/// `out` holds files that are no book of ours, nbconvert cannot be started or fails (the error
/// names the notebook), a page would load something from outside of itself, or the disk is full.
pub fn book(pages: &[Page], jupyter_python: &Path, out: &Path) -> Result<()> {
    let out = fs::canonicalize(out).unwrap_or_else(|_| out.to_owned());
    refuse_foreign_files(&out)?;
    let work = tempfile::tempdir().context("无法创建临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    let rendered = render(pages, jupyter_python, &work)?;
    write_book(pages, &rendered, &out)
        .with_context(|| format!("无法写入 {}：请检查磁盘空间和写权限", out.display()))
}

/// Refuses an `out` in which anything is not a page of an earlier export.
fn refuse_foreign_files(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(out).with_context(|| format!("导出目录 {} 不能作为文件夹读取", out.display()))?;
    let mark = generator_mark();
    for entry in entries {
        let path = entry?.path();
        let is_ours = path.extension().is_some_and(|extension| extension == "html")
            && fs::read_to_string(&path).is_ok_and(|page| page.contains(&mark));
        ensure!(
            is_ours,
            "导出目录 {} 里有不是导出生成的文件 {}：请用 --out 换一个空文件夹，或先移走它",
            out.display(),
            path.file_name().unwrap_or_default().display()
        );
    }
    Ok(())
}

fn generator_mark() -> String {
    format!(r#"name="generator""#)
}

/// The HTML of every page, made in the folder `work`.
fn render(pages: &[Page], python: &Path, work: &TempDir) -> Result<Vec<String>> {
    let folder = |name: &str| -> Result<PathBuf> {
        let path = work.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    let template = folder("templates/lab-book")?;
    for (name, text) in TEMPLATE {
        fs::write(template.join(name), text)?;
    }
    let inputs = folder("notebooks")?;
    for (position, page) in pages.iter().enumerate() {
        let mut notebook = Notebook::load(&page.executed)?;
        notebook.metadata_mut().insert("lab_book".into(), page_metadata(pages, position));
        notebook.save(&inputs.join(format!("{}.ipynb", page.name)))?;
    }

    let html = folder("html")?;
    let output = nbconvert(pages, python, work.path())?;
    pages
        .iter()
        .map(|page| {
            let Ok(text) = fs::read_to_string(html.join(format!("{}.html", page.name))) else {
                bail!("nbconvert 无法转换 {}：\n{}", page.name, last_lines(&output));
            };
            if let Some(address) = loaded_from_outside(&text) {
                bail!(
                    "{} 会从页面之外加载 {address}：请把图片拖进 Markdown 单元作为附件，或由代码单元输出",
                    page.name
                );
            }
            Ok(text)
        })
        .collect()
}

/// What the template wants to know beyond the notebook itself.
fn page_metadata(pages: &[Page], position: usize) -> Value {
    let neighbour = |page: Option<&Page>| {
        page.map(|page| json!({"href": format!("{}.html", page.name), "title": page.title}))
    };
    json!({
        "title": pages[position].title,
        "book_title": BOOK_TITLE,
        "generator": GENERATOR,
        "credit": CREDIT,
        "previous": neighbour(position.checked_sub(1).and_then(|before| pages.get(before))),
        "next": neighbour(pages.get(position + 1)),
    })
}

/// Runs nbconvert once for all pages, since starting it takes longer than a page does.
fn nbconvert(pages: &[Page], python: &Path, work: &Path) -> Result<Output> {
    Command::new(python)
        .args(["-m", "nbconvert", "--to", "html", "--template", "lab-book"])
        .arg("--TemplateExporter.extra_template_basedirs=../templates")
        .arg("--TemplateExporter.exclude_output_prompt=True")
        .args(["--output-dir", "../html"])
        .args(pages.iter().map(|page| format!("{}.ipynb", page.name)))
        .current_dir(work.join("notebooks"))
        // Neither the user's nbconvert settings nor the locale may change the book.
        .env("JUPYTER_CONFIG_DIR", work.join("config"))
        .env("PYTHONUTF8", "1")
        .output()
        .with_context(|| {
            format!("无法启动 {}：请运行 `lab setup` 重新安装", python.display())
        })
}
