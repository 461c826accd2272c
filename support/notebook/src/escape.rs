//! Text on its way into HTML and SVG, and out of it.

/// `text` with everything escaped that would mean something in HTML or XML, inside and outside
/// of a quoted attribute. Characters that XML cannot hold become their pictures (␀) or �.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            '\0'..='\x1f' => escaped.push(picture(c)),
            '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            // Would turn the text around it the other way.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// The picture of a control character: ␀ to ␟.
fn picture(control: char) -> char {
    char::from_u32(0x2400 + control as u32).unwrap_or('\u{fffd}')
}

/// What is left of `html` without its tags, roughly as a browser would show it: a fallback.
pub(crate) fn strip_tags(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    let small = html.to_ascii_lowercase(); // ASCII only, so that positions stay
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = ["style", "script", "!--"]
            .iter()
            .find(|name| {
                rest[1..]
                    .get(..name.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(name))
            })
            .map_or(">", |name| match *name {
                "style" => "</style>",
                "script" => "</script>",
                _ => "-->",
            });
        let Some(length) = small[html.len() - rest.len()..].find(end) else {
            break;
        };
        let tag = rest[1..]
            .trim_start_matches('/')
            .split(|c: char| !c.is_ascii_alphanumeric());
        if matches!(
            tag.into_iter().next(),
            Some("p" | "br" | "div" | "tr" | "li" | "table" | "ul" | "ol" | "h1" | "h2" | "h3")
        ) {
            text.push('\n');
        } else if rest.starts_with("</td") || rest.starts_with("</th>") {
            text.push(' ');
        }
        rest = &rest[length + end.len()..];
    }
    if !rest.starts_with('<') {
        text.push_str(rest);
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let text = entities
        .iter()
        .fold(text, |text, (entity, c)| text.replace(entity, c));
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_means_anything_in_html() {
        assert_eq!(
            escape("<b onclick=\"x('&')\">"),
            "&lt;b onclick=&quot;x(&#39;&amp;&#39;)&quot;&gt;"
        );
    }

    #[test]
    fn any_text_is_good_xml() {
        let all: String = (0..=0x2_ffff).filter_map(char::from_u32).collect();
        let xml = format!("<t a=\"{0}\">{0}</t>", escape(&all));
        assert!(roxmltree::Document::parse(&xml).is_ok());
    }

    #[test]
    fn html_without_its_tags_is_readable() {
        assert_eq!(
            strip_tags("<style>p{}</style><p>甲 &lt;乙&gt;</p><ul><li>一<li>二</ul><!-- 三 -->完"),
            "甲 <乙>\n一\n二\n完"
        );
        assert_eq!(strip_tags("1 < 2"), "1");
        assert_eq!(strip_tags("<b>粗"), "粗");
    }

    #[test]
    fn escaped_text_is_read_as_it_was_written() {
        properties::holds(&properties::text(30), |text| {
            let xml = format!("<t a=\"{0}\">{0}</t>", escape(&text));
            let page = roxmltree::Document::parse(&xml).expect("good XML");
            let root = page.root_element();
            let seen: String = text
                .chars()
                .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
                .map(|c| match c {
                    '\n' | '\t' => c,
                    '\0'..='\x1f' => picture(c),
                    '\x7f'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => '\u{fffd}',
                    c => c,
                })
                .collect();
            assert_eq!(root.text().unwrap_or_default(), seen);
            // Of an attribute XML makes its white space spaces.
            assert_eq!(
                root.attribute("a").unwrap(),
                seen.replace(['\n', '\t'], " ")
            );
            assert!(!escape(&text).contains(['<', '>', '"', '\'']));
        });
    }

    #[test]
    fn any_html_can_lose_its_tags() {
        use properties::proptest::prelude::*;
        let tag = prop::sample::select(
            &[
                "<",
                ">",
                "</",
                "<!--",
                "-->",
                "<style>",
                "</STYLE>",
                "<script",
                "</script>",
                "<p>",
                "</td>",
                "<br/>",
                "&lt;",
                "&amp;",
                "&",
                "<İ",
                "<é",
                "ſ",
            ][..],
        );
        let piece = prop_oneof![tag.prop_map(str::to_owned), properties::text(2)];
        let html = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
        properties::holds(&html, |html| {
            let text = strip_tags(&html);
            assert!(
                text.len() <= html.len() + html.matches('<').count(),
                "{text}"
            );
        });
        // What is a text stays one, but for space at the ends of its lines.
        properties::holds(&properties::text(20), |text| {
            let lines = escape(&text);
            let expected = lines
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\n");
            assert_eq!(escape(&strip_tags(&lines)), expected);
        });
    }
}
