//! What the repository promises to whoever clones it: complete, consistent, and in order.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::{FIRST_CELL, clean, lab, project};
use base::ipynb::{CellKind, Notebook};
use lab::python::PACKAGES;
use serde_json::Value;

/// The files under version control, relative to the top level.
fn tracked() -> Vec<PathBuf> {
    let listed = finish(clean("git").args(["ls-files", "-z"]), 60);
    assert!(listed.status.success(), "this is no clone: {listed:?}");
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed
        .split_terminator('\0')
        .map(PathBuf::from)
        .filter(|path| project().root().join(path).exists()) // deleted, not yet committed
        .collect()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = project().root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a command at the top level, for at most so many seconds.
fn finish(command: &Command, seconds: u32) -> Output {
    let mut limited = clean("timeout");
    limited
        .args(["--kill-after=5", &seconds.to_string()])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(project().root());
    let output = limited.output().unwrap();
    assert_ne!(
        output.status.code(),
        Some(124),
        "{command:?} took {seconds} s"
    );
    output
}

/// The lines under `pip:` in `environment.yml`.
fn pip_lines() -> Vec<String> {
    let text = read("environment.yml");
    let (_, pip) = text.split_once("- pip:\n").expect("a pip section");
    pip.lines()
        .map_while(|line| line.strip_prefix("      - "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn environment_yml_names_the_versions_that_setup_installs() {
    let installed = PACKAGES.map(|(name, version)| format!("{name}=={version}"));
    assert_eq!(pip_lines(), installed);
}

#[test]
fn the_top_level_holds_nothing_else() {
    let found: BTreeSet<String> = tracked()
        .iter()
        .filter_map(|path| Some(path.iter().next()?.to_string_lossy().into_owned()))
        .filter(|name| !name.starts_with('.'))
        .collect();
    let wanted = [
        "Cargo.lock",
        "Cargo.toml",
        "README.md",
        "environment.yml",
        "notebooks",
        "support",
        "tests",
    ];
    assert_eq!(found, wanted.map(str::to_owned).into());
}

#[test]
fn binder_installs_what_conda_users_do() {
    // With a folder for Binder, it looks at no `environment.yml` but the one in there.
    let link = project().root().join(".binder/environment.yml");
    assert_eq!(
        fs::read_link(link).unwrap(),
        Path::new("../environment.yml")
    );
}

#[test]
fn shell_scripts_can_be_parsed() {
    for (shell, script) in [
        ("bash", ".ci/run"),
        ("bash", ".binder/postBuild"),
        ("sh", "support/hub/student.sh"),
        ("sh", "support/pack/assets/cc.sh"),
        ("sh", "support/pack/assets/head.sh"),
        ("sh", "support/pack/assets/start.sh"),
    ] {
        let parsed = finish(clean(shell).args(["-n", script]), 60);
        assert!(parsed.status.success(), "{script}: {parsed:?}");
    }
}

#[test]
fn the_licences_lie_beside_what_they_are_for() {
    for (path, phrase) in [
        ("notebooks/LICENSE", "Attribution-ShareAlike 4.0"),
        ("support/LICENSE-MIT", "Permission is hereby granted"),
        ("support/LICENSE-APACHE", "Version 2.0, January 2004"),
    ] {
        assert!(read(path).contains(phrase), "{path}");
    }
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let licence = &manifest["workspace"]["package"]["license"];
    assert_eq!(licence.as_str(), Some("MIT OR Apache-2.0"));
}

#[test]
fn the_oldest_rust_is_the_same_wherever_it_is_named() {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let workspace = manifest["workspace"].as_table().unwrap();
    let oldest = workspace["package"]["rust-version"].as_str().unwrap();
    for (path, words) in [
        ("environment.yml", format!("\n  - rust>={oldest}\n")),
        ("environment.yml", format!("\n  - rust-src>={oldest}\n")),
        ("README.md", format!("(https://rustup.rs) ≥ {oldest}")),
        (
            "support/hub/Dockerfile",
            format!("\nARG BUILDER=rust:{oldest}-"),
        ),
    ] {
        assert!(read(path).contains(&words), "{path}: {words}");
    }
    for member in workspace["members"].as_array().unwrap() {
        let path = format!("{}/Cargo.toml", member.as_str().unwrap());
        let manifest: toml::Table = read(&path).parse().unwrap();
        let inherits = manifest["package"]["rust-version"].get("workspace");
        let inherits = inherits.and_then(toml::Value::as_bool);
        assert_eq!(inherits, Some(true), "{path}");
    }
}

#[test]
fn the_readme_is_short_and_its_first_screen_shows_a_notebook_and_the_three_commands() {
    let readme = read("README.md");
    let first_screen: String = readme.lines().take(45).collect();
    for command in ["`cargo run`", "`cargo test`", "`cargo run -- export`"] {
        assert!(first_screen.contains(command), "{command}");
    }
    let picture = readme.lines().position(|line| line.starts_with("!["));
    assert!(picture.is_some_and(|line| line < 20), "{picture:?}");
    let lines = readme.lines().count();
    assert!(lines <= 115, "{lines} lines are no longer read");
}

#[test]
fn nest_tokio_stays_small() {
    let code = |text: String| {
        let lines = text.lines().take_while(|line| *line != "#[cfg(test)]");
        let lines = lines.map(str::trim);
        lines
            .filter(|line| !line.is_empty() && !line.starts_with("//"))
            .count()
    };
    let files = fs::read_dir(project().root().join("support/nest-tokio/src")).unwrap();
    let files = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines: usize = files.map(code).sum();
    assert!(
        lines <= 1200,
        "{lines} lines, without comments and blank ones"
    );
}

#[test]
fn the_changelog_begins_with_the_version_of_everything() {
    let log = read(".github/CHANGELOG.md");
    let newest = log.lines().find_map(|line| line.strip_prefix("## "));
    assert_eq!(newest, Some(env!("CARGO_PKG_VERSION")));
}

/// The targets of links in Markdown.
fn links(markdown: &str) -> Vec<&str> {
    let inline = markdown
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let referenced = markdown
        .lines()
        .filter(|line| line.starts_with('['))
        .filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(referenced).collect()
}

/// The Markdown cells of a notebook.
fn prose(notebook: &str) -> String {
    let notebook: Value = serde_json::from_str(notebook).unwrap();
    let cells = notebook["cells"].as_array().unwrap().iter();
    cells
        .filter(|cell| cell["cell_type"] == "markdown")
        .flat_map(|cell| cell["source"].as_array().unwrap())
        .filter_map(Value::as_str)
        .collect()
}

#[test]
fn relative_links_lead_to_tracked_files() {
    let tracked = tracked();
    let mut followed = 0;
    for path in &tracked {
        let text = match path.extension().and_then(|extension| extension.to_str()) {
            Some("md") => read(path),
            Some("ipynb") => prose(&read(path)),
            _ => continue,
        };
        let folder = project().root().join(path.parent().unwrap());
        for link in links(&text) {
            let target = link.split('#').next().unwrap();
            // Doc comments' links into the crate itself, such as `crate::interrupt`, are rustdoc's.
            let elsewhere = target.contains("://") || target.contains("::");
            if target.is_empty() || elsewhere || !target.contains(['.', '/']) {
                continue;
            }
            let found = folder.join(target).canonicalize();
            let found = found.unwrap_or_else(|error| panic!("{}: {link}: {error}", path.display()));
            let found = found.strip_prefix(project().root()).unwrap().to_owned();
            assert!(
                tracked.iter().any(|path| path.starts_with(&found)),
                "{}: {link} is not under version control",
                path.display()
            );
            followed += 1;
        }
    }
    assert!(followed >= 5, "the README has links, {followed} were found");
}

#[test]
fn files_that_the_papers_name_are_there() {
    let (tracked, mut named) = (tracked(), 0);
    for paper in [
        ".github/CONTRIBUTING.md",
        "support/hub/README.md",
        "support/measure/README.md",
    ] {
        let text = read(paper);
        let spans = text.split('`').skip(1).step_by(2); // between backquotes
        for span in spans.filter(|span| span.ends_with(".rs") && !span.contains(' ')) {
            let found = tracked.iter().any(|path| path.ends_with(span));
            assert!(found, "{paper} names {span}");
            named += 1;
        }
    }
    assert!(named >= 30, "the papers name files, {named} were found");
}

#[test]
fn no_file_names_a_package_registry() {
    // Where packages come from is for the user's own configuration to say (mirrors, proxies).
    // Put together here, or this file would be the first to break the promise.
    let hosts = [
        ["index.crates", "io"],
        ["static.crates", "io"],
        ["pypi", "org"],
        ["files.pythonhosted", "org"],
        ["registry.npmjs", "org"],
        ["deb.debian", "org"],
        ["archive.ubuntu", "com"],
        ["conda.anaconda", "org"],
    ]
    .map(|parts| parts.join("."));
    // This is how every lock file names the default registry, whatever serves it (`licences.rs`).
    let index = concat!(
        "registry+https://github.com/rust-lang/",
        "crates",
        ".io-index"
    );
    for path in tracked() {
        let Ok(text) = String::from_utf8(fs::read(project().root().join(&path)).unwrap()) else {
            continue;
        };
        for host in &hosts {
            assert!(!text.contains(host), "{} names {host}", path.display());
        }
        let named = text.contains(index) && !path.ends_with("Cargo.lock");
        assert!(!named, "{} names {index}", path.display());
    }
}

#[test]
fn what_a_mistake_refers_to_is_a_section_of_the_notebook_that_is_named() {
    let sections: std::collections::BTreeMap<String, String> =
        toml::from_str(&read("support/lab/sections.toml")).unwrap();
    let advice = project().root().join("support/kernel/core/src/advice");
    let files = fs::read_dir(advice)
        .unwrap()
        .map(|file| file.unwrap().path());
    let used: BTreeSet<String> = files
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let keys = text.lines().filter_map(|line| {
                let key = line.strip_prefix("section = \"")?;
                Some(key.trim_end_matches('"').to_owned())
            });
            keys.collect::<Vec<_>>()
        })
        .collect();
    let known: BTreeSet<String> = sections.keys().cloned().collect();
    assert_eq!(used, known);
    for text in sections.values() {
        let (number, title) = text
            .strip_prefix("见 ")
            .and_then(|text| text.strip_suffix("」。")?.split_once('「'))
            .unwrap_or_else(|| panic!("{text}"));
        let notebook = notebooks().into_iter().find(|path| {
            path.file_name()
                .unwrap()
                .to_string_lossy()
                .starts_with(number)
        });
        let prose = prose(&read(notebook.unwrap_or_else(|| panic!("{text}"))));
        // One cell's text ends where the next one's begins.
        let mut headings = prose
            .split("# ")
            .skip(1)
            .filter_map(|text| text.lines().next());
        assert!(headings.any(|heading| heading.contains(title)), "{text}");
    }
}

/// The notebooks of the course.
fn notebooks() -> Vec<PathBuf> {
    let files = fs::read_dir(project().notebooks()).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "ipynb")
        })
        .collect()
}

