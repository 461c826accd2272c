//! `lab export`: executed notebooks as a book of HTML pages that need nothing but a browser.
//!
//! nbconvert turns cells into HTML; the page around them is ours (`assets/nbconvert/lab-book`). A
//! page requests nothing from the network: no fonts, no scripts, no MathJax. Formulas therefore
//! stay as they were typed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::ipynb::Notebook;
use crate::process::last_lines;
use crate::project::Project;
use crate::run;
use crate::setup::setup_or_warn;

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

/// Stands in the head of every page, so that a later export knows the files it may replace.
const MARK: &str = r#"content="lab export" name="generator""#;

const CREDIT: &str = r#"改写自 <a href="https://github.com/StdioA/fluent-python-notes">StdioA/fluent-python-notes</a>，原笔记所读的书是 Luciano Ramalho 的《流畅的 Python》（<cite lang="en">Fluent Python</cite>）。本课程以 <a rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/deed.zh-hans">CC BY-SA 4.0</a> 许可发布。"#;

const INDEX: &str = include_str!("../assets/book-index.html");
const CSS: &str = include_str!("../assets/nbconvert/lab-book/book.css");

/// The nbconvert template, file by file: the program must run without its sources at hand.
const TEMPLATE: [(&str, &str); 3] = [
    (
        "conf.json",
        include_str!("../assets/nbconvert/lab-book/conf.json"),
    ),
    (
        "index.html.j2",
        include_str!("../assets/nbconvert/lab-book/index.html.j2"),
    ),
    ("book.css", CSS),
];

/// `lab export [NOTEBOOK…]`: executes the notebooks and renders them into `out`.
///
/// # Errors
/// When set-up fails, at the first cell that fails, and see [`book`].
pub async fn command(
    project: &Project,
    names: &[String],
    limit: Duration,
    out: &Path,
) -> Result<()> {
    let notebooks = project.select(names)?;
    run::check(&notebooks)?;
    refuse_foreign_files(&absolute(out)?)?;
    let environment = setup_or_warn(project, "照样执行").await?;
    let executed = run::run(&std::env::current_exe()?, &notebooks, limit).await?;
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
            title: notebook.title().unwrap_or_else(|| name.clone()),
            name,
            executed: saved,
        });
    }
    book(&pages, &environment.python(), out)?;
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
    let out = absolute(out)?;
    refuse_foreign_files(&out)?;
    let rendered = render(pages, jupyter_python)?;
    write_book(pages, &rendered, &out)
        .with_context(|| format!("写不了 {}：请检查磁盘空间和写权限", out.display()))
}

/// With links followed, as far as it exists: a book replaces what a link leads to, not the link.
fn absolute(out: &Path) -> Result<PathBuf> {
    fs::canonicalize(out)
        .or_else(|_| std::path::absolute(out))
        .context("导出文件夹的名字不能是空的：请用 --out 给出一个")
}

/// Refuses an `out` in which anything is not a page of an earlier export.
fn refuse_foreign_files(out: &Path) -> Result<()> {
    if !out.exists() {
        return Ok(());
    }
    let entries =
        fs::read_dir(out).with_context(|| format!("导出文件夹 {} 读不了", out.display()))?;
    for entry in entries {
        let path = entry?.path();
        let is_ours = path
            .extension()
            .is_some_and(|extension| extension == "html")
            && fs::read_to_string(&path).is_ok_and(|page| page.contains(MARK));
        ensure!(
            is_ours,
            "导出文件夹 {} 里有不是导出生成的文件 {}：请用 --out 换一个空文件夹，或先移走它",
            out.display(),
            path.file_name().unwrap_or_default().display()
        );
    }
    Ok(())
}

/// The HTML of every page.
fn render(pages: &[Page], python: &Path) -> Result<Vec<String>> {
    let work = tempfile::tempdir().context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
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
        notebook
            .metadata_mut()
            .insert("lab_book".into(), page_metadata(pages, position));
        notebook.save(&inputs.join(format!("{}.ipynb", page.name)))?;
    }

    let html = folder("html")?;
    let output = nbconvert(pages, python, work.path())?;
    pages
        .iter()
        .map(|page| {
            let Ok(text) = fs::read_to_string(html.join(format!("{}.html", page.name))) else {
                bail!("nbconvert 转换不了 {}：{}", page.name, last_lines(&output.stderr));
            };
            if let Some(address) = loaded_from_outside(&text) {
                bail!(
                    "{} 会从页面之外加载 {address}：请把图片拖进 Markdown 单元格作为附件，或由代码单元格输出",
                    page.name
                );
            }
            Ok(with_links_between_pages(&text, pages))
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
        "credit": CREDIT,
        "previous": neighbour(position.checked_sub(1).and_then(|before| pages.get(before))),
        "next": neighbour(pages.get(position + 1)),
    })
}

