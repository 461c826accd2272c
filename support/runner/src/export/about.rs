//! What a notebook says of itself in its first cell.

use base::ipynb::{CellKind, Notebook};

/// For the index: nothing in it is written down a second time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub title: String,
    /// How long it takes to go through, if it says so.
    pub minutes: Option<u32>,
    /// The section of the original notes that it mirrors, if it says so.
    pub original: Option<String>,
}

impl About {
    /// A notebook without a title is called `name`.
    pub fn of(notebook: &Notebook, name: &str) -> About {
        let cells = notebook.cells();
        let first = cells.iter().find(|cell| cell.kind == CellKind::Markdown);
        let text = first.map_or("", |cell| &cell.source);
        let line = |label: &str| text.lines().find_map(|line| line.strip_prefix(label));
        About {
            title: notebook.title().unwrap_or_else(|| name.to_owned()),
            minutes: line("**时间**：").and_then(minutes),
            original: line("**对应原文**：").and_then(section),
        }
    }
}

/// Of the first sentence, the last number of minutes: `约 5 分钟读到……，全部约 15 分钟。`
fn minutes(line: &str) -> Option<u32> {
    let (before, _) = line.split('。').next()?.rsplit_once("分钟")?;
    let digits = before.trim_end();
    let start = digits.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    digits[start..].parse().ok()
}

/// What follows the title in `中《使用 asyncio 包处理并发》的“协程的优点”一节；……`.
fn section(line: &str) -> Option<String> {
    let (_, place) = line.split_once('》')?;
    let place = place.split(['；', '。', '，']).next()?;
    let quoted = place
        .split_once('“')
        .and_then(|(_, rest)| rest.split_once('”'));
    Some(quoted.map_or(place, |(section, _)| section).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_notebook_of_the_course_says_what_the_index_tells() {
        let notebooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notebooks");
        let course = fs::read_dir(notebooks)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        for path in course.filter(|path| path.extension().is_some_and(|end| end == "ipynb")) {
            let about = About::of(&Notebook::load(&path).unwrap(), "");
            assert!(!about.title.is_empty(), "{}", path.display());
            assert!(about.minutes.is_some(), "{}: 时间", path.display());
            assert!(about.original.is_some(), "{}: 对应原文", path.display());
        }
    }

    #[test]
    fn minutes_are_those_of_the_whole_notebook() {
        for (line, expected) in [
            ("约 30 分钟。**需要的基础**：5 分钟。", Some(30)),
            ("约 5 分钟读到第一个 `.await`，全部约 15 分钟。", Some(15)),
            ("60分钟", Some(60)),
            ("一小会儿。", None),
            ("几分钟。", None),
        ] {
            assert_eq!(minutes(line), expected, "{line}");
        }
    }

    #[test]
    fn the_section_is_what_is_quoted_or_else_what_stands_there() {
        let of = |rest: &str| section(&format!("[笔记](https://x) 中《使用 asyncio》{rest}"));
        assert_eq!(
            of("的“协程的优点”一节；原书是《流畅的 Python》。").unwrap(),
            "协程的优点"
        );
        assert_eq!(of("全篇；原书是《流畅的 Python》。").unwrap(), "全篇");
        assert_eq!(section("没有书名"), None);
    }
}
