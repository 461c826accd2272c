//! axe-core in a page: what keeps people from reading it who do not see it, or not well, or use no
//! mouse.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use super::webdriver::Browser;
use crate::common::command::LONG;
use crate::common::{project, set_up};

/// The script that looks for it.
pub struct Axe(String);

impl Axe {
    /// What set-up has installed, where there is npm. That there is none is said aloud; CI must have it.
    pub fn installed() -> Option<Axe> {
        set_up();
        let script = fs::read_to_string(lab::axe::script(&project())).ok();
        if script.is_none() {
            let how = "没有 axe-core：请安装 npm（Debian：apt install npm）";
            assert!(std::env::var_os("LAB_SKIP_NOTHING").is_none(), "{how}");
            let _ = writeln!(std::io::stderr(), "不检查导出的网页是否人人能读，{how}");
        }
        script.map(Axe)
    }

    /// What is wrong with the page that `browser` shows: a line a place. Of many chapters on one page,
    /// the first is looked at: each is a page of its own, too, and all together take minutes.
    pub fn violations(&self, browser: &Browser) -> Vec<String> {
        browser.script(&self.0, json!([]));
        let run = "const context = {exclude: ['.book-chapter + .book-chapter']};
            return axe.run(context, {resultTypes: ['violations']}).then(found =>
            found.violations.flatMap(one => one.nodes.map(node =>
                `${one.id}: ${node.target}: ${node.html.slice(0, 200)}: ${node.failureSummary}`)))";
        let found: Value = browser.script_within(LONG, run, json!([]));
        serde_json::from_value(found).unwrap()
    }
}
