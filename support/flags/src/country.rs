//! The countries, their names and their pictures.

use serde::Serialize;

use crate::Code;

const COUNTRIES: &str = include_str!("../data/countries.tsv");
const PICTURES: &str = include_str!("../data/pictures.tsv");

/// A country or territory that has a flag.
///
/// ```
/// let china = flags::Country::find("CN".parse()?).unwrap();
/// assert_eq!((china.name, china.chinese), ("China", "中国"));
/// assert!(china.picture.starts_with("<svg "));
/// assert_eq!(flags::Country::all().count(), 194);
/// # Ok::<(), flags::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Country {
    /// Its ISO 3166 code.
    pub code: Code,
    /// Its English name, as the book's example writes it.
    pub name: &'static str,
    /// Its Chinese name.
    pub chinese: &'static str,
    /// Its code in the older list GEC, which the book's metadata have as well.
    pub gec: &'static str,
    /// Its flag: an SVG document of at most 4 KB, three units wide and two high.
    #[serde(skip)]
    pub picture: &'static str,
}

impl Country {
    /// All 194 of them, sorted by code.
    pub fn all() -> impl Iterator<Item = Country> {
        // Both files have the same codes in the same order, which a test makes sure of.
        COUNTRIES
            .lines()
            .zip(PICTURES.lines())
            .map(|(line, picture)| {
                let mut columns = line.split('\t');
                let mut next = || columns.next().expect("countries.tsv has four columns");
                Country {
                    code: next().parse().expect("countries.tsv has codes"),
                    gec: next(),
                    name: next(),
                    chinese: next(),
                    picture: picture
                        .split_once('\t')
                        .expect("pictures.tsv has two columns")
                        .1,
                }
            })
    }

    /// The country with a code, if there is one.
    #[must_use]
    pub fn find(code: Code) -> Option<Country> {
        Country::all().find(|country| country.code == code)
    }

    /// What the server has as `metadata.json`: the keys of the book's example.
    ///
    /// ```
    /// let korea = flags::Country::find("KP".parse()?).unwrap();
    /// assert_eq!(
    ///     korea.metadata(),
    ///     r#"{"tld_cc":".kp","iso_cc":"KP","country":"Korea, North","gec_cc":"KN"}"#
    /// );
    /// # Ok::<(), flags::Error>(())
    /// ```
    #[must_use]
    pub fn metadata(&self) -> String {
        let domain = match self.code.as_str() {
            "GB" => "uk".to_owned(),
            _ => self.code.lower(),
        };
        serde_json::json!({
            "tld_cc": format!(".{domain}"),
            "iso_cc": self.code,
            "country": self.name,
            "gec_cc": self.gec,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_pictures_belong_together() {
        let codes = |file: &'static str| file.lines().map(|line| &line[..3]).collect::<Vec<_>>();
        assert_eq!(codes(COUNTRIES), codes(PICTURES));
        assert!(codes(COUNTRIES).is_sorted());
        assert_eq!(codes(COUNTRIES).len(), 194);
    }

    #[test]
    fn pictures_are_small_and_harmless() {
        for Country { code, picture, .. } in Country::all() {
            assert!(picture.starts_with("<svg xmlns="), "{code}");
            assert!(
                picture.ends_with("</svg>") && picture.len() < 4096,
                "{code}"
            );
            // In a page they stand next to each other: no scripts, links or names to mix up.
            for unwanted in ["<script", "<style", "<image", "href", " id=", " on"] {
                assert!(!picture.contains(unwanted), "{code}: {unwanted}");
            }
        }
    }
}
