//! Places in code, and what evcxr says about them, for Jupyter.
//!
//! Jupyter counts code points, evcxr graphemes: a flag, a letter with its accent, the two characters
//! that end a line on Windows are one to evcxr. It offers what an editor would fill in
//! (`for $1 in $2 {…}`), and it explains only what stands right before the cursor. So questions are
//! put to it in its way, and its answers are translated back.

use std::collections::HashSet;

use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind, TokenKind, tokenize};
use serde_json::{Map, Value, json};
use unicode_segmentation::UnicodeSegmentation;

use super::source_map::start_of_rust;

/// Brackets in brackets that nobody writes.
const DEEPEST: usize = 64;

/// Names that evcxr writes around a cell's code.
const OF_EVCXR: [&str; 4] = [
    "EvcxrUserCodeError",
    "evcxr_analysis_wrapper",
    "evcxr_internal_runtime",
    "evcxr_variable_store",
];

/// Graphemes before a place that is given in code points. A place within a grapheme counts as the
/// one before it, one past the end as the end.
pub fn to_evcxr(code: &str, code_points: usize) -> usize {
    graphemes_before(code, byte_of_code_point(code, code_points))
}

/// Code points before a place that is given in graphemes; one past the end counts as the end.
pub fn from_evcxr(code: &str, graphemes: usize) -> usize {
    let mut ends = code.grapheme_indices(true);
    let byte = ends.nth(graphemes).map_or(code.len(), |(at, _)| at);
    code[..byte].chars().count()
}

fn byte_of_code_point(code: &str, code_points: usize) -> usize {
    let mut starts = code.char_indices();
    starts.nth(code_points).map_or(code.len(), |(at, _)| at)
}

fn graphemes_before(code: &str, byte: usize) -> usize {
    let ends = code.grapheme_indices(true);
    ends.take_while(|(at, text)| at + text.len() <= byte)
        .count()
}

/// The content of a `complete_request`, for evcxr.
pub fn completion(content: &Value) -> Value {
    let mut content = content.clone();
    if let (Some(code), Some(cursor)) = question(&content) {
        content["cursor_pos"] = to_evcxr(code, cursor).into();
    }
    content
}

/// The content of evcxr's `complete_reply` to such a request, for who asked with `asked`.
pub fn completed(asked: &Value, reply: &Value) -> Value {
    let mut reply = reply.clone();
    let (Some(code), _) = question(asked) else {
        return reply;
    };
    let place = |name: &str| {
        let graphemes = reply[name].as_u64()? as usize;
        Some(from_evcxr(code, graphemes))
    };
    let (Some(start), Some(end)) = (place("cursor_start"), place("cursor_end")) else {
        return reply; // an error
    };
    let offers = offers(&reply);
    // JupyterLab inserts the texts that stand here, not the matches.
    let types: Vec<Value> = offers
        .iter()
        .map(|(text, kind)| json!({ "text": text, "type": kind, "start": start, "end": end }))
        .collect();
    let matches: Vec<&String> = offers.iter().map(|(text, _)| text).collect();
    reply["matches"] = json!(matches);
    reply["cursor_start"] = start.into();
    reply["cursor_end"] = end.into();
    if !reply["metadata"].is_object() {
        reply["metadata"] = Map::new().into();
    }
    reply["metadata"]["_jupyter_types_experimental"] = types.into();
    reply
}

/// What can be typed as it is offered, with its kind; each once.
fn offers(reply: &Value) -> Vec<(String, String)> {
    let texts = reply["matches"].as_array().map_or(&[][..], Vec::as_slice);
    let types = &reply["metadata"]["_jupyter_types_experimental"];
    let mut seen = HashSet::new();
    let offer = |(index, text): (usize, &Value)| {
        let of = |name: &str| types[index][name].as_str().unwrap_or_default();
        let text = typed(text.as_str()?, of("text"), of("type"))?;
        seen.insert(text.clone())
            .then(|| (text, of("type").to_owned()))
    };
    texts.iter().enumerate().filter_map(offer).collect()
}

