//! The whole course as one page, for who prints it or reads it from beginning to end.

use super::index::numbered;
use super::page::{Rendered, TEXT_HERE};
use super::{BOOK_TITLE, CREDIT, Page};

const BODY: &str = include_str!("../../assets/book/whole.html");

/// Attributes whose value is the name of an element, or begins a reference to one.
const NAMES: [&str; 7] = [
    " id=\"",
    " for=\"",
    " aria-labelledby=\"",
    " aria-describedby=\"",
    " href=\"#",
    " xlink:href=\"#",
    "url(#",
];

/// The page `print.html`: the texts of all pages, below the head of the first one, which is that of
/// any other.
pub(super) fn whole(pages: &[Page], rendered: &[Rendered]) -> String {
    let (mut contents, mut chapters) = (String::new(), String::new());
    for (page, rendered) in pages.iter().zip(rendered) {
        let sections = rendered.outline.sections(&page.name);
        contents += &within(
            &format!(
                "<li><a href=\"{}.html\">{}</a>\n<ul>\n{sections}</ul></li>\n",
                page.name,
                numbered(page, rendered)
            ),
            page,
            pages,
        );
        let text = rendered.html.split(TEXT_HERE).nth(1).unwrap_or_default();
        chapters += &format!(
            "<article class=\"book-chapter\" id=\"{}\">\n{}</article>\n",
            page.name,
            within(text, page, pages)
        );
    }
    let body = BODY
        .replace("{book_title}", BOOK_TITLE)
        .replace("{credit}", CREDIT)
        .replace("{contents}", &contents)
        .replace("{chapters}", &chapters);
    let first = rendered.first().map_or("", |first| &first.html);
    let (head, _) = first.split_once("</head>").unwrap_or_default();
    let (before, title) = head.split_once("<title>").unwrap_or_default();
    let (_, after) = title.split_once("</title>").unwrap_or_default();
    format!("{before}<title>{BOOK_TITLE}</title>{after}</head>\n{body}")
}

/// The text of a page as a part of the whole: what has a name in it keeps that within its page.
///
/// nbconvert escapes `<` and `>` in text and in attributes.
fn within(html: &str, page: &Page, pages: &[Page]) -> String {
    let pieces = html.split_inclusive('>').map(|piece| {
        let (text, tag) = piece.split_at(piece.rfind('<').unwrap_or(piece.len()));
        let mut tag = tag.to_owned();
        for name in NAMES {
            tag = tag.replace(name, &format!("{name}{}--", page.name));
        }
        for other in pages.iter().map(|page| &page.name) {
            tag = tag
                .replace(
                    &format!(" href=\"{other}.html#"),
                    &format!(" href=\"#{other}--"),
                )
                .replace(
                    &format!(" href=\"{other}.html\""),
                    &format!(" href=\"#{other}\""),
                );
        }
        format!("{text}{tag}")
    });
    pieces.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pages, rendered};
    use super::*;
    use base::book::MARK;

    #[test]
    fn names_and_links_stay_within_the_whole() {
        let html = r##"<h2 id="一">id="一" href="#一"<a href="#一">#</a></h2> <a href="02-run.html#二">
            <a href="02-run.html">二</a> <a href="https://x/02-run.html#二"><rect fill="url(#g)"/>"##;
        assert_eq!(
            within(html, &pages()[0], &pages()),
            r##"<h2 id="01-why--一">id="一" href="#一"<a href="#01-why--一">#</a></h2> <a href="#02-run--二">
            <a href="#02-run">二</a> <a href="https://x/02-run.html#二"><rect fill="url(#01-why--g)"/>"##
        );
    }

    #[test]
    fn all_pages_stand_on_one_in_order_below_a_list_of_them() {
        let whole = whole(&pages(), &rendered("<p>正文</p>"));
        let parts = [
            MARK,
            BOOK_TITLE,
            "</head>",
            "<li><a href=\"#01-why\">",
            "<li><a href=\"#01-why--一\">",
            "<a href=\"#02-run\"><b>02</b> 运行</a>",
            "id=\"01-why\">\n<p>正文</p></article>",
            "id=\"02-run\">\n<p>正文</p></article>",
            "</html>",
        ];
        let mut rest = &*whole;
        for part in parts {
            let (_, after) = rest.split_once(part).expect(part);
            rest = after;
        }
    }
}
