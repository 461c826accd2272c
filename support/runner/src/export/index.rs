//! The first page: which notebook mirrors what, and what is in it.

use super::page::Rendered;
use super::search::sections;
use super::slides;
use super::{BOOK_TITLE, CREDIT, CSS, Page, SCRIPT};

pub(super) const INDEX: &str = include_str!("../../assets/book/index.html");

/// The page `index.html`.
pub(super) fn index(pages: &[Page], rendered: &[Rendered]) -> String {
    let entries: String = pages
        .iter()
        .zip(rendered)
        .map(|(page, rendered)| entry(page, rendered))
        .collect();
    INDEX
        .replace("{book_title}", BOOK_TITLE)
        .replace("{css}", CSS)
        .replace("{js}", SCRIPT)
        .replace("{credit}", CREDIT)
        .replace("{extent}", &extent(rendered))
        .replace("{pages}", &entries)
        .replace("{sections}", &sections(pages, rendered))
}

/// How many notebooks there are, and how much time they take together.
fn extent(rendered: &[Rendered]) -> String {
    let minutes: u32 = rendered.iter().filter_map(|page| page.about.minutes).sum();
    let time = match minutes {
        0 => String::new(),
        1..90 => format!("，约 {minutes} 分钟"),
        _ => format!("，约 {} 小时", (minutes + 30) / 60),
    };
    format!("共 {} 篇{time}。", rendered.len())
}

fn entry(page: &Page, rendered: &Rendered) -> String {
    let about = &rendered.about;
    let original = about.original.as_deref().map(escaped).unwrap_or_default();
    let minutes = about
        .minutes
        .map(|minutes| format!("<small>{minutes} 分钟</small>"))
        .unwrap_or_default();
    let (name, title) = (escaped(&page.name), escaped(&about.title));
    let numbered = numbered(page, rendered);
    let slides = escaped(&slides::file(page));
    let sections = rendered.outline.sections(&name);
    format!(
        "<li>\n<p>{original}</p>\n<div>\n\
         <h2><a href=\"{name}.html\">{numbered}</a> {minutes}</h2>\n\
         <a class=\"book-slides\" href=\"{slides}\" aria-label=\"幻灯片：{title}\">幻灯片</a>\n\
         <ul>\n{sections}</ul>\n</div>\n</li>\n"
    )
}

/// The title, after the number that the course calls it by: that in the file's name.
pub(super) fn numbered(page: &Page, rendered: &Rendered) -> String {
    let number: String = page.name.chars().take_while(char::is_ascii_digit).collect();
    format!("<b>{number}</b> {}", escaped(&rendered.about.title))
}

/// A text as HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::addresses::loaded_from_outside;
    use super::super::tests::{pages, rendered};
    use super::*;
    use base::book::MARK;

    #[test]
    fn the_index_lists_the_pages_in_order_with_credit_and_licence() {
        let index = index(&pages(), &rendered(""));
        let first = index.find(r#"href="01-why.html""#).unwrap();
        assert!(first < index.find(r#"href="02-run.html""#).unwrap());
        for expected in [
            "为什么 &lt;Future&gt; &amp; 协程",
            "<small>30 分钟</small>",
            "<p>协程的优点</p>",
            "<b>02</b> 运行</a>",
            r#"<a href="01-why.html#一">一</a>"#,
            r#"href="01-why.slides.html""#,
            r#"<a href="print.html">"#,
            "共 2 篇，约 30 分钟。",
            "StdioA/fluent-python-notes",
            "Luciano Ramalho",
            "CC BY-SA 4.0",
        ] {
            assert!(index.contains(expected), "{expected} is missing: {index}");
        }
    }

    #[test]
    fn the_index_bears_the_mark_and_loads_nothing() {
        assert!(INDEX.contains(MARK));
        assert_eq!(loaded_from_outside(&index(&pages(), &rendered(""))), None);
        assert!(!CSS.contains("url(") && !CSS.contains("@import"));
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("fetch("));
    }
}
