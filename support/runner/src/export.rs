//! Executed notebooks as a book of HTML pages and slides that need nothing but a browser.
//!
//! - `about`: what a notebook says of itself;
//! - `page`: a notebook becomes a page, by nbconvert and a template of ours (`assets/book`);
//! - `outline`: a page's headings become its table of contents;
//! - `addresses`: links between pages, and nothing that a browser would fetch;
//! - `search`: the text of all pages, which the first page looks through;
//! - `slides`: a notebook as slides;
//! - `whole`: all pages as one, to be printed;
//! - `index`: the first page, a map of the others.
//!
//! A page requests nothing from the network: no fonts, no scripts, no MathJax. Formulas therefore
//! stay as they were typed.

mod about;
mod addresses;
mod index;
mod outline;
mod page;
mod search;
mod slides;
mod whole;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base::book::{absolute, refuse_foreign_files};

use crate::kernelspec::KernelSpec;
use crate::run::Runner;
use index::index;
use page::{Rendered, render};
use whole::whole;

/// One page of the book.
#[derive(Clone, Debug)]
pub struct Page {
    /// File name without extension, such as `01-why-coroutines`: the page becomes `NAME.html`.
    pub name: String,
    /// A notebook (`.ipynb`) with outputs.
    pub executed: PathBuf,
}

const BOOK_TITLE: &str = "异步 Rust：对照《流畅的 Python》";

/// How long tasks that go on after a notebook's last cell may add to its page. `--help` says so.
const BACKGROUND: Duration = Duration::from_secs(30);

const CREDIT: &str = concat!(
    r#"改写自 <a href="https://github.com/StdioA/fluent-python-notes">StdioA/fluent-python-notes</a>，原笔记所读的书是 Luciano Ramalho 的《流畅的 Python》（<cite lang="en">Fluent Python</cite>）。本课程以 <a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.zh-hans">CC BY-SA 4.0</a> 许可发布。"#,
    "版本 ",
    env!("CARGO_PKG_VERSION"),
    "。"
);

const CSS: &str = include_str!("../assets/book/book.css");
/// Of any page.
const PAGE_SCRIPT: &str = include_str!("../assets/book/book.js");
const SCRIPT: &str = concat!(
    include_str!("../assets/book/book.js"),
    include_str!("../assets/book/search.js")
);

/// The files that are not a notebook's.
const INDEX: &str = "index";
const WHOLE: &str = "print";

/// Executes the notebooks and renders them into `out`, with the Python `python`.
///
/// # Errors
/// At the first cell that fails, and see [`book`].
pub async fn export(
    spec: &KernelSpec,
    notebooks: &[PathBuf],
    limit: Duration,
    python: &Path,
    out: &Path,
) -> Result<()> {
    refuse_foreign_files(&absolute(out)?)?;
    let mut runner = Runner::new(spec, limit, BACKGROUND);
    let mut executed = Vec::new();
    for (index, path) in notebooks.iter().enumerate() {
        executed.push(runner.run(path, notebooks.get(index + 1)).await?);
    }
    let folder = tempfile::tempdir().context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    let mut pages = Vec::new();
    for (path, notebook) in notebooks.iter().zip(executed) {
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let saved = folder.path().join(format!("{name}.ipynb"));
        notebook.save(&saved)?;
        pages.push(Page {
            name,
            executed: saved,
        });
    }
    book(&pages, python, out)?;
    println!(
        "已导出 {} 页：{}",
        pages.len(),
        out.join("index.html").display()
    );
    Ok(())
}

/// Renders the pages and an `index.html` into the folder `out`, replacing an earlier book there.
///
/// `jupyter_python` is a Python with nbconvert. All or nothing: until every page is rendered,
/// `out` stays as it was.
///
/// # Errors
/// `out` holds files that are no book of ours, nbconvert cannot be started or fails (the error
/// names the notebook), a page would load something from outside of itself, or the disk is full.
pub fn book(pages: &[Page], jupyter_python: &Path, out: &Path) -> Result<()> {
    ensure!(!pages.is_empty(), "没有可导出的笔记本：请给出至少一个");
    let taken = |page: &&Page| [INDEX, WHOLE].contains(&page.name.as_str());
    if let Some(page) = pages.iter().find(taken) {
        bail!(
            "{0}.html 是讲义自己的一页：请给 {0}.ipynb 换一个名字",
            page.name
        );
    }
    let out = absolute(out)?;
    refuse_foreign_files(&out)?;
    let rendered = render(pages, jupyter_python)?;
    write_book(pages, &rendered, &out)
        .with_context(|| format!("写不了 {}：请检查磁盘空间和写权限", out.display()))
}

