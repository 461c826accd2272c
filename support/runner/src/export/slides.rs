//! Slides from a notebook as it was written for reading: no cell has to say that it is one.
//!
//! - A heading begins a slide; of what stands below it, each paragraph's first sentence is shown, and
//!   lists, tables and drawings. The whole text is the presenter's notes.
//! - Code stands on the slide of the text before it, as long as there is room. What it printed comes
//!   one step later.
//! - What a notebook depends on is no slide.

use std::fs;
use std::path::Path;

use anyhow::Result;
use base::ipynb::{CellKind, Notebook};
use serde_json::{Value, json};

use super::Page;
use super::about::About;

/// The nbconvert template, as for pages.
pub(super) const TEMPLATE: [(&str, &str); 3] = [
    ("conf.json", include_str!("../../assets/slides/conf.json")),
    (
        "cells.html.j2",
        include_str!("../../assets/book/cells.html.j2"),
    ),
    (
        "index.html.j2",
        include_str!("../../assets/slides/slides.html.j2"),
    ),
];

const REVEAL_CSS: &str = include_str!("../../assets/slides/reveal.css");
const REVEAL: &str = include_str!("../../assets/slides/reveal.js");
const CSS: &str = include_str!("../../assets/slides/slides.css");
const SCRIPT: &str = include_str!("../../assets/slides/slides.js");

/// Where the template leaves room for what is the same for all slides: nbconvert would take seconds
/// to look through it.
const STYLE_HERE: &str = "<!-- lab: style -->";
const SCRIPT_HERE: &str = "<!-- lab: script -->";

/// Lines of code that fit on a slide.
const ROOM: usize = 22;
/// Characters in a line of text, and how many lines of code take as much space.
const LINE: usize = 45;
const HEIGHT: usize = 2;

/// The file of a page's slides.
pub(super) fn file(page: &Page) -> String {
    format!("{}.slides.html", page.name)
}

/// Writes the slides as a notebook that nbconvert takes.
pub(super) fn save(notebook: &Notebook, page: &Page, about: &About, path: &Path) -> Result<()> {
    let mut slides = slides(notebook);
    if slides["cells"] == json!([]) {
        // nbconvert makes no slides of nothing.
        let title = format!("# {}", about.title);
        slides["cells"] = json!([text(0, "slide", &title, &Value::Null)]);
    }
    slides["metadata"]["lab_slides"] = json!({
        "title": about.title,
        "page": format!("{}.html", page.name),
        "style_here": STYLE_HERE,
        "script_here": SCRIPT_HERE,
    });
    Ok(fs::write(path, slides.to_string())?)
}

/// The slides that nbconvert has made, with what makes them move.
pub(super) fn complete(html: &str) -> String {
    let style = format!("<style>\n{REVEAL_CSS}\n{}{CSS}</style>", super::CSS);
    let script = format!(
        "<script>\n{}{REVEAL}\n{SCRIPT}</script>",
        super::PAGE_SCRIPT
    );
    html.replacen(STYLE_HERE, &style, 1)
        .replacen(SCRIPT_HERE, &script, 1)
}

/// The same notebook in other cells: those of a slide begin with one that nbconvert knows as such.
fn slides(notebook: &Notebook) -> Value {
    let mut root: Value = serde_json::from_str(&notebook.to_json()).expect("a notebook is JSON");
    let originals = root["cells"].take();
    let mut slides = Vec::new();
    // Lines that still fit on the slide.
    let mut room = 0;
    for cell in notebook.cells() {
        let original = &originals[cell.index];
        match cell.kind {
            CellKind::Markdown => {
                for part in parts(&cell.source) {
                    let (shown, whole) = (part.shown(), part.0.join("\n\n"));
                    let kind = match part.begins_section() {
                        true => "slide",
                        false => "subslide",
                    };
                    slides.push(text(slides.len(), kind, &shown, original));
                    if shown != whole {
                        slides.push(text(slides.len(), "notes", &whole, original));
                    }
                    room = ROOM.saturating_sub(lines(&shown));
                }
            }
            CellKind::Code if cell.commands_and_code().0.is_empty() => {
                let length = cell.source.lines().count();
                let mut code = original.clone();
                if length > room {
                    code["metadata"]["slideshow"] = json!({"slide_type": "subslide"});
                }
                slides.push(code);
                room = 0;
            }
            CellKind::Code | CellKind::Raw => {}
        }
    }
    root["cells"] = Value::Array(slides);
    root
}

