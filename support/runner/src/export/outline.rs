//! The table of contents of a page, from its headings.

/// The headings below a page's title, in order.
pub(super) struct Outline(Vec<Heading>);

/// A heading of the second or third level.
struct Heading {
    level: u8,
    /// The value of its `id` attribute.
    id: String,
    /// What stands in it, as HTML, without links.
    text: String,
}

impl Outline {
    /// Of a page that nbconvert has made. What a cell's output calls a heading has no anchor, and
    /// is none here.
    pub fn of(html: &str) -> Outline {
        // nbconvert sorts attributes.
        const ANCHOR: &str = "<a aria-hidden=\"true\" class=\"anchor-link\"";
        let headings = html.split("<h").skip(1).filter_map(|heading| {
            let (tag, rest) = heading.split_once('>')?;
            let level = tag.chars().next()?.to_digit(10)? as u8;
            let id = tag.split_once("id=\"")?.1.split_once('"')?.0;
            let (heading, _) = rest.split_once(&format!("</h{level}>"))?;
            let (text, _) = heading.split_once(ANCHOR)?;
            matches!(level, 2 | 3).then(|| Heading {
                level,
                id: id.to_owned(),
                text: without_links(text),
            })
        });
        Outline(headings.collect())
    }

    /// The element for the page itself; nothing without headings.
    pub fn html(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let entry = |heading: &Heading| {
            let Heading { level, id, text } = heading;
            format!("<li class=\"level-{level}\"><a href=\"#{id}\">{text}</a></li>\n")
        };
        let entries: String = self.0.iter().map(entry).collect();
        format!(
            "<nav class=\"book-outline\" aria-label=\"本篇目录\">\n<details open>\n\
             <summary>本篇目录</summary>\n<ol>\n{entries}</ol>\n</details>\n</nav>"
        )
    }

    /// Entries for the index: links to the sections of the page `name`.
    pub fn sections(&self, name: &str) -> String {
        let sections = self.0.iter().filter(|heading| heading.level == 2);
        sections
            .map(|Heading { id, text, .. }| {
                format!("<li><a href=\"{name}.html#{id}\">{text}</a></li>\n")
            })
            .collect()
    }
}

/// Links cannot stand in links: of those in a heading, the text stays.
fn without_links(html: &str) -> String {
    let mut parts = html.split("<a ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text += part.split_once('>').map_or("", |(_, after)| after);
    }
    text.replace("</a>", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r##"<h1 id="题">题<a aria-hidden="true" class="anchor-link" href="#题">#</a></h1>
        <hr><header></header>
        <h2 id="1　一">1　一 <code>.await</code><a aria-hidden="true" class="anchor-link" href="#1　一">#</a></h2>
        <h3 id="二">见<a href="x.html">二</a>！<a aria-hidden="true" class="anchor-link" href="#二">#</a></h3>
        <h4 id="四">四<a aria-hidden="true" class="anchor-link" href="#四">#</a></h4>
        <h2 id="printed">by a cell</h2><h2>"##;

    #[test]
    fn the_sections_of_a_page_are_listed_with_their_parts() {
        let html = Outline::of(PAGE).html();
        assert!(html.contains(
            "<li class=\"level-2\"><a href=\"#1　一\">1　一 <code>.await</code></a></li>\n\
             <li class=\"level-3\"><a href=\"#二\">见二！</a></li>\n</ol>"
        ));
    }

    #[test]
    fn the_index_leads_to_sections() {
        assert_eq!(
            Outline::of(PAGE).sections("01-x"),
            "<li><a href=\"01-x.html#1　一\">1　一 <code>.await</code></a></li>\n"
        );
    }

    #[test]
    fn a_page_without_headings_has_no_outline() {
        assert_eq!(Outline::of("<p>文字</p>").html(), "");
    }
}
