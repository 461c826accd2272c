//! axe-core in a page: what keeps people from reading it who do not see it, or not well, or use no
//! mouse.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};

use super::webdriver::Browser;
use crate::common::command::LONG;
use crate::common::{project, set_up};

/// The rules that ask for colours, of those that axe follows unless told otherwise.
const OF_COLOUR: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// What to look for.
#[derive(Clone, Copy)]
pub enum Faults {
    All,
    /// All that another theme can bring: the elements are the same.
    OfColour,
    /// All that another width can bring to a text whose colours are known: the colours are the same.
    /// These take less than half of the time.
    OfForm,
}

/// The script that looks for them.
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

    /// What is wrong with the page that `browser` shows: a line a place.
    pub fn violations(&self, browser: &Browser, faults: Faults) -> Vec<String> {
        browser.script(&self.0, json!([]));
        let run = "const [rules] = arguments;
            const drawn = () => new Promise(requestAnimationFrame);
            // The page's own script has then seen what the size of everything is.
            return drawn().then(drawn).then(() => axe.run({...rules, resultTypes: ['violations']}).then(found =>
            found.violations.flatMap(one => one.nodes.map(node =>
                `${one.id}: ${node.target}: ${node.html.slice(0, 200)}: ${node.failureSummary}`))))";
        let rules = match faults {
            Faults::All => json!({}),
            Faults::OfColour => json!({"runOnly": OF_COLOUR}),
            Faults::OfForm => {
                let off = OF_COLOUR.map(|rule| (rule.to_owned(), json!({"enabled": false})));
                json!({"rules": Value::from_iter(off)})
            }
        };
        let found: Value = browser.script_within(LONG, run, json!([rules]));
        serde_json::from_value(found).unwrap()
    }
}