/// Runs nbconvert once for all pages, since starting it takes longer than a page does.
fn nbconvert(pages: &[Page], python: &Path, work: &Path) -> Result<Output> {
    let setting = |name: &str, folder: &str| format!("--{name}={}", work.join(folder).display());
    let inputs = pages
        .iter()
        .map(|page| work.join(format!("notebooks/{}.ipynb", page.name)));
    Command::new(python)
        .args(["-m", "nbconvert", "--to", "html", "--template", "lab-book"])
        .arg(setting(
            "TemplateExporter.extra_template_basedirs",
            "templates",
        ))
        .arg(setting("FilesWriter.build_directory", "html"))
        .arg("--TemplateExporter.exclude_output_prompt=True")
        // Of a line that was redrawn with `\r`, the last state is shown.
        .arg("--CoalesceStreamsPreprocessor.enabled=True")
        .args(inputs)
        // Neither the user's nbconvert settings nor the locale may change the book.
        .env("JUPYTER_CONFIG_DIR", work.join("config"))
        .env("PYTHONUTF8", "1")
        .output()
        .with_context(|| {
            format!(
                "启动不了 {}：请运行 `cargo run -- setup` 重新安装",
                python.display()
            )
        })
}

/// Turns the notebooks' links to each other into links between pages. Of one to a notebook that
/// is no page of this book, the text stays.
fn with_links_between_pages(html: &str, pages: &[Page]) -> String {
    const LINK: &str = "<a href=\"";
    let mut linked = String::new();
    let mut rest = html;
    while let Some((before, link)) = rest.split_once(LINK) {
        linked += before;
        let (replaced, length) = page_link(link, pages).unwrap_or((LINK.to_owned(), 0));
        linked += &replaced;
        rest = &link[length..];
    }
    linked + rest
}

/// What to put in the place of a link to a notebook, and how much of `link` it replaces, which
/// begins with the address. `None` for a link to anything else.
fn page_link(link: &str, pages: &[Page]) -> Option<(String, usize)> {
    let (address, after) = link.split_once('"')?;
    let (file, place) = address.split_at(address.find('#').unwrap_or(address.len()));
    let name = file.strip_suffix(".ipynb")?;
    if name.contains("://") {
        return None;
    }
    let name = name.strip_prefix("./").unwrap_or(name);
    if pages.iter().any(|page| page.name == name) {
        return Some((format!("<a href=\"{name}.html{place}"), address.len()));
    }
    let (_, text) = after.split_once('>')?;
    let (text, after) = text.split_once("</a>")?;
    Some((text.to_owned(), link.len() - after.len()))
}

/// The first address that a browser would fetch when it shows the page.
///
/// nbconvert escapes `<` in text, so that what follows one is a tag.
fn loaded_from_outside(html: &str) -> Option<&str> {
    html.match_indices('<')
        .find_map(|(start, _)| fetched_by(&html[start + 1..]))
}

/// The address that a browser would fetch for the tag with which `html` begins.
fn fetched_by(html: &str) -> Option<&str> {
    let (name, mut rest) = html.split_at(html.find(|c: char| !c.is_ascii_alphanumeric())?);
    let fetching: &[&str] = match name.to_ascii_lowercase().as_str() {
        "" => return None,
        "link" | "image" => &["href", "xlink:href"],
        "object" => &["data"],
        _ => &["src", "srcset", "poster"],
    };
    let between = |c: char| c.is_ascii_whitespace() || c == '/';
    loop {
        rest = rest.trim_start_matches(between);
        let end = rest.find(|c: char| between(c) || c == '=' || c == '>')?;
        let (attribute, after) = rest.split_at(end);
        let Some(value) = after.trim_ascii_start().strip_prefix('=') else {
            if end == 0 {
                return None;
            }
            rest = after;
            continue;
        };
        let value = value.trim_ascii_start();
        let (value, after) = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split_once(quote)?,
            _ => value.split_at(value.find(|c: char| c.is_ascii_whitespace() || c == '>')?),
        };
        let wanted = fetching
            .iter()
            .any(|name| attribute.eq_ignore_ascii_case(name));
        // What begins with `#` is a part of the page itself.
        if wanted && !value.is_empty() && !value.starts_with("data:") && !value.starts_with('#') {
            return Some(value);
        }
        rest = after;
    }
}

/// Writes the book beside `out` and puts it in place when it is complete.
fn write_book(pages: &[Page], rendered: &[String], out: &Path) -> Result<()> {
    let parent = out
        .parent()
        .context("根文件夹不能作为导出文件夹：请用 --out 换一个")?;
    fs::create_dir_all(parent)?;
    let staging = tempfile::Builder::new()
        .prefix(".lab-export-")
        .tempdir_in(parent)?;
    let (new, old) = (staging.path().join("new"), staging.path().join("old"));
    fs::create_dir(&new)?;
    for (page, html) in pages.iter().zip(rendered) {
        fs::write(new.join(format!("{}.html", page.name)), html)?;
    }
    fs::write(new.join("index.html"), index(pages))?;

    if out.exists() {
        fs::rename(out, &old)?;
    }
    fs::rename(&new, out).inspect_err(|_| {
        // Where there was no earlier book, there is nothing to bring back.
        let _ = fs::rename(&old, out);
    })?;
    Ok(())
}

