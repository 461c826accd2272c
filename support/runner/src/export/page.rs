//! The pages: nbconvert turns cells into HTML, the template around them is ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::about::About;
use super::addresses::{loaded_from_outside, with_links_between_pages};
use super::outline::Outline;
use super::{BOOK_TITLE, CREDIT, CSS, Page, SCRIPT};
use base::ipynb::Notebook;
use base::process::last_lines;

/// The nbconvert template, file by file: the program must run without its sources at hand.
pub(super) const TEMPLATE: [(&str, &str); 2] = [
    ("conf.json", include_str!("../../assets/book/conf.json")),
    (
        "index.html.j2",
        include_str!("../../assets/book/page.html.j2"),
    ),
];

/// Where the template leaves room for the outline, which is only known when the page is there.
const OUTLINE_HERE: &str = "<!-- lab: outline -->";

/// A page as it is written.
pub(super) struct Rendered {
    pub about: About,
    pub outline: Outline,
    pub html: String,
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
    let template = folder("templates/lab-book")?;
    for (name, text) in TEMPLATE {
        fs::write(template.join(name), text)?;
    }
    let inputs = folder("notebooks")?;
    let mut notebooks = Vec::new();
    for page in pages {
        let notebook = Notebook::load(&page.executed)?;
        notebooks.push((About::of(&notebook, &page.name), notebook));
    }
    let abouts: Vec<About> = notebooks.iter().map(|(about, _)| about.clone()).collect();
    for (position, (_, notebook)) in notebooks.iter_mut().enumerate() {
        notebook
            .metadata_mut()
            .insert("lab_book".into(), metadata(pages, &abouts, position));
        notebook.save(&inputs.join(format!("{}.ipynb", pages[position].name)))?;
    }

    let html = folder("html")?;
    let output = nbconvert(pages, python, work.path())?;
    let rendered = pages.iter().zip(abouts).map(|(page, about)| {
        let Ok(text) = fs::read_to_string(html.join(format!("{}.html", page.name))) else {
            bail!(
                "nbconvert 转换不了 {}：{}",
                page.name,
                last_lines(&output.stderr)
            );
        };
        if let Some(address) = loaded_from_outside(&text) {
            bail!(
                "{} 会从页面之外加载 {address}：请把图片拖进 Markdown 单元格作为附件，或由代码单元格输出",
                page.name
            );
        }
        let outline = Outline::of(&text);
        let text = text.replacen(OUTLINE_HERE, &outline.html(), 1);
        Ok(Rendered {
            about,
            outline,
            html: with_links_between_pages(&text, pages),
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
        "previous": neighbour(position.checked_sub(1)),
        "next": neighbour(Some(position + 1)),
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
        .arg("--HTMLExporter.anchor_link_text=#")
        // Of a line that was redrawn with `\r`, the last state is shown.
        .arg("--CoalesceStreamsPreprocessor.enabled=True")
        .args(inputs)
        // No settings of the user's or the environment's may change the book, nor the locale.
        .env("JUPYTER_CONFIG_DIR", work.join("config"))
        .env("JUPYTER_NO_CONFIG", "1")
        .env("PYTHONUTF8", "1")
        .output()
        .with_context(|| {
            format!(
                "启动不了 {}：请运行 `cargo run -- setup` 重新安装",
                python.display()
            )
        })
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
        assert!(TEMPLATE[1].1.contains(MARK));
    }
}