#[test]
fn notebooks_share_their_first_cell_but_for_what_the_heavy_ones_need() {
    let lines: Vec<&str> = FIRST_CELL.lines().collect();
    let [tokio, notebook, .., prints] = lines[..] else {
        panic!("the first cell has these lines");
    };
    for path in project().course().unwrap() {
        let notebook_file = Notebook::load(&path).unwrap();
        let cells = notebook_file.code_cells();
        let first = &cells[0].source;
        let name = path.file_name().unwrap().to_string_lossy();
        if !["05", "06", "07", "09"]
            .iter()
            .any(|heavy| name.starts_with(heavy))
        {
            assert_eq!(first, FIRST_CELL, "{}", path.display());
        }
        let begins = first.starts_with(&format!("{tokio}\n{notebook}\n"));
        assert!(begins && first.ends_with(prints), "{}", path.display());
        for cell in &cells[1..] {
            let more = cell.source.lines().any(|line| line.starts_with(":dep"));
            assert!(!more, "{}, code cell {}", path.display(), cell.number);
        }
    }
}

/// The words of a piece of code, operators left out.
fn identifiers(code: &str) -> impl Iterator<Item = &str> {
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty())
}

/// The heads of the `impl` blocks of a formatted cell that are for nothing that the cell defines.
fn lone_impls(source: &str) -> Vec<&str> {
    let lines = source.lines().map(|line| line.trim_start_matches("pub "));
    let defined: BTreeSet<&str> = lines
        .filter(|line| {
            let kind = line.split(' ').next();
            kind.is_some_and(|kind| ["struct", "enum", "trait"].contains(&kind))
        })
        .filter_map(|line| identifiers(line).nth(1))
        .collect();
    let heads = source
        .lines()
        .filter(|line| line.starts_with("impl ") || line.starts_with("impl<"));
    heads
        .filter(|head| !identifiers(head).any(|word| defined.contains(word)))
        .collect()
}

