//! The variables that a cell's own `let`s define, as they stand in its code.

use ra_ap_syntax::ast::{Fn, HasName, IdentPat, LetStmt, Pat, Stmt};
use ra_ap_syntax::{AstNode, Edition, SourceFile, SyntaxKind};

use super::source_map::start_of_rust;

/// A variable of a cell's outermost `let`s.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    pub name: String,
    pub is_mut: bool,
    /// What stands behind the `=`, if the whole value is this variable's.
    pub value: Option<String>,
}

/// All of them, in their order.
pub fn bindings(code: &str) -> Vec<Binding> {
    let lets = outermost_lets(code);
    lets.iter()
        .flat_map(|statement| {
            let pattern = statement.pat();
            let whole = matches!(&pattern, Some(Pat::IdentPat(name)) if name.pat().is_none());
            let value = statement.initializer().filter(|_| whole);
            let value = value.map(|value| value.syntax().text().to_string());
            let names = pattern.into_iter().flat_map(|pattern| {
                let nodes = pattern.syntax().descendants();
                nodes.filter_map(IdentPat::cast).collect::<Vec<_>>()
            });
            let binding = move |pattern: IdentPat| {
                Some(Binding {
                    name: pattern.name()?.text().to_string(),
                    is_mut: pattern.mut_token().is_some(),
                    value: value.clone(),
                })
            };
            names.filter_map(binding)
        })
        .collect()
}

/// Whether a name stands anywhere in a cell's code, as one.
pub fn mentions(code: &str, name: &str) -> bool {
    if !code.contains(name) {
        return false;
    }
    let parsed = parse(code);
    let mut tokens = parsed
        .syntax_node()
        .descendants_with_tokens()
        .filter_map(|element| element.into_token());
    tokens.any(|token| match token.kind() {
        SyntaxKind::IDENT => token.text() == name,
        // `format!("{name}")`
        SyntaxKind::STRING => ["}", ":"]
            .iter()
            .any(|end| token.text().contains(&format!("{{{name}{end}"))),
        _ => false,
    })
}

/// The cell's code in a function, whatever is wrong with it.
fn parse(code: &str) -> ra_ap_syntax::Parse<SourceFile> {
    let rust = &code[start_of_rust(code)..];
    SourceFile::parse(&format!("fn f(){{{rust}\n}}"), Edition::Edition2024)
}

fn outermost_lets(code: &str) -> Vec<LetStmt> {
    let function = parse(code).syntax_node().children().next();
    let statements = function
        .and_then(Fn::cast)
        .and_then(|function| function.body()?.stmt_list());
    let statements = statements
        .into_iter()
        .flat_map(|list| list.statements().collect::<Vec<_>>());
    statements
        .filter_map(|statement| match statement {
            Stmt::LetStmt(statement) => Some(statement),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outermost_variables_are_known_with_their_values() {
        let code = ":dep a = \"1\"\n// c\nlet mut n: u8 = f(1);\nlet (a, mut b) = (1, { let c = 2; c });\n\
            { let inner = 3; }\nlet Some(d) = o else { panic!() };\nlet later;\n";
        let binding = |name: &str, is_mut, value: Option<&str>| Binding {
            name: name.to_owned(),
            is_mut,
            value: value.map(str::to_owned),
        };
        let expected = [
            binding("n", true, Some("f(1)")),
            binding("a", false, None),
            binding("b", true, None),
            binding("d", false, None),
            binding("later", false, None),
        ];
        assert_eq!(bindings(code), expected);
    }

    #[test]
    fn a_name_is_found_only_where_it_stands_as_one() {
        for (code, expected) in [
            ("drop(text);", true),
            ("println!(\"{text}\");", true),
            ("println!(\"{text:?}\");", true),
            ("let texts = 1; // text", false),
            ("let s = \"text\";", false),
        ] {
            assert_eq!(mentions(code, "text"), expected, "{code}");
        }
    }
}
