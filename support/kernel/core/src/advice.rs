//! Why something is a mistake and what to write instead, in Chinese: what the files of `advice/` say.
//!
//! There is one for each code of rustc and each lint, `none.toml` for errors without a code, and
//! `panics.toml`. The first entry that fits is taken, so what is special stands before what is
//! general. Nothing is better than something vague: where no entry fits, nothing is said.
//!
//! ```toml
//! [[advice]]
//! # All of these stand in what rustc says: its message, labels, notes, helps and suggestions, or in
//! # the message of a panic.
//! has = ["found future"]
//! # None of these does.
//! not = []
//! says = '''
//! 调用 `async fn` 只造出一个 future，里面的代码还没有执行，它不是那个值。
//! 要值，在后面写 `.await`。
//! '''
//! # What in a course explains it. The course knows where that is.
//! section = "await"
//! # A whole program that rustc refuses so (or a panic's message), and what to write instead.
//! example = '''
//! async fn f() -> u32 { 1 }
//! async fn g() { let x: u32 = f(); }
//! '''
//! cure = '''
//! async fn f() -> u32 { 1 }
//! async fn g() { let x: u32 = f().await; }
//! '''
//! ```
//!
//! `example` and `cure` are for the tests, and for whoever reads the file.

use std::sync::OnceLock;

use serde::Deserialize;

/// What a student is told about a mistake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Advice {
    /// One to four lines.
    pub says: &'static str,
    /// The key of what in a course explains it.
    pub section: Option<&'static str>,
}

/// About an error (or a warning) with this code, or with none, of which rustc says all this.
pub fn of_error(code: Option<&str>, text: &str) -> Option<Advice> {
    advice(code.unwrap_or("none"), text)
}

/// About a panic with this message.
pub fn of_panic(message: &str) -> Option<Advice> {
    advice("panics", message)
}

fn advice(name: &str, text: &str) -> Option<Advice> {
    let file = FILES.iter().find(|file| file.name == name)?;
    let entry = file.entries().iter().find(|entry| entry.fits(text))?;
    Some(Advice {
        says: entry.says.trim(),
        section: entry.section.as_deref(),
    })
}

/// A file of `advice/`.
struct File {
    name: &'static str,
    text: &'static str,
    /// Read when it is asked for the first time.
    entries: OnceLock<Vec<Entry>>,
}