/// Writes the book beside `out` and puts it in place when it is complete.
fn write_book(pages: &[Page], rendered: &[Rendered], out: &Path) -> Result<()> {
    let parent = out
        .parent()
        .context("根文件夹不能作为导出文件夹：请用 --out 换一个")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::Builder::new()
        .prefix(".lab-export-")
        .tempdir_in(parent)?;
    let (new, old) = (staging.path().join("new"), staging.path().join("old"));
    fs::create_dir(&new)?;
    for (page, rendered) in pages.iter().zip(rendered) {
        fs::write(new.join(format!("{}.html", page.name)), &rendered.html)?;
        fs::write(new.join(slides::file(page)), &rendered.slides)?;
    }
    fs::write(new.join(format!("{WHOLE}.html")), whole(pages, rendered))?;
    fs::write(new.join(format!("{INDEX}.html")), index(pages, rendered))?;

    if out.exists() {
        fs::rename(out, &old)?;
    }
    fs::rename(&new, out).inspect_err(|_| {
        // Where there was no earlier book, there is nothing to bring back.
        let _ = fs::rename(&old, out);
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::slice;

    use serde_json::json;

    use super::about::About;
    use super::outline::Outline;
    use super::page::TEXT_HERE;
    use super::*;
    use base::book::MARK;

    pub(super) fn pages() -> Vec<Page> {
        let page = |name: &str| Page {
            name: name.into(),
            executed: PathBuf::from(format!("{name}.ipynb")),
        };
        vec![page("01-why"), page("02-run")]
    }

    pub(super) fn abouts() -> Vec<About> {
        let why = About {
            title: "为什么 <Future> & 协程".into(),
            minutes: Some(30),
            original: Some("协程的优点".into()),
        };
        let run = About {
            title: "运行".into(),
            ..About::default()
        };
        vec![why, run]
    }

    pub(super) fn rendered(text: &str) -> Vec<Rendered> {
        let heading =
            r##"<h2 id="一">一<a aria-hidden="true" class="anchor-link" href="#一">#</a></h2>"##;
        let rendered = |about| Rendered {
            about,
            outline: Outline::of(heading),
            html: format!(
                "<head><meta {MARK}><title>题</title></head>{TEXT_HERE}{text}{TEXT_HERE}"
            ),
            slides: MARK.to_owned(),
        };
        abouts().into_iter().map(rendered).collect()
    }

    #[test]
    fn an_earlier_book_is_replaced_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("深 层/book");
        refuse_foreign_files(&out).unwrap();
        write_book(&pages(), &rendered("旧"), &out).unwrap();
        refuse_foreign_files(&out).unwrap();
        write_book(&pages()[..1], &rendered("新")[..1], &out).unwrap();
        assert!(
            fs::read_to_string(out.join("01-why.html"))
                .unwrap()
                .contains("新")
        );
        assert!(
            !out.join("02-run.html").exists(),
            "a page of the earlier book is left"
        );
        assert_eq!(
            fs::read_dir(out.parent().unwrap()).unwrap().count(),
            1,
            "staging is left"
        );

        fs::write(out.join("mine.html"), "我的文件").unwrap();
        let refusal = refuse_foreign_files(&out).unwrap_err().to_string();
        assert!(refusal.contains("mine.html") && refusal.contains("--out"));
    }

    #[test]
    fn a_notebook_cannot_take_the_place_of_a_page_of_the_books_own() {
        let page = Page {
            name: "print".into(),
            executed: PathBuf::new(),
        };
        let refusal = book(&[page], Path::new("false"), Path::new("x")).unwrap_err();
        assert!(refusal.to_string().contains("print.ipynb"));
    }

    #[test]
    fn a_failure_leaves_the_earlier_book_and_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("book");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("index.html"), MARK).unwrap();
        let executed = folder.path().join("01-why.ipynb");
        let notebook = json!({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
        fs::write(&executed, notebook.to_string()).unwrap();
        let page = Page {
            executed,
            ..pages().remove(0)
        };

        let no_python = book(
            slice::from_ref(&page),
            Path::new("/nonexistent/python"),
            &out,
        )
        .unwrap_err();
        assert!(no_python.to_string().contains("cargo run -- setup"));
        let failing = book(&[page], Path::new("false"), &out).unwrap_err();
        assert!(failing.to_string().contains("01-why"));
        assert_eq!(fs::read_to_string(out.join("index.html")).unwrap(), MARK);
    }
}
