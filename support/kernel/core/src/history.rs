//! What has been executed: for `history_request`.

use serde_json::{Value, json};

/// Entries that are kept; older ones are forgotten.
const KEPT: usize = 1000;

/// The number of the one session that a kernel remembers: its own.
const SESSION: i64 = 1;

/// An executed cell.
pub struct Entry {
    /// Its execution count.
    pub count: u64,
    pub code: String,
    /// The value of its last expression as text.
    pub result: Option<String>,
}

/// The executed cells, oldest first.
#[derive(Default)]
pub struct History(Vec<Entry>);

impl History {
    pub fn add(&mut self, entry: Entry) {
        if self.0.len() == KEPT {
            self.0.remove(0);
        }
        self.0.push(entry);
    }

    /// The content of a `history_reply`.
    pub fn answer(&self, request: &Value) -> Value {
        let limit = request["n"].as_u64().map_or(usize::MAX, |n| n as usize);
        let mut found: Vec<&Entry> = match request["hist_access_type"].as_str() {
            Some("range") => self.range(request),
            Some("search") => self.search(request),
            _ => self.0.iter().collect(),
        };
        if request["hist_access_type"] != "range" {
            found.drain(..found.len().saturating_sub(limit));
        }
        let entry = |entry: &Entry| match request["output"].as_bool() {
            Some(true) => json!([SESSION, entry.count, [entry.code, entry.result]]),
            _ => json!([SESSION, entry.count, entry.code]),
        };
        let history: Vec<Value> = found.into_iter().map(entry).collect();
        json!({ "status": "ok", "history": history })
    }

    /// By execution count, of this session only: 0 is what clients call the current one.
    fn range(&self, request: &Value) -> Vec<&Entry> {
        if ![0, SESSION].contains(&request["session"].as_i64().unwrap_or(0)) {
            return Vec::new();
        }
        let start = request["start"].as_u64().unwrap_or(0);
        let stop = request["stop"].as_u64().unwrap_or(u64::MAX);
        let within = |entry: &&Entry| (start..stop).contains(&entry.count);
        self.0.iter().filter(within).collect()
    }

    fn search(&self, request: &Value) -> Vec<&Entry> {
        let pattern: Vec<char> = request["pattern"].as_str().unwrap_or("*").chars().collect();
        let matching = |entry: &&Entry| {
            let code: Vec<char> = entry.code.chars().collect();
            matches(&code, &pattern)
        };
        let mut found: Vec<&Entry> = self.0.iter().filter(matching).collect();
        if request["unique"] == true {
            let last_of_its_code = |index: usize| {
                let code = &found[index].code;
                found[index + 1..].iter().all(|later| later.code != *code)
            };
            let kept: Vec<usize> = (0..found.len()).filter(|&i| last_of_its_code(i)).collect();
            found = kept.into_iter().map(|index| found[index]).collect();
        }
        found
    }
}

/// Whether the whole text matches a pattern with `*` and `?`.
fn matches(text: &[char], pattern: &[char]) -> bool {
    // The place to go on from when what follows the last star does not match.
    let (mut at, mut next, mut star) = (0, 0, None);
    while at < text.len() {
        match pattern.get(next) {
            Some('*') => {
                next += 1;
                star = Some((at, next));
            }
            Some(wanted) if *wanted == '?' || *wanted == text[at] => {
                at += 1;
                next += 1;
            }
            _ => match star {
                Some((from, behind)) => {
                    (at, next) = (from + 1, behind);
                    star = Some((at, next));
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|wanted| *wanted == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let mut history = History::default();
        for (count, code) in ["let x = 1;", "x", "x", "println!(\"{x}\")"]
            .into_iter()
            .enumerate()
        {
            history.add(Entry {
                count: count as u64 + 1,
                code: code.to_owned(),
                result: (code == "x").then(|| "1".to_owned()),
            });
        }
        history
    }

    fn counts(request: Value) -> Vec<u64> {
        let answer = history().answer(&request);
        let entries = answer["history"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry[1].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn tail_range_and_search_give_what_they_promise() {
        assert_eq!(counts(json!({"hist_access_type": "tail", "n": 2})), [3, 4]);
        let range = json!({"hist_access_type": "range", "session": 0, "start": 2, "stop": 4});
        assert_eq!(counts(range), [2, 3]);
        let other = json!({"hist_access_type": "range", "session": 7});
        assert_eq!(counts(other), [0; 0]);
        let search = json!({"hist_access_type": "search", "pattern": "*x*", "n": 3});
        assert_eq!(counts(search), [2, 3, 4]);
        let unique = json!({"hist_access_type": "search", "pattern": "x", "unique": true});
        assert_eq!(counts(unique), [3]);
    }

    #[test]
    fn a_pattern_is_of_the_whole_code() {
        for (pattern, expected) in [
            ("", false),
            ("*", true),
            ("let a = a;", true),
            ("let a = a", false),
            ("et a = a;", false),
            ("let ? = ?;", true),
            ("????", false),
            ("*a;", true),
            ("*a = a;", true),
            ("let*", true),
            ("l**;*", true),
            ("*b*", false),
            ("*a*a*a*", false),
        ] {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            let found = matches(&characters("let a = a;"), &characters(pattern));
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn results_are_given_when_asked_for() {
        let answer = history().answer(&json!({"hist_access_type": "tail", "n": 3, "output": true}));
        assert_eq!(answer["history"][0], json!([1, 2, ["x", "1"]]));
        assert_eq!(answer["history"][2][2][1], Value::Null);
    }

    #[test]
    fn old_entries_are_forgotten() {
        let mut history = History::default();
        for count in 0..KEPT as u64 + 10 {
            history.add(Entry {
                count,
                code: String::new(),
                result: None,
            });
        }
        assert_eq!(history.0.len(), KEPT);
        assert_eq!(history.0.last().unwrap().count, KEPT as u64 + 9);
    }
}
