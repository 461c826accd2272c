//! What more a student is told about a mistake or a panic: why it is one, what to write instead, and
//! where the course explains it, if it is one that does.

use std::collections::BTreeMap;

use crate::advice::{self, Advice};
use crate::diagnosis::Told;

/// How these lines stand apart from rustc's.
const INDENT: &str = "  ";

/// Knows what there is to say.
#[derive(Default)]
pub struct Teacher {
    /// Where a course explains something, by the key of that.
    sections: BTreeMap<String, String>,
}

impl Teacher {
    /// Who teaches a course with these sections, by their keys.
    pub fn new(sections: BTreeMap<String, String>) -> Teacher {
        Teacher { sections }
    }

    /// About a mistake that rustc has found.
    pub fn of_mistake(&self, told: &Told) -> Vec<String> {
        self.lines(advice::of_error(told.code.as_deref(), &told.all))
    }

    /// About a panic with this message.
    pub fn of_panic(&self, message: &str) -> Vec<String> {
        self.lines(advice::of_panic(message))
    }

    fn lines(&self, advice: Option<Advice>) -> Vec<String> {
        let Some(Advice { says, section }) = advice else {
            return Vec::new();
        };
        let mut lines: Vec<String> = says.lines().map(|line| format!("{INDENT}{line}")).collect();
        let section = section.and_then(|key| self.sections.get(key));
        lines.extend(section.map(|section| format!("{INDENT}{section}")));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_indented_and_ends_with_where_the_course_explains_it() {
        let message = "JoinError::Cancelled(Id(12))";
        let Advice { says, section } = advice::of_panic(message).unwrap();
        let said: Vec<String> = says.lines().map(|line| format!("  {line}")).collect();
        for (key, place) in [("no such key", None), (section.unwrap(), Some("  03"))] {
            let teacher = Teacher::new([(key.to_owned(), "03".to_owned())].into());
            let place = place.map(str::to_owned);
            let expected: Vec<String> = said.iter().cloned().chain(place).collect();
            assert_eq!(teacher.of_panic(message), expected);
            assert_eq!(teacher.of_panic("糟了"), [""; 0]);
        }
    }
}
