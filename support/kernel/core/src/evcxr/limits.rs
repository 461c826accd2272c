//! What cannot be done in a notebook because of how evcxr keeps things between cells, though Rust
//! allows it: said in the error itself, with what to write instead.
//!
//! evcxr says some of it in sentences of its own, which are replaced; the rest comes as a mistake
//! that rustc finds in what evcxr has made of the cell, and gets a line more. What may have another
//! cause is left alone.

use serde_json::{Value, json};

use crate::failure;

/// What to do with a value that only this cell needs.
const BRACES: &str = "  只在这一格里用的，把代码放进大括号 { … }。";

/// evcxr's `error` for a cell, explained. `was_variable` says whether an earlier cell has defined a
/// variable of that name.
pub fn explained(error: Value, code: &str, was_variable: impl Fn(&str) -> bool) -> Value {
    let said = error["evalue"].as_str().unwrap_or_default().to_owned();
    if let Some((message, details)) = not_kept(&said) {
        let details: Vec<String> = details
            .into_iter()
            .map(|line| format!("  {line}"))
            .collect();
        return failure::error(
            "Error",
            &message,
            &[&details[..], &[BRACES.to_owned()]].concat(),
        );
    }
    match hint(&said, code, was_variable) {
        Some(hint) => with_line(error, &format!("  {hint}")),
        None => error,
    }
}

/// Why a variable cannot be kept for later cells, and how else it could be; from evcxr's sentence.
fn not_kept(said: &str) -> Option<(String, Vec<String>)> {
    let (before, rest) = said.split_once('`')?;
    if ![
        "The variable ",
        "Couldn't automatically determine type of variable ",
    ]
    .contains(&before)
    {
        return None;
    }
    let (name, rest) = rest.split_once('`')?;
    if before.starts_with("Couldn't") {
        return Some((
            format!("推断不出变量 {name} 的类型。"),
            vec![format!(
                "写出来：let {name}: 类型 = …; 宏的结果（select!、join!）常常要这样写。"
            )],
        ));
    }
    if rest.starts_with(" is a closure") {
        return Some((
            format!("变量 {name} 是闭包，不能留到后面的单元格：它的类型没有名字。"),
            vec![format!(
                "装进 Box：let {name}: Box<dyn Fn(参数类型) -> 返回类型> = Box::new(…); 或者写成 fn。"
            )],
        ));
    }
    if rest.starts_with(" contains a reference") {
        return Some((
            format!("变量 {name} 借用了这一格里的值，不能留到后面的单元格。"),
            vec!["留一份拷贝：.to_owned()、.clone()。锁的守卫不要留，用到时再 lock。".to_owned()],
        ));
    }
    let (kind, _) = rest
        .strip_prefix(" has type `")?
        .split_once("` which cannot be persisted")?;
    let boxed = format!("let {name}: std::pin::Pin<Box<dyn Future<Output = 类型>>> = Box::pin(…);");
    if kind.contains("pin::Pin<&mut ") {
        return Some((
            format!("变量 {name} 被 pin! 固定在这一格里，不能留到后面的单元格。"),
            vec![format!("装进 Box：{boxed}")],
        ));
    }
    if kind.contains("impl Future") {
        return Some((
            format!("变量 {name} 是还没有执行的 future，不能留到后面的单元格：它的类型没有名字。"),
            vec![
                "当场 .await；或者用 tokio::spawn 变成任务，任务的句柄可以留下来。".to_owned(),
                format!("或者装进 Box：{boxed}"),
            ],
        ));
    }
    Some((
        format!("变量 {name} 的类型是 {kind}，不能留到后面的单元格：里面有没有名字的类型。"),
        vec!["迭代器先 .collect()，别的装进 Box<dyn …>。".to_owned()],
    ))
}

/// A line more for a mistake that is evcxr's way of keeping things, not the student's.
pub fn hint(said: &str, code: &str, was_variable: impl Fn(&str) -> bool) -> Option<String> {
    let quoted = || said.split('`').nth(1);
    let defines = ["thread_local!", "task_local!"]
        .into_iter()
        .find(|name| code.contains(name));
    if let Some(name) = defines
        && (said.starts_with("expected expression") || said.starts_with("cannot find value"))
    {
        return Some(format!(
            "evcxr 把最外层的宏调用当作语句。{name} 要放进模块：mod 名字 {{ {name} {{ pub static … }} }}"
        ));
    }
    if said == "expected expression, found `:`"
        && code.lines().any(|line| line.trim_start().starts_with(':'))
    {
        let hint =
            "冒号开头的命令（:dep …）写在单元格的最前面，在它之前只能有空行和顶格的 // 注释。";
        return Some(hint.to_owned());
    }
    if said.contains("the `!` type is experimental") {
        let hint = "宏的结果（select! 等）推断不出类型时会这样：写出来，let 名字: 类型 = …;";
        return Some(hint.to_owned());
    }
    let once = |text: &str| code.matches(text).count() == 1;
    let duplicate = said.starts_with("duplicate definitions with name")
        && once(&format!("fn {}", quoted()?))
        || said.starts_with("conflicting implementations of trait") && once("impl");
    if duplicate {
        let hint = "前面执行过的单元格里已经有这个 impl，evcxr 一直留着它：重启内核。以后把类型和它的 \
                    impl 写在同一格里，就可以改了再执行。";
        return Some(hint.to_owned());
    }
    if said.starts_with("cannot find value") && was_variable(quoted()?) {
        let name = quoted()?;
        return Some(format!(
            "前面的单元格定义过 {name}，它的值已经被移走（move）了，或者那一格没有执行成功：用 let 重新定义。"
        ));
    }
    None
}

