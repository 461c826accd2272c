//! The linker, without the C compiler in front of it.
//!
//! rustc has `cc` call the linker, since `cc` knows where the C library lies. For a cell these are
//! three programs more to start. So `cc` is asked once what it would say to the linker, and from
//! then on rustc calls its own linker, where that is the one that `cc` would call.

use std::path::Path;
use std::process::Command;

use super::cell::Call;
use super::{RUSTC_ENV, real};

/// Where rustc has `cc` call rustc's own linker.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whether this is how a message of rustc begins when linking has failed.
pub fn has_failed(message: &str) -> bool {
    let beginnings = ["linking with", "could not exec the linker", "linker `"];
    beginnings.iter().any(|text| message.starts_with(text))
}

/// What to add to a call of rustc to that end. Nothing where `cc` would call another linker, if the
/// call says itself how to link, or if `cc` does not say what it is expected to.
pub fn arguments(call: &Call) -> Vec<String> {
    let chosen = |text: &String| text.trim_start_matches("-C").starts_with("link");
    if call.option("--target") != Some(TARGET) || call.arguments.iter().any(chosen) {
        return Vec::new();
    }
    let find = || {
        let rustc = real(RUSTC_ENV, "rustc");
        let sysroot = rustc.parent()?.parent()?;
        let linker = sysroot.join(format!("lib/rustlib/{TARGET}/bin/rust-lld"));
        if !linker.is_file() {
            return None;
        }
        let output = Command::new("cc")
            .args(["-###", "-shared", "cell.o"])
            .env("LC_ALL", "C")
            .output();
        let words = from_what_cc_says(&String::from_utf8(output.ok()?.stderr).ok()?)?;
        let mut found = vec![
            "-Clinker-flavor=ld.lld".to_owned(),
            format!("-Clinker={}", linker.to_str()?),
        ];
        found.extend(words.iter().map(|word| format!("-Clink-arg={word}")));
        Some(found)
    };
    find().unwrap_or_default()
}

/// The folders with libraries, and what stands around the code of every library: all that rustc
/// does not say itself.
fn from_what_cc_says(said: &str) -> Option<Vec<String>> {
    let call = said.lines().rfind(|line| line.contains(" cell.o "))?;
    let words = call.split_whitespace().map(|word| word.trim_matches('"'));
    let is_around = |word: &str| word.ends_with(".o") && Path::new(word).is_file();
    let mut found: Vec<String> = words
        .filter(|word| word.starts_with("-L") || is_around(word))
        .map(str::to_owned)
        .collect();
    let around = found.iter().filter(|word| is_around(word)).count();
    found.push("-lgcc".to_owned());
    (around == 4).then_some(found) // crti, crtbegin, crtend, crtn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cc_says_is_understood_or_not_used_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut call = "COLLECT_GCC=cc\n \"collect2\" \"-plugin-opt=-lc\" -m elf_x86_64".to_owned();
        for name in ["crti.o", "crtbeginS.o", "crtendS.o", "crtn.o"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            call += &format!(" {} ", path.display());
        }
        let whole = format!("{call} \"-L/usr/lib/gcc\" cell.o -lgcc\n");
        let found = from_what_cc_says(&whole).unwrap();
        assert_eq!(found.len(), 6, "{found:?}");
        assert_eq!(found[4..], ["-L/usr/lib/gcc", "-lgcc"]);
        assert_eq!(from_what_cc_says(&whole.replace("crtn.o", "none.o")), None);
        assert_eq!(from_what_cc_says("cc: error: no such option"), None);
    }
}
