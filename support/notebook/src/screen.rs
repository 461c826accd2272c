//! A terminal in memory, on which indicatif draws, and its contents as text and as HTML.

use console::AnsiCodeIterator;
use unicode_width::UnicodeWidthChar;

use crate::ansi::Style;
use crate::escape::escape;

/// Lines kept; bars may print any number of lines above themselves.
const MAX_LINES: usize = 500;

/// Lines of text, and a cursor.
#[derive(Debug)]
pub(crate) struct Screen {
    width: usize,
    lines: Vec<Vec<Glyph>>,
    line: usize,
    column: usize,
    style: Style,
}

/// One column of a line.
#[derive(Clone, Debug)]
struct Glyph {
    /// A character with what combines with it; nothing in the second column of a wide one.
    text: String,
    style: Style,
}

impl Glyph {
    fn blank() -> Glyph {
        Glyph {
            text: " ".into(),
            style: Style::default(),
        }
    }

    fn is_blank(&self) -> bool {
        self.text == " " && self.style == Style::default()
    }
}

impl Screen {
    pub(crate) fn new(width: u16) -> Screen {
        Screen {
            width: width.into(),
            lines: vec![Vec::new()],
            line: 0,
            column: 0,
            style: Style::default(),
        }
    }

    pub(crate) fn up(&mut self, n: usize) {
        self.line = self.line.saturating_sub(n);
    }

    pub(crate) fn down(&mut self, n: usize) {
        for _ in 0..n {
            self.next_line();
        }
    }

    pub(crate) fn right(&mut self, n: usize) {
        self.column = (self.column + n).min(self.width - 1);
    }

    pub(crate) fn left(&mut self, n: usize) {
        self.column = self.column.saturating_sub(n);
    }

    /// Empties the cursor's line.
    pub(crate) fn clear_line(&mut self) {
        self.lines[self.line].clear();
        self.column = 0;
    }

    /// Writes at the cursor. A line that is full goes on in the next one as soon as there is one
    /// more character, as in a terminal: indicatif counts on it.
    pub(crate) fn write(&mut self, text: &str) {
        for (part, is_code) in AnsiCodeIterator::new(text) {
            if is_code {
                self.style = self.style.after(part);
                continue;
            }
            for c in part.chars() {
                match c {
                    '\r' => self.column = 0,
                    '\n' => {
                        self.column = 0;
                        self.next_line();
                    }
                    c => self.put(c),
                }
            }
        }
    }

    fn put(&mut self, c: char) {
        let Some(wide) = c.width() else {
            return; // a control character
        };
        if wide == 0 {
            if let Some(cell) = self.lines[self.line][..self.column]
                .iter_mut()
                .rfind(|cell| !cell.text.is_empty())
            {
                cell.text.push(c);
            }
            return;
        }
        if self.column + wide > self.width {
            self.column = 0;
            self.next_line();
        }
        let line = &mut self.lines[self.line];
        let end = self.column + wide;
        if line.len() < end {
            line.resize_with(end, Glyph::blank);
        }
        // Of a wide character that is overwritten in part, a blank remains.
        let split =
            |line: &[Glyph], at: usize| line.get(at).is_some_and(|cell| cell.text.is_empty());
        if split(line, self.column) {
            line[self.column - 1] = Glyph::blank();
        }
        if split(line, end) {
            line[end] = Glyph::blank();
        }
        for cell in &mut line[self.column..end] {
            *cell = Glyph {
                text: String::new(),
                style: self.style,
            };
        }
        line[self.column].text.push(c);
        self.column = end;
    }

    fn next_line(&mut self) {
        self.line += 1;
        if self.line == self.lines.len() {
            self.lines.push(Vec::new());
        }
        if self.lines.len() > MAX_LINES {
            self.lines.remove(0);
            self.line -= 1;
        }
    }

    /// The lines up to the last one that is not blank, without blanks at their ends.
    fn trimmed(&self) -> impl Iterator<Item = &[Glyph]> {
        let trim = |line: &Vec<Glyph>| {
            line.iter()
                .rposition(|cell| !cell.is_blank())
                .map_or(0, |last| last + 1)
        };
        let count = self
            .lines
            .iter()
            .rposition(|line| trim(line) > 0)
            .map_or(0, |last| last + 1);
        self.lines[..count]
            .iter()
            .map(move |line| &line[..trim(line)])
    }

    /// The contents without colours.
    pub(crate) fn text(&self) -> String {
        let line = |line: &[Glyph]| -> String { line.iter().map(|cell| &*cell.text).collect() };
        self.trimmed().map(line).collect::<Vec<_>>().join("\n")
    }

    /// The contents as a `<pre>`; nothing when there are none.
    pub(crate) fn html(&self) -> String {
        let lines: Vec<String> = self.trimmed().map(line_html).collect();
        if lines.is_empty() {
            return String::new();
        }
        format!(
            "<pre style=\"margin:.2em 0;padding:0;border:none;background:none;overflow-x:auto;\
             line-height:1.5;white-space:pre;font-family:var(--jp-code-font-family,monospace);\
             font-size:var(--jp-code-font-size,.875em);\
             color:var(--jp-content-font-color1,currentColor)\">{}</pre>",
            lines.join("\n")
        )
    }
}

