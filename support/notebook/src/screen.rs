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
    lines: Vec<Vec<Cell>>,
    line: usize,
    column: usize,
    style: Style,
}

/// One column of a line.
#[derive(Clone, Debug)]
struct Cell {
    /// A character with what combines with it; nothing in the second column of a wide one.
    text: String,
    style: Style,
}

impl Cell {
    fn blank() -> Cell {
        Cell {
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
            line.resize_with(end, Cell::blank);
        }
        for cell in &mut line[self.column..end] {
            *cell = Cell {
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
    fn trimmed(&self) -> impl Iterator<Item = &[Cell]> {
        let trim = |line: &Vec<Cell>| {
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
        let line = |line: &[Cell]| -> String { line.iter().map(|cell| &*cell.text).collect() };
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
/// Chinese characters are not exactly two columns wide in most fonts, so stretches of them are
/// given their width, or bars in several lines would not line up.
fn line_html(line: &[Cell]) -> String {
    let mut html = String::new();
    let kind = |at: usize| {
        let second = line[at].text.is_empty();
        let wide = second || line.get(at + 1).is_some_and(|next| next.text.is_empty());
        (line[at].style, wide)
    };
    let mut start = 0;
    while start < line.len() {
        let (style, wide) = kind(start);
        let mut end = start + 1;
        while end < line.len() && kind(end) == (style, wide) {
            end += 1;
        }
        let text: String = line[start..end].iter().map(|cell| &*cell.text).collect();
        let mut css = style.css();
        if wide {
            css += &format!(
                "display:inline-block;width:{}ch;text-align-last:justify;",
                end - start
            );
        }
        if css.is_empty() {
            html += &escape(&text);
        } else {
            html += &format!("<span style=\"{css}\">{}</span>", escape(&text));
        }
        start = end;
    }
    html
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

    #[test]
    fn html_keeps_colours_and_columns_and_escapes_the_rest() {
        let screen = screen(20, |screen| {
            screen.write("<\x1b[32m██\x1b[0m\x1b[2m░\x1b[0m> 国旗 e\u{301}   ")
        });
        let html = screen.html();
        let page = roxmltree::Document::parse(&html).unwrap();
        let text: String = page
            .descendants()
            .filter(|node| node.is_text())
            .filter_map(|node| node.text())
            .collect();
        assert_eq!(text, "<██░> 国旗 e\u{301}");
        assert!(html.contains("<span style=\"color:#1d9a51;\">██</span>"));
        assert!(html.contains(
            "<span style=\"display:inline-block;width:4ch;text-align-last:justify;\">国旗</span>"
        ));
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
