//! Country codes, and which of them are meant.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::Error;
use crate::country::Country;

/// A code of two letters, AA to ZZ; it need not be one of a country.
///
/// Being two letters and nothing else, it is safe in a URL and in a file name.
///
/// ```
/// let code: flags::Code = "cn".parse()?;
/// assert_eq!(code.to_string(), "CN");
/// assert!("../".parse::<flags::Code>().is_err());
/// # Ok::<(), flags::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code([u8; 2]);

impl Code {
    /// How many there are: 26 × 26.
    pub const COUNT: usize = 676;

    /// The code as text, in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("letters are UTF-8")
    }

    /// The code as in URLs: in lower case.
    #[must_use]
    pub fn lower(&self) -> String {
        self.as_str().to_lowercase()
    }

    /// Its place among all codes, 0 for AA to 675 for ZZ.
    pub(crate) fn index(self) -> usize {
        let [first, second] = self.0.map(|letter| usize::from(letter - b'A'));
        first * 26 + second
    }
}

impl FromStr for Code {
    type Err = Error;

    fn from_str(text: &str) -> Result<Code, Error> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Code([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(Error::Code(text.to_owned())),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

const fn pop20(codes: [&[u8; 2]; 20]) -> [Code; 20] {
    let mut all = [Code(*b"AA"); 20];
    let mut i = 0;
    while i < all.len() {
        all[i] = Code(*codes[i]);
        i += 1;
    }
    all
}

/// The 20 most populous countries of the book's example, most people first.
pub const POP20: [Code; 20] = pop20([
    b"CN", b"IN", b"US", b"ID", b"BR", b"PK", b"NG", b"BD", b"RU", b"JP", b"MX", b"PH", b"VN",
    b"ET", b"EG", b"DE", b"IR", b"TR", b"CD", b"FR",
]);

/// Which codes are meant, as the program's arguments say it.
///
/// ```
/// use flags::Wanted;
///
/// let wanted = Wanted { codes: vec!["cn".into(), "B".into()], limit: Some(3), ..Wanted::default() };
/// assert_eq!(format!("{:?}", wanted.expand()?), "[BA, BB, BC]"); // sorted, then limited
/// # Ok::<(), flags::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Every possible code, AA to ZZ; goes before the other two.
    pub every: bool,
    /// All codes of countries; goes before `codes`.
    pub all: bool,
    /// Codes of two letters, or single letters that stand for 26 codes; in upper or lower case.
    pub codes: Vec<String>,
    /// At most so many of them.
    pub limit: Option<usize>,
}

impl Wanted {
    /// The codes, sorted, each once. Nothing wanted means [`POP20`].
    ///
    /// # Errors
    /// [`Error::Code`] when one of `codes` is not A to Z or AA to ZZ and is looked at.
    pub fn expand(&self) -> Result<Vec<Code>, Error> {
        let mut codes = match self {
            Wanted { every: true, .. } => ('A'..='Z').flat_map(starting_with).collect(),
            Wanted { all: true, .. } => Country::all().map(|country| country.code).collect(),
            Wanted { codes, .. } if codes.is_empty() => POP20.to_vec(),
            Wanted { codes, .. } => {
                let mut expanded = Vec::new();
                for text in codes {
                    match text.as_bytes() {
                        [letter] if letter.is_ascii_alphabetic() => {
                            expanded.extend(starting_with(letter.to_ascii_uppercase().into()));
                        }
                        _ => expanded.push(text.parse()?),
                    }
                }
                expanded
            }
        };
        codes.sort_unstable();
        codes.dedup();
        codes.truncate(self.limit.unwrap_or(usize::MAX));
        Ok(codes)
    }
}

/// The 26 codes that start with a letter of A to Z.
fn starting_with(first: char) -> impl Iterator<Item = Code> {
    (b'A'..=b'Z').map(move |second| Code([first as u8, second]))
}
