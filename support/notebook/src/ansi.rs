//! Colours: from a terminal's escape sequences to HTML.

use std::fmt::Write;

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    foreground: Option<Colour>,
    background: Option<Colour>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Colour {
    /// One of the 16 that have names.
    Named(u8),
    Rgb(u8, u8, u8),
}

/// The named colours, readable on white and on black.
const NAMED: [&str; 16] = [
    "#6b7280", "#d5453b", "#1d9a51", "#b07d12", "#2f81d6", "#b558c0", "#1592a0", "#8a929c",
    "#868e98", "#ea5a50", "#27ab5f", "#c08a1a", "#4a94e4", "#c66bd0", "#22a3b2", "#9aa2ac",
];

impl Style {
    /// The style after `sequence`, if that is one that sets colours (`ESC [ … m`).
    pub(crate) fn after(mut self, sequence: &str) -> Style {
        let Some(codes) = sequence
            .strip_prefix("\x1b[")
            .and_then(|rest| rest.strip_suffix('m'))
        else {
            return self;
        };
        let mut codes = codes
            .split([';', ':'])
            .map(|code| code.parse().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => self = Style::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                30..=37 => self.foreground = Some(Colour::Named(code - 30)),
                38 => self.foreground = extended(&mut codes),
                39 => self.foreground = None,
                40..=47 => self.background = Some(Colour::Named(code - 40)),
                48 => self.background = extended(&mut codes),
                49 => self.background = None,
                90..=97 => self.foreground = Some(Colour::Named(code - 90 + 8)),
                100..=107 => self.background = Some(Colour::Named(code - 100 + 8)),
                _ => {}
            }
        }
        self
    }

    /// The same as CSS; empty for text that looks like any other.
    pub(crate) fn css(self) -> String {
        let mut css = String::new();
        for (name, colour) in [("color", self.foreground), ("background", self.background)] {
            let _ = match colour {
                None => Ok(()),
                Some(Colour::Named(n)) => write!(css, "{name}:{};", NAMED[usize::from(n % 16)]),
                Some(Colour::Rgb(r, g, b)) => write!(css, "{name}:#{r:02x}{g:02x}{b:02x};"),
            };
        }
        for (set, rule) in [
            (self.bold, "font-weight:bold;"),
            (self.dim, "opacity:.75;"),
            (self.italic, "font-style:italic;"),
            (self.underlined, "text-decoration:underline;"),
        ] {
            if set {
                css += rule;
            }
        }
        css
    }
}

/// The colour after a 38 or 48: `5;n` or `2;r;g;b`.
fn extended(codes: &mut impl Iterator<Item = u8>) -> Option<Colour> {
    match codes.next()? {
        5 => Some(match codes.next()? {
            n @ 0..16 => Colour::Named(n),
            n @ 16..232 => {
                let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
                let n = n - 16;
                Colour::Rgb(level(n / 36), level(n / 6 % 6), level(n % 6))
            }
            n => {
                let grey = 8 + 10 * (n - 232);
                Colour::Rgb(grey, grey, grey)
            }
        }),
        2 => Some(Colour::Rgb(codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn css(sequences: &[&str]) -> String {
        sequences
            .iter()
            .fold(Style::default(), |style, sequence| style.after(sequence))
            .css()
    }

    #[test]
    fn styles_add_up_until_they_are_reset() {
        assert_eq!(
            css(&["\x1b[32m", "\x1b[1m"]),
            "color:#1d9a51;font-weight:bold;"
        );
        assert_eq!(css(&["\x1b[1;4;31m", "\x1b[0m"]), "");
        assert_eq!(css(&["\x1b[1;2m", "\x1b[22m", "\x1b[m"]), "");
    }

    #[test]
    fn all_the_ways_to_name_a_colour() {
        assert_eq!(css(&["\x1b[38;2;1;2;255m"]), "color:#0102ff;");
        assert_eq!(css(&["\x1b[38;5;196m"]), "color:#ff0000;");
        assert_eq!(css(&["\x1b[48;5;255m"]), "background:#eeeeee;");
        assert_eq!(css(&["\x1b[97;41m"]), "color:#9aa2ac;background:#d5453b;");
    }

    #[test]
    fn other_sequences_and_nonsense_change_nothing() {
        assert_eq!(
            css(&["\x1b[2K", "\x1b[38;5m", "\x1b[999m", "\x1b[38;7m"]),
            ""
        );
    }
}
