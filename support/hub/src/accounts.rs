//! Who may log in, and with which password.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use base::files;

use crate::class::Class;
use crate::prepare::Options;

/// The longest name of a student: a system user's has at most 32 bytes.
const LONGEST_NAME: usize = 24;

impl Class {
    /// The names on the list; it is kept for the next time.
    pub fn students(&self, options: &Options) -> Result<Vec<String>> {
        let kept = self.hub("students");
        let file = options.students.as_ref().unwrap_or(&kept);
        let text = fs::read_to_string(file).with_context(|| match &options.students {
            Some(file) => format!("读不了名单 {}", file.display()),
            None => "还没有名单：请用 --students 给一个文件，每行一个名字".to_owned(),
        })?;
        let names = names(&text, &options.teacher)
            .with_context(|| format!("名单 {} 有误", file.display()))?;
        for name in &options.reset {
            ensure!(
                names.contains(name) || *name == options.teacher,
                "--reset {name}：名单上没有这个名字"
            );
        }
        files::replace(&kept, |file| file.write_all(text.as_bytes()))?;
        Ok(names)
    }

    /// The passwords that have been handed out, by name.
    fn passwords(&self) -> BTreeMap<String, String> {
        let list = fs::read_to_string(self.hub("passwords")).unwrap_or_default();
        let pairs = list.lines().filter_map(|line| line.split_once(' '));
        pairs
            .map(|(name, password)| (name.to_owned(), password.to_owned()))
            .collect()
    }

    /// Makes a password for each who has none, and for whom `--reset` names.
    pub fn hand_out_passwords(&self, students: &[String], options: &Options) -> Result<()> {
        let (list, new) = (self.hub("passwords"), self.hub("new-passwords"));
        let mut known = self.passwords();
        let mut fresh = fs::read_to_string(&new).unwrap_or_default();
        for name in students.iter().chain([&options.teacher]) {
            if !known.contains_key(name) || options.reset.contains(name) {
                let password = password();
                fresh += &format!("{name} {password}\n");
                known.insert(name.clone(), password);
            }
        }
        let all: String = known
            .iter()
            .map(|(name, password)| format!("{name} {password}\n"))
            .collect();
        for (path, text) in [(&new, &fresh), (&list, &all)] {
            files::replace(path, |file| {
                file.set_permissions(Permissions::from_mode(0o600))?;
                file.write_all(text.as_bytes())
            })?;
        }
        println!("✓ 密码：{}（老师是 {}）", list.display(), options.teacher);
        Ok(())
    }

    /// Who was on a list once, and is no more.
    pub fn former(&self, students: &[String], options: &Options) -> Vec<String> {
        let mut names: Vec<String> = self.passwords().into_keys().collect();
        names.retain(|name| *name != options.teacher && !students.contains(name));
        names
    }
}

/// The names on a list: the first word of each line that is not a comment.
fn names(text: &str, teacher: &str) -> Result<Vec<String>> {
    let mut seen = BTreeSet::from([teacher]);
    let lines = text.trim_start_matches('\u{feff}').lines();
    let words = lines.filter_map(|line| line.split([' ', '\t', ',', ';', '#']).next());
    let mut names = Vec::new();
    for name in [teacher]
        .into_iter()
        .chain(words.filter(|word| !word.is_empty()))
    {
        let begins = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        ensure!(
            begins && name.chars().all(plain) && name.len() <= LONGEST_NAME,
            "名字 {name} 不能用：请只用小写字母、数字、- 和 _，最多 {LONGEST_NAME} 个，例如拼音或学号"
        );
        if !names.is_empty() || name != teacher {
            ensure!(
                seen.insert(name),
                "名字 {name} 写了两次，或者就是老师的名字"
            );
        }
        names.push(name.to_owned());
    }
    ensure!(names.len() > 1, "名单是空的：请每行写一个名字");
    names.remove(0);
    Ok(names)
}

/// Sixty random bits, without letters and digits that look alike.
fn password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random = uuid::Uuid::new_v4();
    let bytes = random.as_bytes();
    // Two bytes of it are not all random.
    [&bytes[..6], &bytes[9..15]]
        .concat()
        .iter()
        .map(|byte| LETTERS[usize::from(byte % 32)] as char)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_on_each_line_and_may_say_more_of_each() {
        let list = "\u{feff}# 三年级\nann 安\n20261234,李\n\nbob_2\n";
        assert_eq!(
            names(list, "teacher").unwrap(),
            ["ann", "20261234", "bob_2"]
        );
    }

    #[test]
    fn a_name_that_no_system_user_can_have_is_refused_and_so_is_a_second_one() {
        for list in ["Ann", "安", "-x", "../x", "a\na", "teacher", "", "# 空"] {
            assert!(names(list, "teacher").is_err(), "{list:?}");
        }
        assert!(names("ann", "老师").is_err());
    }

    #[test]
    fn passwords_are_long_and_never_twice_the_same() {
        let (one, other) = (password(), password());
        assert!(one.len() == 12 && one != other, "{one} {other}");
    }
}