impl File {
    fn entries(&self) -> &[Entry] {
        self.entries.get_or_init(|| {
            let contents: Contents = toml::from_str(self.text).expect("the tests read every file");
            contents.advice
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    advice: Vec<Entry>,
}

#[derive(Deserialize)]
#[cfg_attr(test, serde(deny_unknown_fields))]
struct Entry {
    has: Vec<String>,
    #[serde(default)]
    not: Vec<String>,
    says: String,
    section: Option<String>,
    #[cfg(test)]
    example: String,
    #[cfg(test)]
    cure: Option<String>,
}

impl Entry {
    fn fits(&self, text: &str) -> bool {
        let stands = |part: &String| text.contains(part.as_str());
        self.has.iter().all(stands) && !self.not.iter().any(stands)
    }
}

/// These files of `advice/`.
macro_rules! files {
    ($($name:literal,)*) => {
        [$(File {
            name: $name,
            text: include_str!(concat!("advice/", $name, ".toml")),
            entries: OnceLock::new(),
        }),*]
    };
}

static FILES: [File; 106] = files![
    "E0004",
    "E0005",
    "E0015",
    "E0023",
    "E0026",
    "E0027",
    "E0038",
    "E0046",
    "E0050",
    "E0053",
    "E0057",
    "E0061",
    "E0063",
    "E0069",
    "E0070",
    "E0072",
    "E0106",
    "E0107",
    "E0116",
    "E0117",
    "E0119",
    "E0133",
    "E0164",
    "E0191",
    "E0204",
    "E0252",
    "E0261",
    "E0267",
    "E0268",
    "E0271",
    "E0277",
    "E0282",
    "E0283",
    "E0284",
    "E0308",
    "E0310",
    "E0317",
    "E0368",
    "E0369",
    "E0373",
    "E0381",
    "E0382",
    "E0384",
    "E0403",
    "E0404",
    "E0405",
    "E0407",
    "E0415",
    "E0423",
    "E0424",
    "E0425",
    "E0428",
    "E0432",
    "E0433",
    "E0434",
    "E0435",
    "E0499",
    "E0502",
    "E0503",
    "E0505",
    "E0506",
    "E0507",
    "E0515",
    "E0521",
    "E0525",
    "E0529",
    "E0532",
    "E0560",
    "E0562",
    "E0571",
    "E0592",
    "E0593",
    "E0594",
    "E0596",
    "E0597",
    "E0599",
    "E0600",
    "E0603",
    "E0604",
    "E0605",
    "E0606",
    "E0608",
    "E0609",
    "E0610",
    "E0614",
    "E0615",
    "E0616",
    "E0618",
    "E0621",
    "E0624",
    "E0631",
    "E0716",
    "E0728",
    "E0733",
    "E0746",
    "E0765",
    "E0782",
    "E0790",
    "arithmetic_overflow",
    "let_underscore_lock",
    "none",
    "overflowing_literals",
    "panics",
    "static_mut_refs",
    "unconditional_panic",
    "unused_must_use",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use serde_json::Value;

    use super::*;

    const PANICS: &str = "panics";

    /// Wide characters take two columns.
    const COLUMNS: usize = 120;

    /// What rustc says of a program: codes, and all that is said.
    fn mistakes(program: &str, folder: &Path) -> Vec<(String, String)> {
        let file = folder.join("program.rs");
        std::fs::write(&file, program).unwrap();
        // As far as the MIR: some mistakes are found there only.
        let output = Command::new("rustc")
            .args(["--edition", "2024", "--crate-type", "lib", "--emit", "mir"])
            .args(["--error-format", "json"])
            .args(["-A", "unused", "-W", "unused_must_use", "--out-dir"])
            .args([folder, &*file])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let messages = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let messages =
            messages.filter(|message: &Value| !message["spans"].as_array().unwrap().is_empty());
        messages
            .map(|message| {
                let code = message["code"]["code"].as_str().unwrap_or("none");
                let mut all = Vec::new();
                collect(&message, &mut all);
                (code.to_owned(), all.join("\n"))
            })
            .collect()
    }

    fn collect(message: &Value, all: &mut Vec<String>) {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        all.extend(text(&message["message"]));
        for span in message["spans"].as_array().unwrap() {
            all.extend(text(&span["label"]));
            all.extend(text(&span["suggested_replacement"]));
        }
        for child in message["children"].as_array().unwrap() {
            collect(child, all);
        }
    }

    /// What is wrong with an entry's example, if something is.
    fn wrong(file: &File, entry: &Entry, folder: &Path) -> Option<String> {
        let said = match file.name {
            PANICS => vec![(PANICS.to_owned(), entry.example.clone())],
            _ => mistakes(&entry.example, folder),
        };
        // What a mistake leads to may have other codes.
        let said: Vec<_> = said.iter().filter(|(code, _)| code == file.name).collect();
        if said.is_empty() {
            return Some(format!("{}: this is none:{}", file.name, entry.example));
        }
        let other = said.iter().find(|(_, text)| {
            let found = file.entries().iter().find(|entry| entry.fits(text));
            !found.is_some_and(|found| std::ptr::eq(found, entry))
        });
        other.map(|(_, text)| format!("{}: {:?} is not for\n{text}", file.name, entry.has))
    }

    #[test]
    fn every_file_is_read_and_none_else_is_there() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/advice");
        let files = std::fs::read_dir(folder).unwrap();
        let there: BTreeSet<String> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        let read = FILES.iter().map(|file| format!("{}.toml", file.name));
        assert_eq!(there, read.collect());
        assert!(FILES.iter().all(|file| !file.entries().is_empty()));
    }

    #[test]
    fn every_example_is_such_a_mistake_and_finds_its_own_advice() {
        let entries = FILES
            .iter()
            .flat_map(|file| file.entries().iter().map(move |entry| (file, entry)));
        let entries: Vec<_> = entries.collect();
        let wrong: Vec<String> = std::thread::scope(|scope| {
            let check = |entries: Vec<(&'static File, &'static Entry)>| {
                move || {
                    let folder = tempfile::tempdir().unwrap();
                    let wrong = |(file, entry)| wrong(file, entry, folder.path());
                    entries.into_iter().filter_map(wrong).collect::<Vec<_>>()
                }
            };
            let (one, other) = entries.split_at(entries.len() / 2);
            let threads = [one, other].map(|half| scope.spawn(check(half.to_vec())));
            let wrong = threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap());
            wrong.collect()
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    #[test]
    fn what_is_to_be_written_instead_compiles_without_a_warning() {
        let cures = FILES.iter().flat_map(|file| {
            let cures = file
                .entries()
                .iter()
                .filter_map(|entry| entry.cure.as_ref());
            cures.map(move |cure| (file, cure))
        });
        let modules = cures.enumerate().map(|(number, (file, cure))| {
            // What is written instead is as short as the mistake, and uses little of what it makes.
            let may = match file.name {
                "unused_must_use" => "",
                _ => "#[allow(unused_must_use)] ",
            };
            format!("{may}mod cure_{number} {{\n{cure}}}\n")
        });
        let folder = tempfile::tempdir().unwrap();
        let wrong = mistakes(&modules.collect::<String>(), folder.path());
        let wrong: Vec<_> = wrong
            .iter()
            .map(|(code, text)| format!("{code}: {text}"))
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }

    #[test]
    fn what_is_said_is_short() {
        let says = FILES
            .iter()
            .flat_map(File::entries)
            .map(|entry| entry.says.trim());
        let width =
            |line: &str| -> usize { line.chars().map(|c| 1 + usize::from(!c.is_ascii())).sum() };
        let long: Vec<&str> = says
            .filter(|says| {
                says.lines().count() > 4 || says.lines().any(|line| width(line) > COLUMNS)
            })
            .collect();
        assert!(long.is_empty(), "{}", long.join("\n\n"));
        assert!(
            FILES
                .iter()
                .flat_map(File::entries)
                .all(|entry| !entry.says.trim().is_empty())
        );
    }

    #[test]
    fn what_nobody_has_written_about_is_left_alone() {
        assert_eq!(of_error(Some("E9999"), "found future"), None);
        assert_eq!(of_error(None, "an error that nobody knows"), None);
        assert_eq!(of_panic("糟了"), None);
    }
}
