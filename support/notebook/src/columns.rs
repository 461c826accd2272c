//! Text measured in columns of a terminal: a Chinese character takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// `text` on one line and in at most `columns`; an ellipsis stands for what is left out.
pub(crate) fn clip(text: &str, columns: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if width(&text) <= columns {
        return text;
    }
    let mut clipped = String::new();
    let mut used = 1; // the ellipsis
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns {
            break;
        }
        clipped.push(c);
    }
    clipped.push('…');
    clipped
}

/// `text` followed by the spaces that make it `columns` wide.
pub(crate) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `text` after the spaces that make it `columns` wide.
pub(crate) fn pad_left(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(width(text))))
}

/// `text` in lines of at most `columns`. Chinese may break anywhere but before punctuation,
/// other text where there is a space.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for piece in pieces(text) {
        let wide = width(piece);
        if used + wide > columns && used > 0 {
            lines.push(String::new());
            used = 0;
        }
        let piece = if used == 0 { piece.trim_start() } else { piece };
        if let Some(line) = lines.last_mut() {
            line.push_str(piece);
            used += width(piece);
        }
    }
    lines
}

/// The parts of `text` between which a line may break.
fn pieces(text: &str) -> Vec<&str> {
    const NEVER_FIRST: &str = "，。；：、！？）》」』”’…";
    const NEVER_LAST: &str = "（《「『“‘";
    let wide = |c: char| c.width().unwrap_or(0) > 1 || NEVER_LAST.contains(c);
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut before = None;
    for (at, c) in text.char_indices() {
        let may_break = before.is_some_and(|before: char| {
            (c == ' ' || wide(c) || wide(before))
                && !NEVER_FIRST.contains(c)
                && !NEVER_LAST.contains(before)
        });
        if may_break {
            pieces.push(&text[start..at]);
            start = at;
        }
        before = Some(c);
    }
    pieces.push(&text[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chinese_characters_take_two_columns() {
        assert_eq!(clip("中华人民共和国", 14), "中华人民共和国");
        assert_eq!(clip("中华人民共和国", 13), "中华人民共和…");
        assert_eq!(clip("两行\n一行", 20), "两行 一行");
        assert_eq!(pad("中", 4), "中  ");
        assert_eq!(pad_left("中", 4), "  中");
    }

    #[test]
    fn lines_break_between_chinese_characters_and_at_spaces() {
        assert_eq!(
            wrap("线程阻塞了 512 ms，完", 11),
            ["线程阻塞了", "512 ms，完"]
        );
        assert_eq!(wrap("中文，中文", 4), ["中", "文，", "中文"]);
        assert_eq!(wrap("unbreakable", 4), ["unbreakable"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
