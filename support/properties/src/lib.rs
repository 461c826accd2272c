//! For tests: what must hold for any input, tried on many.
//!
//! [`holds`] runs a test with inputs that proptest makes. Other inputs each time; what fails is made
//! smaller, and the message says the seed with which `PROPTEST_RNG_SEED` makes the same inputs again.
//! `PROPTEST_CASES` says how many. Nothing is written to disk.
//!
//! ```
//! properties::holds(&properties::text(20), |text| {
//!     assert_eq!(text.trim().trim(), text.trim());
//! });
//! ```

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

pub use proptest;

/// How many inputs are tried if `PROPTEST_CASES` does not say.
const CASES: u32 = 256;

/// Characters that programs like to get wrong: ends of lines, what is written with several bytes or
/// several characters, what has no width or two columns, what has a meaning in some format.
const TRICKY: [&str; 40] = [
    "\n",
    "\r\n",
    "\r",
    "\t",
    " ",
    "\0",
    "\x08",
    "\x1b[31m",
    "\x1b",
    "\u{7f}",
    "\u{9b}",
    "\"",
    "'",
    "\\",
    "<",
    ">",
    "&",
    "]]>",
    "{",
    "}",
    "(",
    ")",
    ";",
    "/*",
    "//",
    "$1",
    "é",
    "e\u{301}",
    "中",
    "，",
    "🇨🇳",
    "👩‍💻",
    "\u{200d}",
    "\u{feff}",
    "\u{202e}",
    "\u{fffe}",
    "𝄞",
    "ß",
    "a",
    "Z9_",
];

/// Tests with many inputs.
///
/// # Panics
/// When the test does with one of them; the message has the smallest that was found, and the seed.
pub fn holds<S: Strategy>(inputs: &S, test: impl Fn(S::Value))
where
    S::Value: Debug,
{
    let seed = setting("PROPTEST_RNG_SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: setting("PROPTEST_CASES").unwrap_or(CASES),
            ..Config::default()
        },
        TestRng::from_seed(RngAlgorithm::ChaCha, &bytes),
    );
    let result = runner.run(inputs, |input| {
        catch_unwind(AssertUnwindSafe(|| test(input))).map_err(|reason| {
            let reason = reason
                .downcast::<String>()
                .or_else(|reason| {
                    reason
                        .downcast::<&str>()
                        .map(|text| text.to_string().into())
                })
                .unwrap_or_default();
            TestCaseError::fail(*reason)
        })
    });
    if let Err(error) = result {
        panic!("{error}\nPROPTEST_RNG_SEED={seed} makes the same inputs again");
    }
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

/// Text of at most so many pieces: any characters, and those that programs like to get wrong.
pub fn text(longest: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&TRICKY[..]).prop_map(str::to_owned),
        2 => prop::char::range(' ', '~').prop_map(String::from),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..=longest).prop_map(|pieces| pieces.concat())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_fails_is_made_small_and_named_with_its_seed() {
        let failed = catch_unwind(|| holds(&text(20), |text| assert!(!text.contains('中'))));
        let message = *failed.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("\"中\""), "{message}");
        assert!(message.contains("PROPTEST_RNG_SEED="), "{message}");
    }

    #[test]
    fn as_many_inputs_are_tried_as_was_promised() {
        let tried = Cell::new(0);
        holds(&text(1), |_| tried.set(tried.get() + 1));
        assert_eq!(tried.get(), setting("PROPTEST_CASES").unwrap_or(CASES));
    }
}
