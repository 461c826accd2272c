//! The pages: nbconvert turns cells into HTML, the template around them is ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::about::About;
use super::addresses::{loaded_from_outside, with_links_between_pages};
use super::outline::Outline;
use super::slides;
use super::{BOOK_TITLE, CREDIT, CSS, Page, SCRIPT};
use base::advice::spelled;
use base::ipynb::Notebook;
use base::process::last_lines;

/// The nbconvert template, file by file: the program must run without its sources at hand.
pub(super) const TEMPLATE: [(&str, &str); 3] = [
    ("conf.json", include_str!("../../assets/book/conf.json")),
    (
        "cells.html.j2",
        include_str!("../../assets/book/cells.html.j2"),
    ),
    (
        "index.html.j2",
        include_str!("../../assets/book/page.html.j2"),
    ),
];

/// What nbconvert makes of a folder with notebooks.
struct Kind {
    to: &'static str,
    template: &'static str,
    files: [(&'static str, &'static str); 3],
    /// The folder.
    inputs: &'static str,
}

const PAGES: Kind = Kind {
    to: "html",
    template: "lab-book",
    files: TEMPLATE,
    inputs: "pages",
};

const SLIDES: Kind = Kind {
    to: "slides",
    template: "lab-slides",
    files: slides::TEMPLATE,
    inputs: "slides",
};

/// Where the template leaves room for the outline, which is only known when the page is there.
const OUTLINE_HERE: &str = "<!-- lab: outline -->";

/// Stands before and after the text of a page, without what leads to others.
pub(super) const TEXT_HERE: &str = "<!-- lab: text -->";

/// A page as it is written, and its slides.
pub(super) struct Rendered {
    pub about: About,
    pub outline: Outline,
    pub html: String,
    pub slides: String,
}

/// Renders every page.
///
/// # Errors
/// See [`super::book`].
pub(super) fn render(pages: &[Page], python: &Path) -> Result<Vec<Rendered>> {
    let work = tempfile::tempdir().context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    let folder = |name: &str| -> Result<PathBuf> {
        let path = work.path().join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    };
    for kind in [PAGES, SLIDES] {
        let template = folder(&format!("templates/{}", kind.template))?;
        for (name, text) in kind.files {
            fs::write(template.join(name), text)?;
        }
    }
    let (inputs, decks) = (folder(PAGES.inputs)?, folder(SLIDES.inputs)?);
    let mut notebooks = Vec::new();
    for page in pages {
        let notebook = Notebook::load(&page.executed)?;
        notebooks.push((About::of(&notebook, &page.name), notebook));
    }
    let abouts: Vec<About> = notebooks.iter().map(|(about, _)| about.clone()).collect();
    for (position, (about, notebook)) in notebooks.iter_mut().enumerate() {
        let page = &pages[position];
        let file = format!("{}.ipynb", page.name);
        slides::save(notebook, page, about, &decks.join(&file))?;
        notebook
            .metadata_mut()
            .insert("lab_book".into(), metadata(pages, &abouts, position));
        notebook.save(&inputs.join(&file))?;
    }

    let html = folder("html")?;
    let said_of_pages = nbconvert(&PAGES, pages, python, work.path())?;
    let said_of_slides = nbconvert(&SLIDES, pages, python, work.path())?;
    let read = |page: &Page, file: String, said: &[u8]| {
        let Ok(text) = fs::read_to_string(html.join(file)) else {
            bail!("nbconvert 转换不了 {}：{}", page.name, last_lines(said));
        };
        if let Some(address) = loaded_from_outside(&text) {
            bail!(
                "{} 会从页面之外加载 {address}：请把图片拖进 Markdown 单元格作为附件，或由代码单元格输出",
                page.name
            );
        }
        Ok(text)
    };
    let rendered = pages.iter().zip(abouts).map(|(page, about)| {
        let text = read(page, format!("{}.html", page.name), &said_of_pages)?;
        let slides = read(page, slides::file(page), &said_of_slides)?;
        let outline = Outline::of(&text);
        let text = text.replacen(OUTLINE_HERE, &outline.html(), 1);
        Ok(Rendered {
            about,
            outline,
            html: with_links_between_pages(&text, pages),
            slides: slides::complete(&with_links_between_pages(&slides, pages)),
        })
    });
    rendered.collect()
}

/// What the template wants to know beyond the notebook itself.
fn metadata(pages: &[Page], abouts: &[About], position: usize) -> Value {
    let neighbour = |position: Option<usize>| {
        let (page, about) = pages.iter().zip(abouts).nth(position?)?;
        Some(json!({"href": format!("{}.html", page.name), "title": about.title}))
    };
    json!({
        "title": abouts[position].title,
        "book_title": BOOK_TITLE,
        "credit": CREDIT,
        "style": CSS,
        "script": SCRIPT,
        "outline_here": OUTLINE_HERE,
        "text_here": TEXT_HERE,
        "previous": neighbour(position.checked_sub(1)),
        "next": neighbour(Some(position + 1)),
    })
}

/// Runs nbconvert once for all notebooks, since starting it takes longer than a page does. Returns what
/// it says of them.
fn nbconvert(kind: &Kind, pages: &[Page], python: &Path, work: &Path) -> Result<Vec<u8>> {
    let setting = |name: &str, folder: &str| format!("--{name}={}", work.join(folder).display());
    let inputs = pages
        .iter()
        .map(|page| work.join(kind.inputs).join(format!("{}.ipynb", page.name)));
    let output = Command::new(python)
        .args([
            "-m",
            "nbconvert",
            "--to",
            kind.to,
            "--template",
            kind.template,
        ])
        .arg(setting(
            "TemplateExporter.extra_template_basedirs",
            "templates",
        ))
        .arg(setting("FilesWriter.build_directory", "html"))
        .arg("--TemplateExporter.exclude_output_prompt=True")
        .arg("--HTMLExporter.anchor_link_text=#")
        // Of a line that was redrawn with `\r`, the last state is shown.
        .arg("--CoalesceStreamsPreprocessor.enabled=True")
        .args(inputs)
        // No settings of the user's or the environment's may change the book, nor the locale. Jupyter
        // makes an empty folder for its settings then, and leaves it behind: here it goes with the rest.
        .env("JUPYTER_NO_CONFIG", "1")
        .env("TMPDIR", work)
        .env("PYTHONUTF8", "1")
        .output()
        .with_context(|| {
            format!(
                "启动不了 {}：请运行 `{}` 重新安装",
                python.display(),
                spelled("setup")
            )
        })?;
    Ok(output.stderr)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{abouts, pages};
    use super::*;
    use base::book::MARK;

    #[test]
    fn pages_know_their_neighbours() {
        let first = metadata(&pages(), &abouts(), 0);
        assert_eq!(first["previous"], Value::Null);
        assert_eq!(first["next"]["href"], "02-run.html");
        assert_eq!(first["next"]["title"], "运行");
        let last = metadata(&pages(), &abouts(), 1);
        assert_eq!(last["previous"]["href"], "01-why.html");
        assert_eq!(last["next"], Value::Null);
    }

    #[test]
    fn every_page_bears_the_mark() {
        assert!(TEMPLATE[2].1.contains(MARK));
    }
}