/// evcxr keeps an `impl` for ever: alone in a cell, it could not be executed once more.
#[test]
fn a_cell_with_an_impl_has_its_type_or_trait_and_can_be_executed_again() {
    assert_eq!(
        lone_impls("struct A;\n\nimpl A {}\n\nimpl<T> Name<T> for B {"),
        ["impl<T> Name<T> for B {"]
    );
    for path in project().course().unwrap() {
        for cell in Notebook::load(&path).unwrap().code_cells() {
            let lone = lone_impls(&cell.source);
            assert!(lone.is_empty(), "{}, {}: {lone:?}", path.display(), cell.id);
        }
    }
}

#[test]
fn every_notebook_has_an_ascii_file_name_with_a_number_and_a_chinese_title() {
    for path in project().course().unwrap() {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.is_ascii(), "{name}");
        assert!(
            name.bytes().take(2).all(|byte| byte.is_ascii_digit()),
            "{name}"
        );
        let title = Notebook::load(&path).unwrap().title();
        let title = title.unwrap_or_else(|| panic!("{name} has no title"));
        let chinese = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        assert!(title.chars().any(chinese), "{name}: {title}");
    }
}

#[test]
fn notebooks_are_stored_formatted_and_without_outputs() {
    let checked = finish(clean(lab()).args(["fmt", "--check"]), 120);
    assert!(
        checked.status.success(),
        "run `cargo run -- fmt`: {}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}

/// The table of words in the page on how to write for the course: each word, its English, and what is
/// not said for it.
fn words() -> Vec<[String; 3]> {
    let page = read(".github/COURSE.md");
    let (_, table) = page
        .split_once("| 用 | 英文 | 不用 |\n|---|---|---|\n")
        .unwrap();
    let rows = table.lines().map_while(|line| line.strip_prefix('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [word, english, avoided, ""] = cells[..] else {
            panic!("{row}");
        };
        [word, english, avoided].map(str::to_owned)
    })
    .collect()
}

/// The text cells of a notebook without their blocks of code, each in a string.
fn texts(path: &Path) -> Vec<String> {
    let cells = Notebook::load(path).unwrap().cells().into_iter();
    let texts = cells.filter(|cell| cell.kind == CellKind::Markdown);
    texts
        .map(|cell| cell.source.split("```").step_by(2).collect())
        .collect()
}

/// What is left of a text without its headings and links, which repeat words from elsewhere.
fn own_words(text: &str) -> String {
    let mut left = String::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut rest = line;
        while let Some((before, link)) = rest.split_once('[') {
            left.push_str(before);
            rest = match link
                .split_once("](")
                .and_then(|(_, link)| link.split_once(')'))
            {
                Some((_, after)) => after,
                None => link,
            };
        }
        left.push_str(rest);
        left.push('\n');
    }
    left
}