/// What is typed for something that evcxr offers; none if that makes no sense without an editor that
/// fills it in.
fn typed(text: &str, label: &str, kind: &str) -> Option<String> {
    let name = text.split(['(', ' ']).next().unwrap_or_default();
    if OF_EVCXR.contains(&name) {
        return None;
    }
    if kind == "keyword" {
        // `for $1 in $2 {…}`: what follows the word is not known yet.
        let word = text.split(['$', '{', '\n', ';', '=']).next()?;
        let word = word.trim_end().trim_end_matches('(').trim_end();
        return (!word.is_empty()).then(|| word.to_owned());
    }
    // Arguments and fields that are only names to be replaced: `clamp(min, max)`, `B { c: () }`.
    for (filled_in, brackets) in [("(…)", ['(', ')']), ("{…}", ['{', '}'])] {
        let complete = label.strip_suffix(filled_in);
        if let Some(before) = complete.filter(|before| text.starts_with(*before)) {
            return Some(format!("{before}{}{}", brackets[0], brackets[1]));
        }
        if complete.is_some()
            && let Some(open) = text.rfind(brackets[0])
            && !text.contains('\n')
        {
            return Some(format!("{}{}", &text[..=open], brackets[1]));
        }
    }
    let has_gap = text.match_indices('$').any(|(at, _)| {
        let next = text[at + 1..].chars().next();
        next.is_some_and(|next| next == '{' || next.is_ascii_digit())
    });
    let text = match text.contains('\n') {
        true => text,                        // a whole function of a trait
        false => text.trim_end_matches(';'), // where it is inserted there may be one
    };
    (!has_gap).then(|| text.to_owned())
}

/// The content of an `inspect_request`, for evcxr: it looks at what its code ends in.
pub fn inspection(content: &Value) -> Value {
    let mut content = content.clone();
    if let (Some(code), Some(cursor)) = question(&content) {
        let code = up_to_name(code, byte_of_code_point(code, cursor));
        content["cursor_pos"] = code.graphemes(true).count().into();
        content["code"] = code.into();
    }
    content
}

/// Whether so many brackets stand in brackets that evcxr would take minutes over it: with each, it
/// takes longer.
pub fn is_too_deep(content: &Value) -> bool {
    let mut depth = 0_usize;
    let code = content["code"].as_str().unwrap_or_default();
    let mut deepest = 0;
    for token in tokens(code) {
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                depth = depth.saturating_sub(1);
            }
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > DEEPEST
}

/// Code and cursor of a request.
fn question(content: &Value) -> (Option<&str>, Option<usize>) {
    let cursor = content["cursor_pos"].as_u64();
    (
        content["code"].as_str(),
        cursor.map(|cursor| usize::try_from(cursor).unwrap_or(usize::MAX)),
    )
}

/// The code up to the end of the name, or the literal, that the cursor stands in or right behind.
fn up_to_name(code: &str, cursor: usize) -> String {
    let tokens = tokens(code);
    // Behind a name and before what follows, the name is meant.
    let touched = |token: &&Token| token.start <= cursor && cursor <= token.end;
    let meant = tokens
        .iter()
        .filter(touched)
        .find(|token| token.is_name())
        .or_else(|| tokens.iter().filter(touched).find(|token| token.is_literal));
    let Some(meant) = meant else {
        return code[..cursor].to_owned();
    };
    let text = &code[meant.start..meant.end];
    // What stands in the brackets of a macro means nothing to evcxr until they are closed.
    let Some(of_macro) = around(&tokens, meant.start) else {
        return code[..meant.end].to_owned();
    };
    let expression = match meant.is_name() {
        true => &code[start_of_expression(&tokens, meant)..meant.end],
        false => name_in_text(text, cursor - meant.start).unwrap_or(text),
    };
    code[..of_macro].to_owned() + expression
}

struct Token {
    start: usize,
    end: usize,
    kind: TokenKind,
    is_literal: bool,
}

impl Token {
    fn is_name(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Ident | TokenKind::RawIdent | TokenKind::Lifetime { .. }
        )
    }

    fn is_space(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::Whitespace | TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
        )
    }
}

/// The tokens of the Rust in a cell.
fn tokens(code: &str) -> Vec<Token> {
    let mut end = start_of_rust(code);
    let mut tokens = Vec::new();
    for token in tokenize(&code[end..], FrontmatterAllowed::No) {
        let start = end;
        end += token.len as usize;
        // A literal that does not end goes on to the end of the cell.
        let is_literal = match token.kind {
            TokenKind::Literal { kind, .. } => !matches!(
                kind,
                LiteralKind::Str { terminated: false } | LiteralKind::Char { terminated: false }
            ),
            _ => false,
        };
        tokens.push(Token {
            start,
            end,
            kind: token.kind,
            is_literal,
        });
    }
    tokens
}