fn text(number: usize, kind: &str, source: &str, original: &Value) -> Value {
    let mut cell = json!({
        "cell_type": "markdown",
        "id": format!("slide-{number}"),
        "metadata": {"slideshow": {"slide_type": kind}},
        "source": source,
    });
    if let Some(pictures) = original.get("attachments") {
        cell["attachments"] = pictures.clone();
    }
    cell
}

/// How many lines of code a text takes the place of, about.
fn lines(text: &str) -> usize {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let height = |line: &str| HEIGHT * line.chars().count().div_ceil(LINE);
    lines.map(height).sum()
}

/// Of a cell's text, a heading and what stands below it, or what stands above the first one:
/// paragraphs, lists and so on, in order.
struct Part<'a>(Vec<&'a str>);

impl Part<'_> {
    fn begins_section(&self) -> bool {
        let level = self.0.first().and_then(|block| heading(block));
        level.is_some_and(|level| level <= 2)
    }

    /// What the audience sees of it.
    fn shown(&self) -> String {
        let shown = self.0.iter().map(|block| match is_paragraph(block) {
            true => first_sentence(block),
            false => block,
        });
        shown.collect::<Vec<_>>().join("\n\n")
    }
}

/// The parts of a cell's text.
fn parts(source: &str) -> Vec<Part<'_>> {
    let mut parts: Vec<Part> = Vec::new();
    for block in blocks(source) {
        match parts.last_mut() {
            Some(part) if heading(block).is_none() => part.0.push(block),
            _ => parts.push(Part(vec![block])),
        }
    }
    parts
}

/// What blank lines or headings separate, outside of code and of what is folded.
fn blocks(source: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let (mut start, mut at, mut fenced, mut folded) = (0, 0, false, 0);
    let mut end = |start: usize, end: usize| {
        let block = source[start..end].trim_matches('\n');
        if !block.trim().is_empty() {
            blocks.push(block);
        }
    };
    for line in source.split_inclusive('\n') {
        let after = at + line.len();
        fenced ^= line.trim_start().starts_with("```");
        folded += line.matches("<details").count();
        folded = folded.saturating_sub(line.matches("</details").count());
        if !fenced && folded == 0 && line.trim().is_empty() {
            end(start, at);
            start = after;
        } else if !fenced && folded == 0 && heading(line).is_some() {
            end(start, at);
            end(at, after);
            start = after;
        }
        at = after;
    }
    end(start, at);
    blocks
}

/// The level of a heading that begins a slide.
fn heading(block: &str) -> Option<usize> {
    let level = block.bytes().take_while(|byte| *byte == b'#').count();
    ((1..=3).contains(&level) && block[level..].starts_with(' ')).then_some(level)
}

/// Whether it is a text in sentences: no heading, list, table, quotation, code, HTML or picture.
fn is_paragraph(block: &str) -> bool {
    let numbered = block.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_list = block.starts_with("- ")
        || block.starts_with("* ")
        || numbered.len() < block.len() && numbered.starts_with(". ");
    !is_list && !block.starts_with(['#', '|', '>', '<', '!', ' ']) && !block.starts_with("```")
}

/// The first sentence of a paragraph; all of it, if none ends outside of quotations, links and code.
fn first_sentence(paragraph: &str) -> &str {
    let (mut depth, mut in_code, mut stars) = (0, false, 0);
    for (at, c) in paragraph.char_indices() {
        match c {
            '`' => in_code = !in_code,
            _ if in_code => {}
            '*' => stars += 1,
            '（' | '(' | '[' | '“' | '《' => depth += 1,
            '）' | ')' | ']' | '”' | '》' => depth -= 1,
            '。' | '！' | '？' if depth <= 0 && stars % 4 == 0 => {
                return &paragraph[..at + c.len_utf8()];
            }
            _ => {}
        }
    }
    paragraph
}

