//! The addresses in a page: links from notebook to notebook become links from page to page, and
//! nothing is fetched from outside of the page.

use super::Page;

/// Turns the notebooks' links to each other into links between pages. Of one to a notebook that
/// is no page of this book, the text stays.
pub(super) fn with_links_between_pages(html: &str, pages: &[Page]) -> String {
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
pub(super) fn loaded_from_outside(html: &str) -> Option<&str> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::pages;
    use super::*;

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
}