/// Where the outermost call of a macro begins whose brackets are open at `at`.
fn around(tokens: &[Token], at: usize) -> Option<usize> {
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.start >= at {
            break;
        }
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => {
                open.push(start_of_macro(&tokens[..index]));
            }
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                open.pop();
            }
            _ => {}
        }
    }
    open.into_iter().flatten().next()
}

/// Where the name of a macro begins, if the tokens end in one and its exclamation mark.
fn start_of_macro(tokens: &[Token]) -> Option<usize> {
    let bang = tokens.iter().rposition(|token| !token.is_space())?;
    let before = &tokens[..bang];
    let name = before.last().filter(|name| name.is_name())?;
    (tokens[bang].kind == TokenKind::Bang).then(|| start_of_expression(before, name))
}

/// Where the expression begins that ends in this name: `a` of `a.b(1).c`.
fn start_of_expression(tokens: &[Token], name: &Token) -> usize {
    let Some(mut at) = tokens.iter().position(|token| token.start == name.start) else {
        return name.start;
    };
    let is_colon = |token: Option<&Token>| token.is_some_and(|it| it.kind == TokenKind::Colon);
    let mut start = name.start;
    loop {
        let before = |at: usize| (0..at).rev().find(|&index| !tokens[index].is_space());
        let Some(dot) = before(at) else { return start };
        let operand = match tokens[dot].kind {
            TokenKind::Dot => before(dot),
            TokenKind::Colon if is_colon(tokens[..dot].last()) => before(dot - 1),
            _ => return start,
        };
        let Some(mut operand) = operand else {
            return start;
        };
        // Calls and indices, back to the name that they follow.
        loop {
            match tokens[operand].kind {
                TokenKind::CloseParen | TokenKind::CloseBracket => {
                    let Some(open) = opening(tokens, operand) else {
                        return start;
                    };
                    start = tokens[open].start;
                    at = open;
                    match before(open) {
                        Some(index)
                            if tokens[index].is_name()
                                || matches!(
                                    tokens[index].kind,
                                    TokenKind::CloseParen
                                        | TokenKind::CloseBracket
                                        | TokenKind::Question
                                ) =>
                        {
                            operand = index;
                        }
                        _ => break,
                    }
                }
                TokenKind::Question => match before(operand) {
                    Some(index) => operand = index,
                    None => return start,
                },
                _ if tokens[operand].is_name() || tokens[operand].is_literal => {
                    start = tokens[operand].start;
                    at = operand;
                    break;
                }
                _ => return start,
            }
        }
    }
}

/// The bracket that this one closes.
fn opening(tokens: &[Token], closing: usize) -> Option<usize> {
    let mut depth = 0;
    for index in (0..=closing).rev() {
        match tokens[index].kind {
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => depth += 1,
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(index);
        }
    }
    None
}