/// Whether the English stands in brackets behind the word: `**轮询**（poll）`.
fn is_explained(text: &str, word: &str, english: &str) -> bool {
    let behind = text.split(word).skip(1);
    let mut brackets = behind.filter_map(|rest| {
        let rest = rest.trim_start_matches('*').strip_prefix('（')?;
        rest.split('）').next()
    });
    brackets.any(|brackets| brackets.to_lowercase().contains(english))
}

#[test]
fn the_course_calls_each_thing_by_one_name_and_says_its_english_once() {
    let (words, course) = (words(), project().course().unwrap());
    assert!(words.len() > 40, "{words:?}");
    let course: Vec<(String, Vec<String>)> = course
        .iter()
        .map(|path| (path.display().to_string(), texts(path)))
        .collect();
    for [word, english, avoided] in &words {
        for (name, texts) in &course {
            let mut avoided = avoided.split('、').filter(|avoided| !avoided.is_empty());
            let said = avoided.find(|said| texts.iter().any(|text| text.contains(said)));
            assert_eq!(said, None, "{name} should say {word}");
        }
        // A word of one character stands in others, too.
        if english.is_empty() || english == word || word.chars().count() == 1 {
            continue;
        }
        let uses = |text: &String| own_words(text).contains(word);
        // The guide's glossary has them all.
        let mut rest = course[1..].iter();
        if let Some((name, texts)) = rest.find(|(_, texts)| texts.iter().any(uses)) {
            let mut texts = texts.iter();
            let explained = texts.any(|text| is_explained(text, word, english));
            assert!(explained, "{name}: {word}（{english}）");
        }
    }
}

#[test]
fn the_glossary_of_the_guide_is_a_part_of_the_course_s_words() {
    let guide = texts(&project().course().unwrap()[0]);
    let glossary = guide.iter().find(|text| text.contains("词汇表\n"));
    let rows = glossary
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("| "));
    let (words, mut known) = (words(), 0);
    for row in rows.skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        for (word, english) in cells[1].split('、').zip(cells[2].split(", ")) {
            let is_there = words.iter().any(|[w, e, _]| w == word && e == english);
            assert!(is_there, "{word}, {english}");
            known += 1;
        }
    }
    assert!(known >= 20, "{known} words");
}
