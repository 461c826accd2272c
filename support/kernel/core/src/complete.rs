//! Whether code is whole: for `is_complete_request`, by which a console decides between running a
//! line and asking for the next one.

use proc_macro2::TokenStream;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use serde_json::{Value, json};
use syn::parse::Parser;
use syn::{Block, Stmt};

/// The content of an `is_complete_reply`.
pub fn answer(code: &str) -> Value {
    match state(code) {
        State::Complete => json!({ "status": "complete" }),
        State::Invalid => json!({ "status": "invalid" }),
        State::Incomplete { depth } => {
            json!({ "status": "incomplete", "indent": "    ".repeat(depth) })
        }
    }
}

#[derive(Debug, PartialEq)]
enum State {
    Complete,
    Invalid,
    /// How many brackets are open.
    Incomplete {
        depth: usize,
    },
}

fn state(code: &str) -> State {
    let code = without_commands(code);
    let mut open = Vec::new();
    let mut at = 0;
    for token in tokenize(&code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        at += token.len as usize;
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::OpenBracket => open.push(text),
            TokenKind::CloseParen | TokenKind::CloseBrace | TokenKind::CloseBracket => {
                let pair = (open.pop().unwrap_or_default(), text);
                if ![("(", ")"), ("{", "}"), ("[", "]")].contains(&pair) {
                    return State::Invalid;
                }
            }
            TokenKind::BlockComment {
                terminated: false, ..
            } => {
                return State::Incomplete { depth: open.len() };
            }
            TokenKind::Literal { kind, .. } if is_open(kind) => {
                return State::Incomplete { depth: open.len() };
            }
            TokenKind::InvalidIdent | TokenKind::Unknown => return State::Invalid,
            _ => {}
        }
    }
    if !open.is_empty() {
        return State::Incomplete { depth: open.len() };
    }
    let Ok(tokens) = code.parse::<TokenStream>() else {
        return State::Invalid;
    };
    match Block::parse_within.parse2(tokens) {
        Ok(_) => State::Complete,
        // No token is wrong: one is missing where the code ends.
        Err(error) if error.span().byte_range().is_empty() => State::Incomplete { depth: 0 },
        Err(_) => State::Invalid,
    }
}

/// Literals that may span lines and have not come to their end.
fn is_open(kind: LiteralKind) -> bool {
    use LiteralKind::*;
    match kind {
        Str { terminated } | ByteStr { terminated } | CStr { terminated } => !terminated,
        RawStr { n_hashes } | RawByteStr { n_hashes } | RawCStr { n_hashes } => n_hashes.is_none(),
        _ => false,
    }
}

/// Whether a cell tells evcxr of crates.
pub fn names_crates(code: &str) -> bool {
    code.lines()
        .any(|line| line.trim_start().starts_with(":dep "))
}

/// The Rust in a cell: lines that begin with a colon are commands to evcxr.
fn without_commands(code: &str) -> String {
    let rust = |line: &&str| !line.trim_start().starts_with(':');
    code.split_inclusive('\n').filter(rust).collect()
}

/// Whether evcxr will show the value of the code's last expression.
pub fn ends_in_expression(code: &str) -> bool {
    let Ok(tokens) = without_commands(code).parse::<TokenStream>() else {
        return true; // it will not compile
    };
    match Block::parse_within.parse2(tokens) {
        Ok(statements) => matches!(
            statements.last(),
            Some(
                Stmt::Expr(_, None)
                    | Stmt::Macro(syn::StmtMacro {
                        semi_token: None,
                        ..
                    })
            )
        ),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_incomplete_and_invalid_code_are_told_apart() {
        let incomplete = |depth| State::Incomplete { depth };
        for (code, expected) in [
            ("", State::Complete),
            ("1 + 1", State::Complete),
            ("let x = 1;", State::Complete),
            (":dep tokio = \"1\"\nuse std::fmt;", State::Complete),
            ("fn f() -> i32 { 1 }\nf().await", State::Complete),
            ("for i in 0..3 { println!(\"{i}\") }", State::Complete),
            ("// only a comment {", State::Complete),
            ("\"{ (\" ", State::Complete),
            ("let x = 1", incomplete(0)),
            ("let x =", incomplete(0)),
            ("1 +", incomplete(0)),
            ("struct A", incomplete(0)),
            ("#[derive(Debug)]", incomplete(0)),
            ("fn f() {", incomplete(1)),
            ("fn f() {\n    g(", incomplete(2)),
            ("\"a string", incomplete(0)),
            ("{ r#\"raw\" ", incomplete(1)),
            ("/* a comment", incomplete(0)),
            ("r#\"raw\" ", incomplete(0)),
            ("(b\"bytes", incomplete(1)),
            ("(c\"text", incomplete(1)),
            ("(br#\"raw\" ", incomplete(1)),
            ("(cr#\"raw\" ", incomplete(1)),
            ("(r#\"raw\"#", incomplete(1)),
            ("fn f() }", State::Invalid),
            ("{ §", State::Invalid),
            ("{ 🦀", State::Invalid),
            ("let x = (1];", State::Invalid),
            ("import a", State::Invalid),
            ("let = 2;", State::Invalid),
            ("x = = 2;", State::Invalid),
        ] {
            assert_eq!(state(code), expected, "{code}");
        }
    }

    #[test]
    fn a_console_is_told_what_to_do_next() {
        for (code, status, indent) in [
            ("1", "complete", None),
            ("}", "invalid", None),
            ("f(", "incomplete", Some("    ")),
            ("f((", "incomplete", Some("        ")),
        ] {
            let answer = answer(code);
            assert_eq!(answer["status"], status, "{code}");
            assert_eq!(answer["indent"].as_str(), indent, "{code}");
        }
    }

    #[test]
    fn the_last_expression_is_recognised() {
        for (code, expected) in [
            ("1 + 1", true),
            ("let x = 1;\nx // the value", true),
            ("vec![1]", true),
            ("if x { 1 } else { 2 }", true),
            ("x;", false),
            ("println!(\"{x}\");", false),
            ("let x = 1;", false),
            ("fn f() {}", false),
            ("", false),
            // They will not compile.
            ("let x = (", true),
            ("let = 1", true),
        ] {
            assert_eq!(ends_in_expression(code), expected, "{code}");
        }
    }
}