/// The name in a text like `"{name:?}"` that the cursor stands in or right behind.
fn name_in_text(text: &str, cursor: usize) -> Option<&str> {
    let is_of_name = |c: char| c == '_' || c.is_alphanumeric();
    let before = text.get(..cursor)?;
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_of_name(*c))
        .last()
        .map_or(cursor, |(at, _)| at);
    let length = text[start..].find(|c| !is_of_name(c))?;
    let name = &text[start..start + length];
    let before = text[..start].chars().rev();
    let braces = before.take_while(|c| *c == '{').count();
    let begins = name.starts_with(|c: char| c == '_' || c.is_alphabetic());
    (begins && braces % 2 == 1).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &str = "let flags = [\"🇨🇳\", \"🇮🇳\"]; String::new().le";

    fn reply(offers: &[(&str, &str, &str)], start: usize, end: usize) -> Value {
        let types: Vec<Value> = offers
            .iter()
            .map(|(_, label, kind)| {
                json!({ "text": label, "type": kind, "start": start, "end": end })
            })
            .collect();
        let matches: Vec<&str> = offers.iter().map(|(text, ..)| *text).collect();
        json!({
            "status": "ok",
            "matches": matches,
            "cursor_start": start,
            "cursor_end": end,
            "metadata": { "_jupyter_types_experimental": types },
        })
    }

    #[test]
    fn a_flag_is_two_characters_to_jupyter_and_one_to_evcxr() {
        let asked = json!({ "code": FLAGS, "cursor_pos": 42 });
        assert_eq!(completion(&asked)["cursor_pos"], 40);
        let reply = completed(&asked, &reply(&[("len()", "len()", "function")], 38, 40));
        assert_eq!(
            (&reply["cursor_start"], &reply["cursor_end"]),
            (&json!(40), &json!(42))
        );
        let of_lab = &reply["metadata"]["_jupyter_types_experimental"][0];
        let expected = json!({ "text": "len()", "type": "function", "start": 40, "end": 42 });
        assert_eq!(of_lab, &expected);
    }

    #[test]
    fn lines_before_and_after_count_as_they_should() {
        let code = "// 中文\r\ne\u{301}.le\r\n\"👩‍💻\"";
        for (code_points, graphemes) in [
            (0, 0),
            (5, 5),
            (6, 5), // between the two that end the line
            (7, 6),
            (8, 6), // between a letter and its accent
            (9, 7),
            (12, 10),
            (14, 11),
            (15, 12),
            (16, 12),
            (17, 12),
            (18, 13),
            (19, 14),
            (99, 14),
        ] {
            assert_eq!(to_evcxr(code, code_points), graphemes, "{code_points}");
        }
        for (graphemes, code_points) in [(5, 5), (6, 7), (7, 9), (10, 12), (13, 18), (99, 19)] {
            assert_eq!(from_evcxr(code, graphemes), code_points, "{graphemes}");
        }
    }

    #[test]
    fn what_is_offered_can_be_typed_as_it_is() {
        // As evcxr 0.22.0 offers it.
        for (offered, label, kind, expected) in [
            ("len()", "len()", "function", Some("len()")),
            ("le(other)", "le(…)", "function", Some("le()")),
            ("clamp(min, max)", "clamp(…)", "function", Some("clamp()")),
            (
                "iter().inspect(f)",
                "iter().inspect(…)",
                "function",
                Some("iter().inspect()"),
            ),
            ("drop(x);", "drop(…)", "function", Some("drop()")),
            ("clear();", "clear()", "function", Some("clear()")),
            ("format!()", "format!(…)", "function", Some("format!()")),
            ("vec![]", "vec![…]", "function", Some("vec![]")),
            (
                "thread_local! {}",
                "thread_local! {…}",
                "function",
                Some("thread_local! {}"),
            ),
            ("Err(())", "Err(…)", "instance", Some("Err()")),
            ("A($1)", "A(…)", "instance", Some("A()")),
            ("r#try(x)", "try(…)", "function", Some("r#try()")),
            ("r#try(\n)", "try(…)", "function", Some("r#try(\n)")),
            ("B { c: () }", "B {…}", "instance", Some("B {}")),
            ("B { c$1 }", "B {…}", "instance", Some("B {}")),
            ("r#match", "match", "instance", Some("r#match")),
            ("r#try!()", "try!(…)", "function", Some("r#try!()")),
            ("for $1 in $2 {\n    \n}", "for", "keyword", Some("for")),
            (
                "if let $1 = $2 {\n    $3\n} else {\n    \n};",
                "if let",
                "keyword",
                Some("if let"),
            ),
            ("fn $1($2) {\n    \n}", "fn", "keyword", Some("fn")),
            ("let mut $1 = ;", "letm", "keyword", Some("let mut")),
            ("loop {\n    \n}", "loop", "keyword", Some("loop")),
            ("return ", "return", "keyword", Some("return")),
            ("pub(crate) ", "pub(crate)", "keyword", Some("pub(crate)")),
            ("std::", "std::", "module", Some("std::")),
            (":dep", ":dep", "magic", Some(":dep")),
            (
                "fn fmt(&self, f: &mut F<'_>) -> R {\n    \n}",
                "fn fmt(..)",
                "function",
                Some("fn fmt(&self, f: &mut F<'_>) -> R {\n    \n}"),
            ),
            ("a($1, b", "a", "instance", None),
            ("${1:a}", "a", "instance", None),
            (
                "evcxr_variable_store(_);",
                "evcxr_variable_store(…)",
                "function",
                None,
            ),
            ("EvcxrUserCodeError", "EvcxrUserCodeError", "class", None),
        ] {
            let typed = typed(offered, label, kind);
            assert_eq!(typed.as_deref(), expected, "{offered}");
        }
    }

    #[test]
    fn each_text_is_offered_once_and_the_types_belong_to_the_texts() {
        let asked = json!({ "code": "whi", "cursor_pos": 3 });
        let offers = [
            (
                "evcxr_variable_store(_)",
                "evcxr_variable_store(…)",
                "function",
            ),
            ("while $1 {\n    \n}", "while", "keyword"),
            ("while let $1 = $2 {\n    \n}", "while let", "keyword"),
            ("println!()", "println!(…)", "function"),
            ("println!()", "println!(…)", "function"),
        ];
        let reply = completed(&asked, &reply(&offers, 0, 3));
        assert_eq!(
            reply["matches"],
            json!(["while", "while let", "println!()"])
        );
        let types = reply["metadata"]["_jupyter_types_experimental"].as_array();
        let types: Vec<_> = types
            .unwrap()
            .iter()
            .map(|of| (of["text"].as_str().unwrap(), of["type"].as_str().unwrap()))
            .collect();
        let expected = [
            ("while", "keyword"),
            ("while let", "keyword"),
            ("println!()", "function"),
        ];
        assert_eq!(types, expected);
    }

    #[test]
    fn what_is_no_completion_passes_as_it_came() {
        let asked = json!({ "code": "x", "cursor_pos": 1 });
        let error = json!({ "status": "error", "ename": "e" });
        assert_eq!(completed(&asked, &error), error);
        for strange in [
            json!(null),
            json!({}),
            json!({ "code": 1, "cursor_pos": -1 }),
        ] {
            assert_eq!(completion(&strange), strange);
            assert_eq!(inspection(&strange), strange);
            assert_eq!(completed(&strange, &error), error);
        }
        let bare =
            json!({ "status": "ok", "matches": ["a", 1], "cursor_start": 0, "cursor_end": 1 });
        assert_eq!(completed(&asked, &bare)["matches"], json!(["a"]));
        for (metadata, other) in [
            (json!({ "other": 1 }), json!(1)),
            (json!("odd"), json!(null)),
        ] {
            let mut reply = bare.clone();
            reply["metadata"] = metadata;
            assert_eq!(completed(&asked, &reply)["metadata"]["other"], other);
        }
    }

    #[test]
    fn a_name_is_inspected_anywhere_in_it() {
        // The cursor is where the bar is.
        for (code, expected) in [
            ("|inspected", "inspected"),
            ("ins|pected", "inspected"),
            ("inspected|", "inspected"),
            ("(inspected|)", "(inspected"),
            ("a+|inspected", "a+inspected"),
            ("r#ma|tch + 1", "r#match"),
            ("|r#match", "r#match"),
            ("变|量.iter()", "变量"),
            ("变量.|iter()", "变量.iter"),
            ("变量.iter|()", "变量.iter"),
            ("let a = 1;\r\nb|b", "let a = 1;\r\nbb"),
            ("\"🇨🇳\"; in|spected", "\"🇨🇳\"; inspected"),
            (":dep don't = \"1\"\nna|me", ":dep don't = \"1\"\nname"),
            ("fo|r x in y {}", "for"),
            ("1|2", "12"),
            ("\"te|xt\" + 1", "\"text\""),
            ("'na|me: loop {}", "'name"),
            ("f(|)", "f("),
            ("// a com|ment", "// a com"),
            ("/* a com|ment */", "/* a com"),
            ("\"no en|d", "\"no en"),
            ("|", ""),
            ("  |  ", "  "),
        ] {
            let cursor = code[..code.find('|').unwrap()].chars().count();
            let asked = json!({ "code": code.replacen('|', "", 1), "cursor_pos": cursor });
            let question = inspection(&asked);
            assert_eq!(question["code"], expected, "{code}");
            let end = to_evcxr(expected, usize::MAX);
            assert_eq!(question["cursor_pos"], end, "{code}");
        }
    }

    #[test]
    fn a_name_in_the_brackets_of_a_macro_is_inspected_without_them() {
        for (code, expected) in [
            ("println!(\"{}\", insp|ected)", "inspected"),
            ("let q = 1; println!(\"{}\", q|)", "let q = 1; q"),
            (
                "std::println!(\"{}\", a.b(1)[2]?.c|lone().d)",
                "a.b(1)[2]?.clone",
            ),
            ("vec![(Str|ing::new())]", "String"),
            ("vec![String::ne|w()]", "String::new"),
            ("println!(\"{inspe|cted:?}\")", "inspected"),
            ("println!(\"{{no|ne}}\")", "\"{{none}}\""),
            ("println!(\"te|xt\")", "\"text\""),
            ("print|ln!(\"text\")", "println"),
            ("println!(\"a\"); inspe|cted", "println!(\"a\"); inspected"),
            ("select! { _ = ta|sk => {} }", "task"),
            ("assert!(!insp|ected)", "inspected"),
            ("println!(\"{_na|me}\")", "_name"),
            ("println!(\"{0|}\", a)", "\"{0}\""),
            // What stands before it is none of its expression.
            ("m!(a b: na|me)", "name"),
            ("m!({ a }.na|me)", "name"),
            ("m!(\"a\" (b).na|me)", "(b).name"),
        ] {
            let cursor = code.find('|').unwrap();
            let asked = json!({ "code": code.replacen('|', "", 1), "cursor_pos": cursor });
            assert_eq!(inspection(&asked)["code"], expected, "{code}");
        }
    }

    #[test]
    fn only_what_nobody_writes_is_too_deep() {
        let depth = |text: &str, times: usize| json!({ "code": text.repeat(times) });
        for (content, expected) in [
            (depth("f(", DEEPEST), false),
            (depth("f(", DEEPEST + 1), true),
            (depth("[]{}()", 200), false),
            (depth("\"(\"", 200), false),
            (depth(")", 200), false),
            (json!({}), false),
        ] {
            assert_eq!(is_too_deep(&content), expected, "{content}");
        }
    }

    #[test]
    fn past_the_end_is_the_end() {
        let asked = json!({ "code": "é name", "cursor_pos": 99 });
        assert_eq!(inspection(&asked)["code"], "é name");
        assert_eq!(completion(&asked)["cursor_pos"], 6);
        let huge = json!({ "code": "é name", "cursor_pos": u64::MAX });
        assert_eq!(completion(&huge)["cursor_pos"], 6);
    }

    #[test]
    fn places_are_translated_without_loss() {
        properties::holds(&properties::text(30), |code| {
            let code_points = code.chars().count();
            let graphemes = code.graphemes(true).count();
            for at in 0..=graphemes + 1 {
                let there = from_evcxr(&code, at);
                assert_eq!(to_evcxr(&code, there), at.min(graphemes), "{at}");
            }
            let mut last = 0;
            for at in 0..=code_points + 1 {
                let there = to_evcxr(&code, at);
                assert!(from_evcxr(&code, there) <= at, "{at}");
                assert!((last..=graphemes).contains(&there), "{at}");
                last = there;
            }
            assert_eq!(last, graphemes);
        });
    }

    #[test]
    fn any_question_and_any_answer_can_be_translated() {
        use properties::proptest::prelude::*;
        let offers = prop::collection::vec((properties::text(4), properties::text(4)), 0..4);
        let places = (0..40_u64, 0..40_u64, 0..40_u64);
        let any = (properties::text(20), places, offers);
        properties::holds(&any, |(code, (cursor, start, end), offers)| {
            let asked = json!({ "code": code, "cursor_pos": cursor });
            let question = inspection(&asked);
            let seen = question["code"].as_str().unwrap();
            assert_eq!(question["cursor_pos"], seen.graphemes(true).count());
            let offers: Vec<_> = offers
                .iter()
                .flat_map(|(text, label)| {
                    ["keyword", "function"].map(|kind| (&**text, &**label, kind))
                })
                .collect();
            let reply = completed(&asked, &reply(&offers, start as usize, end as usize));
            let matches = reply["matches"].as_array().unwrap();
            let types = reply["metadata"]["_jupyter_types_experimental"].as_array();
            assert_eq!(matches.len(), types.unwrap().len());
            let last = code.chars().count() as u64;
            assert!(reply["cursor_end"].as_u64().unwrap() <= last);
        });
    }
}