fn with_line(mut error: Value, line: &str) -> Value {
    match error["traceback"].as_array_mut() {
        Some(lines) => lines.push(line.into()),
        None => error["traceback"] = json!([line]),
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(said: &str, code: &str) -> String {
        let error = json!({ "ename": "Error", "evalue": said, "traceback": [said] });
        let error = explained(error, code, |name| name == "moved");
        let lines = error["traceback"].as_array().unwrap().iter();
        lines
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// As evcxr 0.22.0 says it.
    #[test]
    fn what_cannot_be_kept_is_said_with_what_to_write_instead() {
        for (said, pieces) in [
            (
                "The variable `f` is a closure, which cannot be persisted.\nYou can however",
                ["变量 f 是闭包", "let f: Box<dyn Fn("],
            ),
            (
                "The variable `p` has type `std::pin::Pin<&mut impl Future<Output = i32>>` which cannot be persisted.\nYou",
                ["pin!", "let p: std::pin::Pin<Box<dyn Future"],
            ),
            (
                "The variable `fut` has type `impl Future<Output = i32>` which cannot be persisted.\nYou",
                ["变量 fut 是还没有执行的 future", "tokio::spawn"],
            ),
            (
                "The variable `it` has type `std::iter::Map<std::ops::Range<i32>, impl FnMut(i32) -> i32>` which cannot be persisted.\nYou",
                ["std::iter::Map<std::ops::Range<i32>, impl", ".collect()"],
            ),
            (
                "The variable `part` contains a reference with a non-static lifetime so\ncan't be persisted.",
                ["变量 part 借用了", ".to_owned()"],
            ),
            (
                "Couldn't automatically determine type of variable `x`.\nPlease give it an explicit type.",
                ["变量 x 的类型", "let x: 类型"],
            ),
        ] {
            let shown = shown(said, "");
            for piece in pieces {
                assert!(shown.contains(piece), "{said}: {shown}");
            }
            assert!(
                !shown.contains("persist") && shown.contains("大括号"),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_mistake_that_is_a_limit_gets_a_line_more() {
        for (said, code, hint) in [
            (
                "expected expression, found `vis` metavariable",
                "thread_local! { static T: u8 = 1; }",
                "mod 名字 { thread_local!",
            ),
            (
                "expected expression, found `:`",
                "  // c\n:dep a = \"1\"",
                "顶格",
            ),
            (
                "the `!` type is experimental",
                "let x = select! {};",
                "写出来",
            ),
            (
                "duplicate definitions with name `g`",
                "impl W { fn g() {} }",
                "同一格",
            ),
            (
                "conflicting implementations of trait `Clone` for type `W`",
                "impl Clone for W {}",
                "同一格",
            ),
            (
                "cannot find value `moved` in this scope",
                "moved = 1;",
                "用 let 重新定义",
            ),
        ] {
            let shown = shown(said, code);
            assert!(shown.starts_with(said) && shown.contains(hint), "{shown}");
        }
    }

    #[test]
    fn other_mistakes_are_left_as_they_are() {
        for (said, code) in [
            ("cannot find value `other` in this scope", "other"),
            (
                "duplicate definitions with name `g`",
                "impl W { fn g() {} fn g() {} }",
            ),
            (
                "conflicting implementations of trait `C`",
                "impl C for W {} impl C for W {}",
            ),
            ("expected expression, found `:`", "let a = :;"),
            ("mismatched types", ""),
            ("The variable of `x` is odd", ""),
            ("", ""),
        ] {
            assert_eq!(shown(said, code), said);
        }
    }

    #[test]
    fn no_text_of_an_error_makes_it_panic() {
        use properties::proptest::prelude::*;
        let beginning = prop::sample::select(vec![
            "",
            "The variable `",
            "The variable `a` has type `",
            "duplicate definitions with name ",
            "cannot find value ",
        ]);
        let any = (beginning, properties::text(9), properties::text(9));
        properties::holds(&any, |(beginning, rest, code)| {
            shown(&format!("{beginning}{rest}"), &code);
            explained(json!(rest), &code, |_| true);
        });
    }
}