/// A line, with an element for each stretch of one style.
///
/// The columns end here: the browser spaces the characters as in any text. Most fonts have Chinese
/// characters a little narrower than two columns, so stretching them to their columns would tear
/// words apart.
fn line_html(line: &[Glyph]) -> String {
    line.chunk_by(|left, right| left.style == right.style)
        .map(|stretch| {
            let text: String = stretch.iter().map(|cell| &*cell.text).collect();
            match stretch[0].style.css() {
                css if css.is_empty() => escape(&text),
                css => format!("<span style=\"{css}\">{}</span>", escape(&text)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(width: u16, draw: impl FnOnce(&mut Screen)) -> Screen {
        let mut screen = Screen::new(width);
        draw(&mut screen);
        screen
    }

    #[test]
    fn a_full_line_goes_on_in_the_next_only_with_the_next_character() {
        let screen = screen(4, |screen| {
            screen.write("abcd");
            screen.write("\rABCDe");
        });
        assert_eq!(screen.text(), "ABCD\ne");
    }

    #[test]
    fn a_wide_character_is_not_split() {
        assert_eq!(screen(3, |screen| screen.write("ab中")).text(), "ab\n中");
    }

    #[test]
    fn the_cursor_moves_within_what_is_there() {
        let screen = screen(9, |screen| {
            screen.write("one\ntwo\nthree");
            screen.up(9);
            screen.clear_line();
            screen.write("1");
            screen.down(1);
            screen.left(9);
            screen.right(1);
            screen.write("W");
        });
        assert_eq!(screen.text(), "1\ntWo\nthree");
    }

    #[test]
    fn old_lines_are_dropped() {
        let screen = screen(9, |screen| {
            for n in 0..2 * MAX_LINES {
                screen.write(&format!("{n}\n"));
            }
        });
        assert_eq!(screen.lines.len(), MAX_LINES);
        assert!(screen.text().ends_with("\n999"));
    }

    /// What is read, and copied, from a page with `html`.
    fn read(html: &str) -> String {
        let page = roxmltree::Document::parse(html).unwrap();
        let texts = page.descendants().filter(|node| node.is_text());
        texts.filter_map(|node| node.text()).collect()
    }

    #[test]
    fn html_keeps_colours_and_escapes_the_rest() {
        let screen = screen(20, |screen| {
            screen.write("<\x1b[32m██\x1b[0m\x1b[2m░\x1b[0m> 国旗 e\u{301}   ")
        });
        let html = screen.html();
        assert_eq!(read(&html), "<██░> 国旗 e\u{301}");
        let line = "&lt;<span style=\"color:#1d9a51;\">██</span>\
                    <span style=\"opacity:.75;\">░</span>&gt; 国旗 e\u{301}</pre>";
        assert!(html.ends_with(line), "{html}");
    }

    /// Text of every kind of width.
    const TEXTS: [&str; 14] = [
        "下载 100% 用时 2.0 s，1.50/s 完成",
        "答案 是 42",
        "（全角）「标点」：ＡＢＣ　１２３！",
        "한국어 ひらがな カタカナ ﾊﾝｶｸ",
        "\u{1112}\u{1161}\u{11ab} 字母拼成的 한",
        "🎉 完成 🚀🚀",
        "🇨🇳🇮🇳 国旗",
        "👨\u{200d}👩\u{200d}👧\u{200d}👦 家庭 👩🏽\u{200d}💻",
        "👍🏽 1\u{fe0f}\u{20e3} ☺\u{fe0f} ⌚\u{fe0e} ❤\u{fe0f}",
        "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        "e\u{301}\u{323} 中\u{301} a\u{200b}b",
        "العربية لا",
        "नमस्ते क्षि",
        "⠋ ██▉░ ─│┌ …—“”",
    ];

    #[test]
    fn text_of_every_width_is_shown_as_it_was_written() {
        for text in TEXTS {
            let screen = screen(96, |screen| screen.write(text));
            assert_eq!(screen.text(), text);
            let html = screen.html();
            assert!(html.ends_with(&format!("\">{text}</pre>")), "{html}");
        }
    }

    #[test]
    fn a_change_of_colour_between_any_two_characters_changes_no_text() {
        for text in TEXTS {
            for (at, _) in text.char_indices() {
                let (left, right) = text.split_at(at);
                let screen = screen(96, |screen| {
                    screen.write(&format!("\x1b[34m{left}\x1b[0m\x1b[1m{right}\x1b[0m"));
                });
                assert_eq!(screen.text(), text);
                assert_eq!(read(&screen.html()), text);
            }
        }
    }

    #[test]
    fn a_wide_character_overwritten_in_part_leaves_a_blank() {
        for (column, by, remains) in [
            (0, "a", "a 文3"),
            (1, "a", " a文3"),
            (1, "国", " 国 3"),
            (0, "国", "国文3"),
            (3, "ab", "中 ab"),
        ] {
            let screen = screen(9, |screen| {
                screen.write("中文3\r");
                screen.right(column);
                screen.write(by);
            });
            assert_eq!(screen.text(), remains, "{by} at {column}");
        }
    }

    #[test]
    fn an_empty_screen_is_nothing() {
        let screen = screen(20, |screen| screen.write("   \n  "));
        assert_eq!(
            (screen.text(), screen.html()),
            (String::new(), String::new())
        );
    }
}
