//! What the book's search looks through: the text of each page, section by section, as it can be
//! read there. It stands in the first page, so that a search needs nothing but a browser, and is
//! looked through from beginning to end: the whole course is a few hundred kilobytes.

use html5gum::{StartTag, Token, Tokenizer};
use serde_json::json;

use super::Page;
use super::page::Rendered;

/// What no reader reads as text of the page.
const UNREAD: [&str; 6] = ["script", "style", "svg", "nav", "footer", "button"];
const UNREAD_CLASSES: [&str; 2] = ["anchor-link", "jp-InputPrompt"];
/// What stands within a line.
const INLINE: [&str; 8] = ["a", "b", "code", "em", "small", "span", "strong", "sup"];

/// A heading and what stands below it, up to the next one.
#[derive(Debug, Default, PartialEq)]
struct Section {
    /// Of the heading; empty for what stands above the first one.
    id: String,
    heading: String,
    text: String,
}

/// The sections of all pages as JSON that can stand in a `<script>`.
pub(super) fn sections(pages: &[Page], rendered: &[Rendered]) -> String {
    let mut all = Vec::new();
    for (page, rendered) in pages.iter().zip(rendered) {
        let title = &rendered.about.title;
        for Section { id, heading, text } in sections_of(&rendered.html) {
            all.push(json!({
                "address": format!("{}.html", page.name),
                "title": title,
                "id": id,
                "heading": heading,
                "text": text,
            }));
        }
    }
    // No element ends in there.
    json!(all).to_string().replace('<', "\\u003c")
}

/// The sections within the page's `<main>`.
fn sections_of(html: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut in_main = false;
    // The name of an element that is left out, and how many of them are open.
    let mut unread: Option<(Vec<u8>, usize)> = None;
    let mut in_heading = false;
    for token in Tokenizer::new(html).flatten() {
        match (&token, &mut unread) {
            (Token::StartTag(tag), Some((name, open))) if **tag.name == **name => *open += 1,
            (Token::EndTag(tag), Some((name, open))) if **tag.name == **name => {
                *open -= 1;
                if *open == 0 {
                    unread = None;
                }
            }
            (_, Some(_)) => {}
            (Token::StartTag(tag), None) if *tag.name == b"main" => {
                in_main = true;
                sections.push(Section::default());
            }
            (Token::EndTag(tag), None) if *tag.name == b"main" => in_main = false,
            _ if !in_main => {}
            (Token::StartTag(tag), None) if is_unread(tag) => {
                unread = (!tag.self_closing).then(|| (tag.name.to_vec(), 1));
            }
            (Token::StartTag(tag), None) => {
                let id = attribute(tag, "id");
                if matches!(&**tag.name, b"h2" | b"h3") && id.is_some() {
                    in_heading = true;
                    sections.push(Section {
                        id: id.unwrap_or_default(),
                        ..Section::default()
                    });
                }
                separate(&mut sections, &tag.name);
            }
            (Token::EndTag(tag), None) => {
                in_heading &= !matches!(&**tag.name, b"h2" | b"h3");
                separate(&mut sections, &tag.name);
            }
            (Token::String(text), None) => {
                if let Some(section) = sections.last_mut() {
                    let text = String::from_utf8_lossy(text);
                    match in_heading {
                        true => section.heading += &text,
                        false => section.text += &text,
                    }
                }
            }
            _ => {}
        }
    }
    for section in &mut sections {
        section.heading = on_one_line(&section.heading);
        section.text = on_one_line(&section.text);
    }
    sections
}

fn is_unread(tag: &StartTag<()>) -> bool {
    let class = attribute(tag, "class").unwrap_or_default();
    let mut classes = class.split_whitespace();
    UNREAD.iter().any(|name| name.as_bytes() == &**tag.name)
        || classes.any(|class| UNREAD_CLASSES.contains(&class))
}

fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    let value = tag.attributes.get(name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// What stands in two paragraphs are two words.
fn separate(sections: &mut [Section], tag: &[u8]) {
    let is_inline = INLINE.iter().any(|name| name.as_bytes() == tag);
    if let Some(section) = sections.last_mut().filter(|_| !is_inline) {
        section.text.push(' ');
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pages, rendered};
    use super::*;

    const PAGE: &str = r##"<header>栏</header><main><h1 id="题">题<a class="anchor-link" href="#题">#</a></h1>
        <p>开头的<code>话</code>。</p><style>p { color: red }</style>
        <h2 id="1　一">1　一 <code>.await</code><a class="anchor-link" href="#1　一">#</a></h2>
        <div class="jp-InputPrompt">[7]</div><pre><span>let</span> n = a &lt; b;
f();</pre><svg><text>图</text><svg></svg></svg><p>甲</p><p>乙</p>
        <h3 id="二">二</h3><h3>by a cell</h3><nav>下一篇</nav></main><p>脚</p>"##;

    #[test]
    fn the_text_of_a_page_is_known_section_by_section() {
        let section = |id: &str, heading: &str, text: &str| Section {
            id: id.into(),
            heading: heading.into(),
            text: text.into(),
        };
        let expected = [
            section("", "", "题 开头的话。"),
            section("1　一", "1 一 .await", "let n = a < b; f(); 甲 乙"),
            section("二", "二", "by a cell"),
        ];
        assert_eq!(sections_of(PAGE), expected);
    }

    #[test]
    fn the_sections_can_stand_in_a_script() {
        let json = sections(&pages(), &rendered("<main></script></main>&lt;/script&gt;"));
        assert!(!json.contains('<'), "{json}");
        assert!(json.contains("\"address\":\"01-why.html\""));
    }
}