fn index(pages: &[Page]) -> String {
    let entries: String = pages.iter().map(index_entry).collect();
    INDEX
        .replace("{book_title}", BOOK_TITLE)
        .replace("{css}", CSS)
        .replace("{credit}", CREDIT)
        .replace("{pages}", &entries)
}

fn index_entry(page: &Page) -> String {
    let number: String = page.name.chars().take_while(char::is_ascii_digit).collect();
    let (name, title) = (escaped(&page.name), escaped(&page.title));
    format!("<li><a href=\"{name}.html\"><b>{number}</b><span>{title}</span></a></li>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn pages() -> Vec<Page> {
        let page = |name: &str, title: &str| Page {
            name: name.into(),
            title: title.into(),
            executed: PathBuf::from(format!("{name}.ipynb")),
        };
        vec![
            page("01-why", "为什么 <Future> & 协程"),
            page("02-run", "运行"),
        ]
    }

    #[test]
    fn the_index_lists_the_pages_in_order_with_credit_and_licence() {
        let index = index(&pages());
        let first = index.find(r#"href="01-why.html""#).unwrap();
        assert!(first < index.find(r#"href="02-run.html""#).unwrap());
        assert!(index.contains("为什么 &lt;Future&gt; &amp; 协程"));
        for credit in [
            "StdioA/fluent-python-notes",
            "Luciano Ramalho",
            "CC BY-SA 4.0",
        ] {
            assert!(index.contains(credit), "{credit} is missing");
        }
    }

    #[test]
    fn every_page_bears_the_mark_and_loads_nothing() {
        assert!(INDEX.contains(MARK) && TEMPLATE[1].1.contains(MARK));
        assert_eq!(loaded_from_outside(&index(&pages())), None);
        assert!(!CSS.contains("url(") && !CSS.contains("@import"));
    }

    #[test]
    fn pages_know_their_neighbours() {
        let first = page_metadata(&pages(), 0);
        assert_eq!(first["previous"], Value::Null);
        assert_eq!(first["next"]["href"], "02-run.html");
        assert_eq!(
            page_metadata(&pages(), 1)["previous"]["href"],
            "01-why.html"
        );
    }

    #[test]
    fn notebooks_that_link_to_each_other_become_pages_that_do() {
        let linked = |html| with_links_between_pages(html, &pages());
        assert_eq!(
            linked(r##"<p><a href="02-run.ipynb#练习">下一篇</a> <a href="./01-why.ipynb">"##),
            r##"<p><a href="02-run.html#练习">下一篇</a> <a href="01-why.html">"##
        );
        for other in [
            r##"<a href="#练习">下</a> <a href="x.html">x</a>"##,
            r##"<a href="https://x/01-why.ipynb">x</a> <a href=""##,
        ] {
            assert_eq!(linked(other), other);
        }
    }

    #[test]
    fn of_a_link_to_a_notebook_that_is_not_exported_the_text_stays() {
        let html = r##"见 <a href="03-x.ipynb#a" title="t"><code>03</code></a>，<a href="01-why.ipynb">一</a>。"##;
        assert_eq!(
            with_links_between_pages(html, &pages()),
            r##"见 <code>03</code>，<a href="01-why.html">一</a>。"##
        );
    }

    #[test]
    fn what_a_browser_would_fetch_is_found() {
        let fetched = |html| loaded_from_outside(html);
        assert_eq!(
            fetched(r#"<img alt="a" src="https://x/y.png"/>"#),
            Some("https://x/y.png")
        );
        assert_eq!(
            fetched(r#"<link rel="stylesheet" href="a.css">"#),
            Some("a.css")
        );
        assert_eq!(fetched(r#"<p><script src="r.js"></script>"#), Some("r.js"));
        for html in [
            "<img src='x.png'>",
            "<img src=x.png>",
            "<IMG\nalt='>' hidden SRC = x.png />",
            "<link href=x.png rel=icon>",
            "<video poster=x.png></video>",
        ] {
            assert_eq!(fetched(html), Some("x.png"), "{html}");
        }
        for html in [
            r#"<img src="data:image/png;base64,AA">"#,
            "<img alt='src=x' src='data:,'/>",
            "<image href='#part'/>",
            "1 < 2 <3 </p> <!-- src=x --> <p <b = >",
        ] {
            assert_eq!(fetched(html), None, "{html}");
        }
        assert_eq!(
            fetched(r#"<a href="https://x/">x</a><code>&lt;img src="y"&gt;</code>"#),
            None
        );
    }

    #[test]
    fn an_earlier_book_is_replaced_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("深 层/book");
        let rendered = |text: &str| vec![format!("<meta {MARK}>{text}"); 2];
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