#[cfg(test)]
mod tests {
    use super::super::addresses::loaded_from_outside;
    use super::*;
    use base::book::MARK;

    fn notebook(cells: Value) -> Notebook {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.ipynb");
        let text = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
        fs::write(&path, text.to_string()).unwrap();
        Notebook::load(&path).unwrap()
    }

    fn markdown(source: &str) -> Value {
        json!({"cell_type": "markdown", "id": "m", "metadata": {}, "source": source})
    }

    fn code(id: &str, source: &str) -> Value {
        json!({"cell_type": "code", "id": id, "metadata": {}, "execution_count": 1, "outputs": [],
            "source": source})
    }

    /// Each cell's kind and text.
    fn seen(cells: Value) -> Vec<(String, String)> {
        let slides = slides(&notebook(cells));
        let seen = slides["cells"].as_array().unwrap().iter().map(|cell| {
            let kind = cell["metadata"]["slideshow"]["slide_type"].as_str();
            let source = match &cell["source"] {
                Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
                source => source.as_str().unwrap().to_owned(),
            };
            (kind.unwrap_or("-").to_owned(), source)
        });
        seen.collect()
    }

    fn expected(cells: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = cells
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        owned.collect()
    }

    #[test]
    fn headings_begin_slides_and_long_text_becomes_notes() {
        let opening = "# 题\n\n一句。二句。\n\n- 甲\n- 乙\n## 1　一\n短。";
        let cells = json!([
            markdown(opening),
            code("dep", ":dep a = \"1\""),
            code("one", "1"),
            code("two", "2"),
            markdown("看：\n\n### 小\n\n“甲。乙。”丙（丁。）`戊。`**己。**庚。辛。"),
            code("three", "3"),
        ]);
        assert_eq!(
            seen(cells),
            expected(&[
                ("slide", "# 题\n\n一句。\n\n- 甲\n- 乙"),
                ("notes", "# 题\n\n一句。二句。\n\n- 甲\n- 乙"),
                ("slide", "## 1　一\n\n短。"),
                ("-", "1"),
                ("subslide", "2"),
                ("subslide", "看："),
                (
                    "subslide",
                    "### 小\n\n“甲。乙。”丙（丁。）`戊。`**己。**庚。"
                ),
                (
                    "notes",
                    "### 小\n\n“甲。乙。”丙（丁。）`戊。`**己。**庚。辛。"
                ),
                ("-", "3"),
            ])
        );
    }

    #[test]
    fn what_is_no_sentence_is_shown_whole() {
        let source = "| 甲。 | 乙 |\n|---|---|\n\n```rust\n# 一。二。\n\n三\n```\n\n<details>\n\n甲。乙。\n\n## 丙\n</details>\n\n1. 一。二。";
        assert_eq!(
            seen(json!([markdown(source)])),
            expected(&[("subslide", source)])
        );
    }

    #[test]
    fn code_without_room_is_a_slide_of_its_own() {
        let long = "x();\n".repeat(ROOM);
        let cells = json!([markdown("## 一"), code("a", &long)]);
        assert_eq!(seen(cells)[1].0, "subslide");
    }

    #[test]
    fn slides_bear_the_mark_and_load_nothing() {
        assert!(TEMPLATE[2].1.contains(MARK));
        for script in [REVEAL, SCRIPT] {
            assert!(!script.contains("</script") && !script.contains("fetch("));
        }
        for css in [REVEAL_CSS, CSS] {
            assert_eq!(
                css.matches("url(").count(),
                css.matches("url(data:").count()
            );
            assert!(!css.contains("@import") && !css.contains("</"));
        }
        let html = format!("{STYLE_HERE}<img src=\"data:,\">{SCRIPT_HERE}");
        assert_eq!(loaded_from_outside(&html), None);
        let complete = complete(&html);
        assert!(complete.contains("Reveal.initialize({") && complete.contains(".slides-bar"));
    }
}
