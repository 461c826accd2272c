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
    for cluster in clusters(&text) {
        used += width(cluster);
        if used > columns {
            break;
        }
        clipped.push_str(cluster);
    }
    clipped.push('…');
    clipped
}

/// The parts of `text` that are seen as one character: a letter with its accents, a flag, a family
/// of emoji.
fn clusters(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut ends = rest.char_indices().map(|(at, c)| (at + c.len_utf8(), c));
        let (mut end, _) = ends.next()?;
        for (next, c) in ends {
            if !joins(&rest[..end], &rest[..next], c) {
                break;
            }
            end = next;
        }
        let (cluster, others) = rest.split_at(end);
        rest = others;
        Some(cluster)
    })
}

/// Whether `c` is seen as one with what is `before` it; `together` is both.
fn joins(before: &str, together: &str, c: char) -> bool {
    let is_half_a_flag = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c);
    let wide = c.width().unwrap_or(1);
    wide == 0
        || width(together) < width(before) + wide
        || is_half_a_flag(c) && before.chars().map(is_half_a_flag).eq([true])
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
    let wide = |cluster: &str| width(cluster) > 1 || NEVER_LAST.contains(cluster);
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let mut before = None;
    for cluster in clusters(text) {
        let may_break = before.is_some_and(|before: &str| {
            (cluster == " " || wide(cluster) || wide(before))
                && !NEVER_FIRST.contains(cluster)
                && !NEVER_LAST.contains(before)
        });
        if may_break {
            pieces.push(&text[start..at]);
            start = at;
        }
        at += cluster.len();
        before = Some(cluster);
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

    #[test]
    fn what_is_seen_as_one_character_is_never_cut() {
        for (cluster, wide) in [
            ("👨\u{200d}👩\u{200d}👧", 2),
            ("👍🏽", 2),
            ("🇨🇳", 2),
            ("1\u{fe0f}\u{20e3}", 2),
            ("☺\u{fe0f}", 2),
            ("e\u{301}\u{323}", 1),
            ("\u{1112}\u{1161}\u{11ab}", 2),
        ] {
            let text = cluster.repeat(3);
            assert!(clusters(&text).eq([cluster; 3]), "{text}");
            assert_eq!(width(cluster), wide, "{text}");
            assert_eq!(clip(&text, 3 * wide), text);
            let fits = 2 * wide; // two, but for the ellipsis
            assert_eq!(
                clip(&text, fits),
                format!("{}…", cluster.repeat((fits - 1) / wide))
            );
            if wide == 2 {
                assert_eq!(wrap(&text, 5), [cluster.repeat(2), cluster.into()]);
            }
        }
    }
}
