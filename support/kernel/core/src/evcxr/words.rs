//! evcxr's words: what it waits to read from the process that runs the cells, and what it says in
//! errors. The front writes the former when it has heard the same from that process in a way that no
//! text can imitate.

use serde_json::{Value, json};

pub use link::marker::{ENDED, FOR_EVCXR as CHANGED_TYPE, PANICKED, RETURNED};

/// What it says when the process of the cells has ended: behind what that has printed, before how.
const DEATH: &str = "Subprocess terminated with status: ";

/// What it calls a cell in a report, with a number of its own behind it.
const COMMAND: &str = "command_";

/// What a process that has ended has printed last, and how it has ended, if that is what an `error`
/// message says.
pub fn death(error: &Value) -> Option<(&str, &str)> {
    let (printed, how) = error["evalue"].as_str()?.rsplit_once(DEATH)?;
    Some((printed.trim_end(), how.trim()))
}

/// Calls a cell in a report by the number that the student knows.
pub fn count_as(error: &mut Value, count: u64) {
    let lines = error["traceback"].as_array_mut().into_iter().flatten();
    for line in lines {
        let Some(text) = line.as_str() else { continue };
        if let Some((before, after)) = text.split_once(COMMAND) {
            let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
            *line = json!(format!("{before}单元格 [{count}]{after}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_process_is_recognised_and_its_last_words_are_kept() {
        for (said, expected) in [
            (
                "last words\nSubprocess terminated with status: exit status: 3",
                Some(("last words", "exit status: 3")),
            ),
            (
                "Subprocess terminated with status: signal: 9 (SIGKILL)",
                Some(("", "signal: 9 (SIGKILL)")),
            ),
            ("mismatched types", None),
        ] {
            assert_eq!(death(&json!({ "evalue": said })), expected);
        }
    }

    #[test]
    fn a_report_names_the_cell_as_the_student_counts() {
        let mut error = json!({ "traceback": ["   ╭─[command_7:1:5]", "other"] });
        count_as(&mut error, 3);
        assert_eq!(
            error["traceback"],
            json!(["   ╭─[单元格 [3]:1:5]", "other"])
        );
    }
}
