//! What cannot be done in a notebook because of how evcxr keeps things between cells, though Rust
//! allows it: said in the error itself, with what to write instead.
//!
//! evcxr says some of it in sentences of its own, which are replaced; the rest comes as a mistake
//! that rustc finds in what evcxr has made of the cell, and gets a line more. What may have another
//! cause is left alone.

use ra_ap_syntax::ast::{ClosureExpr, Expr};
use ra_ap_syntax::{AstNode, Edition, SourceFile};
use serde_json::{Value, json};

use super::bindings::{Binding, bindings};
use super::source_map::{Fate, SourceMap};
use crate::diagnosis::Told;
use crate::failure;

/// What to do with a value that only this cell needs.
const BRACES: &str = "只在这一格里用的，把代码放进大括号 { … }。";
/// Why what has no name cannot be kept.
const WHY_NAMED: &str =
    "每一格结束时，内核把变量按类型存起来，下一格再取出来；这种类型是编译器造的，没有名字可写。";
/// Why what borrows cannot be kept.
const WHY_OWNED: &str =
    "每一格结束时，内核把变量从这一格里搬走存起来，借用的东西不能跟着它的主人一起搬。";
/// Macros whose results have types that evcxr seldom finds out.
const MACROS: [&str; 2] = ["select!", "join!"];
/// A value longer than this is not repeated.
const LONGEST: usize = 60;

/// The cell that was refused, and what is known besides.
#[derive(Clone, Copy)]
pub struct Refused<'a> {
    pub code: &'a str,
    /// The cells before it.
    pub map: &'a SourceMap,
    /// What does not live long enough, as rustc says.
    pub owner: Option<&'a str>,
}

/// What evcxr says at the end of what rustc has said.
const SUMMARIES: [&str; 3] = [
    "Some errors have detailed explanations",
    "For more information about",
    "aborting due to",
];
/// What rustc finds where evcxr has not found out the type of a variable.
const NEVER: &str = "the `!` type is experimental";

/// evcxr's `error`s for a cell, explained.
pub fn explained(errors: &[Value], refused: Refused) -> Vec<Value> {
    let said = |error: &Value| error["evalue"].as_str().unwrap_or_default().to_owned();
    if errors.iter().any(|error| said(error).contains(NEVER))
        && let Some(variable) = of_macro(refused.code)
    {
        let (message, details) = Variable::new(&variable, refused.code).unknown();
        return vec![failure::error("Error", &message, &indented(details))];
    }
    let explain = |error: &Value| {
        let said = said(error);
        if let Some((message, details)) = not_kept(&said, refused) {
            return failure::error("Error", &message, &indented(details));
        }
        let mut error = error.clone();
        if let Some(lines) = of_message(&said, refused) {
            match error["traceback"].as_array_mut() {
                Some(shown) => shown.extend(lines.into_iter().map(Value::from)),
                None => error["traceback"] = json!(lines),
            }
        }
        error
    };
    let is_summary = |error: &&Value| {
        let said = said(error);
        SUMMARIES.iter().any(|summary| said.starts_with(summary))
    };
    let (summaries, mistakes): (Vec<&Value>, Vec<&Value>) = errors.iter().partition(is_summary);
    let errors = if mistakes.is_empty() {
        summaries
    } else {
        mistakes
    };
    errors.into_iter().map(explain).collect()
}

/// The variable whose value is what a macro gives.
fn of_macro(code: &str) -> Option<String> {
    let has_macro = |value: &String| MACROS.iter().any(|name| value.contains(name));
    let mut bindings = bindings(code).into_iter();
    let binding = bindings.find(|binding| binding.value.as_ref().is_some_and(has_macro))?;
    Some(binding.name)
}

fn indented(lines: Vec<String>) -> Vec<String> {
    lines.into_iter().map(|line| format!("  {line}")).collect()
}

/// Why a variable cannot be kept for later cells, and how else it could be; from evcxr's sentence.
fn not_kept(said: &str, refused: Refused) -> Option<(String, Vec<String>)> {
    if said.starts_with("Looks like you're missing a semicolon") {
        let message = "多半少了一个分号。".to_owned();
        return Some((message, vec!["看看每个语句的末尾。".to_owned()]));
    }
    let (before, rest) = said.split_once('`')?;
    let (name, rest) = rest.split_once('`')?;
    let variable = Variable::new(name, refused.code);
    match before {
        "Couldn't automatically determine type of variable " => Some(variable.unknown()),
        "Failed to determine type of variable " => {
            let (_, kind) = rest.split_once("rustc suggested type ")?;
            let (kind, _) = kind.split_once(", but")?;
            Some((
                format!(
                    "变量 {name} 的类型是 {kind}，但别处的代码写不出这个名字：它在私有的模块里。"
                ),
                vec![variable.line("公开的名字", None), BRACES.to_owned()],
            ))
        }
        "The variable " if rest.starts_with(" is a closure") => Some(variable.closure(false)),
        "The variable " if rest.starts_with(" contains a reference") => {
            Some(variable.borrows(refused.owner))
        }
        "The variable " => {
            let (kind, _) = rest
                .strip_prefix(" has type `")?
                .split_once("` which cannot be persisted")?;
            Some(variable.unnamed(kind))
        }
        _ => None,
    }
}

/// A variable that cannot be kept, and how it was made.
struct Variable<'a> {
    name: &'a str,
    is_mut: bool,
    /// What the student has written for it, if that is short.
    value: String,
    /// All of that.
    whole: String,
}

impl<'a> Variable<'a> {
    fn new(name: &'a str, code: &str) -> Variable<'a> {
        let bindings = bindings(code);
        let binding = bindings.into_iter().rfind(|binding| binding.name == name);
        let (is_mut, whole) = match binding {
            Some(Binding { is_mut, value, .. }) => (is_mut, value.unwrap_or_default()),
            None => (false, String::new()),
        };
        Variable {
            name,
            is_mut,
            value: short(&whole),
            whole,
        }
    }

    /// The `let`, with this type, and this value or its own.
    fn line(&self, kind: &str, value: Option<String>) -> String {
        format!(
            "let {}: {kind} = {};",
            self.pattern(),
            value.as_ref().unwrap_or(&self.value)
        )
    }

    fn pattern(&self) -> String {
        match self.is_mut {
            true => format!("mut {}", self.name),
            false => self.name.to_owned(),
        }
    }

    fn unknown(&self) -> (String, Vec<String>) {
        let is_macro = MACROS.iter().any(|name| self.whole.contains(name));
        let why = match is_macro {
            true => "宏的结果（select!、join!）内核常常看不出类型，而要存起来就得知道。",
            false => "内核要按类型把变量存起来，留给下一格，所以得知道它。",
        };
        (
            format!("推断不出变量 {} 的类型。", self.name),
            vec![
                why.to_owned(),
                format!("写出来：{}", self.line("类型", None)),
                BRACES.to_owned(),
            ],
        )
    }

    /// A closure; one that borrows has to own instead.
    fn closure(&self, borrows: bool) -> (String, Vec<String>) {
        let name = self.name;
        let closure = closure(&self.whole);
        let parameters = closure.as_ref().map(|closure| &*closure.parameters);
        let lines = match &closure {
            Some(Closure {
                makes_future: true, ..
            }) => vec![format!(
                "写成 async fn：async fn {name}({}) {{ … }}",
                parameters.unwrap_or("…")
            )],
            _ => {
                let (types, returned) = match &closure {
                    Some(closure) => (&*closure.types, &*closure.returned),
                    None => ("_", "_"),
                };
                // To call one that changes something, the variable must be `mut`.
                let kind = if self.is_mut { "FnMut" } else { "Fn" };
                let moves = match borrows && !self.value.starts_with("move") {
                    true => "move ",
                    false => "",
                };
                vec![
                    format!(
                        "装进 Box：{}",
                        self.line(
                            &format!("Box<dyn {kind}({types}) -> {returned}>"),
                            Some(format!("Box::new({moves}{})", self.value))
                        )
                    ),
                    format!(
                        "没有用到外面的变量，就写成函数：fn {name}({}) -> … {{ … }}",
                        parameters.unwrap_or("…")
                    ),
                ]
            }
        };
        (
            format!("变量 {name} 是闭包，不能留到后面的单元格。"),
            [vec![WHY_NAMED.to_owned()], lines, vec![BRACES.to_owned()]].concat(),
        )
    }

    fn borrows(&self, owner: Option<&str>) -> (String, Vec<String>) {
        let name = self.name;
        let owner = owner.filter(|owner| *owner != name);
        let of = owner.map_or("这一格里的值".to_owned(), |owner| format!(" {owner}"));
        let message = format!("变量 {name} 借用了{of}，不能留到后面的单元格。");
        let value = self.whole.trim();
        let guards = [
            ".lock()",
            ".read()",
            ".write()",
            ".borrow()",
            ".borrow_mut()",
        ];
        let mut lines = vec![WHY_OWNED.to_owned()];
        if guards.iter().any(|guard| value.contains(guard)) {
            lines.push(format!(
                "它是锁的守卫：不要留着，用到时再拿，用完就放：{{ {} … }}",
                self.again()
            ));
            if value.contains(".await") {
                lines.push(
                    "一定要跨单元格拿着，用 Arc 里的锁：Arc::clone(&…).lock_owned().await。"
                        .to_owned(),
                );
            }
        } else {
            lines.push(match owner {
                Some(owner) => format!(
                    "留下 {owner}，哪一格要用，就在哪一格再借一次：{}",
                    self.again()
                ),
                None => {
                    "先用 let 给它借用的值起名字，留下那个变量，哪一格要用，就在哪一格再借一次。"
                        .to_owned()
                }
            });
            lines.extend(
                self.copied()
                    .map(|copied| format!("或者留一份拷贝：{copied}")),
            );
        }
        lines.push(BRACES.to_owned());
        (message, lines)
    }

    /// The same `let` once more.
    fn again(&self) -> String {
        format!("let {} = {};", self.pattern(), self.value)
    }

    /// A copy of what is borrowed.
    fn copied(&self) -> Option<String> {
        let value = self.value.trim();
        let copy = match value.strip_prefix('&') {
            Some(rest) if rest.starts_with("mut ") => return None,
            Some(rest) if rest.ends_with(']') => format!("{rest}.to_owned()"),
            Some(rest) => format!("{rest}.clone()"),
            None => {
                let text = [
                    ".trim()",
                    ".as_str()",
                    ".trim_start()",
                    ".trim_end()",
                    ".as_slice()",
                ];
                let is_text = text.iter().any(|end| value.ends_with(end));
                is_text.then(|| format!("{value}.to_owned()"))?
            }
        };
        Some(format!("let {} = {copy};", self.pattern()))
    }

    /// Of a type that is written as `kind`.
    fn unnamed(&self, kind: &str) -> (String, Vec<String>) {
        let name = self.name;
        let value = &self.value;
        let mut lines = vec![WHY_NAMED.to_owned()];
        let output = kind
            .split_once("impl Future<Output = ")
            .and_then(|(_, rest)| until_closed(rest));
        let boxed = |value: &str| {
            self.line(
                &format!(
                    "std::pin::Pin<Box<dyn Future<Output = {}>>>",
                    output.unwrap_or("_")
                ),
                Some(format!("Box::pin({value})")),
            )
        };
        let message = if kind.contains("pin::Pin<&mut ") {
            let within = value
                .split_once("pin!(")
                .and_then(|(_, rest)| rest.strip_suffix(')'));
            lines = vec![WHY_OWNED.to_owned()];
            lines.push(format!("装进 Box：{}", boxed(within.unwrap_or("…"))));
            format!("变量 {name} 被 pin! 固定在这一格里，不能留到后面的单元格。")
        } else if kind.starts_with("impl Future") {
            let pattern = self.pattern();
            lines.push(format!("现在就要它的结果：let {pattern} = {value}.await;"));
            lines.push(format!(
                "让它现在就跑，以后再等：let {pattern} = tokio::spawn({value});"
            ));
            lines.push(format!("留着，以后再跑：{}", boxed(value)));
            format!("变量 {name} 是还没有执行的 future，不能留到后面的单元格。")
        } else if let Some(bounds) = kind.strip_prefix("impl ") {
            lines.push(format!(
                "装进 Box：{}",
                self.line(
                    &format!("Box<dyn {bounds}>"),
                    Some(format!("Box::new({value})"))
                )
            ));
            if bounds.starts_with("Iterator") {
                lines.push(self.collected());
            }
            format!("变量 {name} 的类型是 {kind}，不能留到后面的单元格。")
        } else if kind.contains("impl Future") {
            lines.push(format!(
                "里面的每个 future 都装进 Box::pin(…)，类型写成 std::pin::Pin<Box<dyn Future<Output = {}>>>。",
                output.unwrap_or("_")
            ));
            lines.push("或者交给 tokio::spawn，留下句柄。".to_owned());
            format!(
                "变量 {name} 的类型是 {kind}，里面有还没有执行的 future，不能留到后面的单元格。"
            )
        } else {
            if kind.contains("iter::") {
                lines.push(self.collected());
            }
            lines.push(format!(
                "装进 Box：{}",
                self.line("Box<dyn …>", Some(format!("Box::new({value})")))
            ));
            format!("变量 {name} 的类型是 {kind}，不能留到后面的单元格。")
        };
        lines.push(BRACES.to_owned());
        (message, lines)
    }

    /// An iterator's items instead.
    fn collected(&self) -> String {
        let value = format!("{}.collect()", self.value);
        format!("留下它给的值：{}", self.line("Vec<_>", Some(value)))
    }
}

/// A value as it is repeated: on one line.
fn short(value: &str) -> String {
    match value.contains('\n') || value.is_empty() || value.chars().count() > LONGEST {
        true => "…".to_owned(),
        false => value.to_owned(),
    }
}

/// A text up to the bracket that closes what stands before it.
fn until_closed(text: &str) -> Option<&str> {
    let mut open = 0;
    let end = text.char_indices().find(|(at, c)| {
        match *c {
            '<' | '(' | '[' => open += 1,
            '>' if text[..*at].ends_with('-') => {}
            '>' | ')' | ']' => open -= 1,
            _ => {}
        }
        open < 0
    });
    Some(&text[..end?.0])
}

/// What a closure takes and gives, as far as its code says so.
struct Closure {
    parameters: String,
    types: String,
    returned: String,
    makes_future: bool,
}

fn closure(value: &str) -> Option<Closure> {
    let parsed = SourceFile::parse(&format!("fn f() {{ {value} }}"), Edition::Edition2024);
    let closure = parsed
        .syntax_node()
        .descendants()
        .find_map(ClosureExpr::cast)?;
    let parameters: Vec<_> = closure.param_list()?.params().collect();
    let text = |node: &ra_ap_syntax::SyntaxNode| node.text().to_string();
    let types = parameters.iter().map(|parameter| match parameter.ty() {
        Some(kind) => text(kind.syntax()),
        None => "_".to_owned(),
    });
    let returned = closure.ret_type().and_then(|returned| returned.ty());
    let makes_future = closure.async_token().is_some()
        || matches!(closure.body(), Some(Expr::BlockExpr(block)) if block.async_token().is_some());
    Some(Closure {
        types: types.collect::<Vec<_>>().join(", "),
        parameters: parameters
            .iter()
            .map(|parameter| text(parameter.syntax()))
            .collect::<Vec<_>>()
            .join(", "),
        returned: returned.map_or("_".to_owned(), |kind| text(kind.syntax())),
        makes_future,
    })
}

/// What to say of a mistake that is evcxr's way of keeping things, not the student's.
pub fn hint(told: &Told, refused: Refused) -> Option<Vec<String>> {
    let Some(name) = &told.kept else {
        return of_message(&told.message, refused);
    };
    let variable = Variable::new(name, refused.code);
    let (message, lines) = match closure(&variable.whole) {
        Some(_) => variable.closure(true),
        None => variable.borrows(told.message.split('`').nth(1)),
    };
    Some(indented([vec![message], lines].concat()))
}

/// The same, from rustc's first sentence.
fn of_message(said: &str, refused: Refused) -> Option<Vec<String>> {
    let hint = limit(said, refused)?;
    Some(indented(hint.lines().map(str::to_owned).collect()))
}

fn limit(said: &str, refused: Refused) -> Option<String> {
    let code = refused.code;
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
    if said.starts_with("cannot find value") || said.starts_with("cannot find function") {
        return gone(quoted()?, refused);
    }
    None
}

/// Why a variable that an earlier cell has defined is not there.
fn gone(name: &str, refused: Refused) -> Option<String> {
    let (defined, fate) = refused.map.defining(name)?;
    let lost = match fate {
        Fate::Died => "执行它的进程后来结束了，变量都丢了",
        Fate::OfOldType => "它的类型后来重新定义过，旧的值是旧类型的，已经丢了",
        Fate::Unknown => "",
    };
    if !lost.is_empty() {
        return Some(format!(
            "{name} 在单元格 [{defined}] 里定义过；{lost}：把那一格再执行一次。"
        ));
    }
    let used = refused
        .map
        .last_mentioning(name)
        .filter(|used| *used != defined);
    Some(match used {
        Some(used) => format!(
            "{name} 在单元格 [{defined}] 里定义过，后来没有了：最后用到它的是单元格 [{used}]，值在那里被移走\
             （move）了，或者那一格没有执行完。\n要留着它，那里写 {name}.clone() 或 &{name}；现在先把单元格 [{defined}] 再执行一次。"
        ),
        None => format!(
            "{name} 在单元格 [{defined}] 里定义过，但没有留下来：它在那一格里就被移走（move）了，或者那一格没有执行完。\n\
             要留着它，那里写 {name}.clone() 或 &{name}，再执行一次。"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells that have run: `moved` and `dropped` were variables, and the first was used later.
    fn earlier() -> SourceMap {
        let mut map = SourceMap::default();
        let cells = [
            "let moved = String::new();",
            "let dropped = 1;",
            "drop(moved);",
        ];
        for (count, code) in (2..).zip(cells) {
            map.add(count, std::path::Path::new("lib.so"), count, code);
        }
        map
    }

    fn shown_of(said: &str, code: &str, owner: Option<&str>, map: &SourceMap) -> String {
        let error = json!({ "ename": "Error", "evalue": said, "traceback": [said] });
        let errors = explained(&[error], Refused { code, map, owner });
        let lines = errors
            .iter()
            .flat_map(|error| error["traceback"].as_array().unwrap());
        lines
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn shown(said: &str, code: &str) -> String {
        shown_of(said, code, Some("owner"), &earlier())
    }

    /// As evcxr 0.22.0 says it.
    #[test]
    fn what_cannot_be_kept_is_said_with_what_to_write_instead() {
        let closure = "The variable `f` is a closure, which cannot be persisted.\nYou can however";
        let borrows = "The variable `part` contains a reference with a non-static lifetime so\ncan't be persisted.";
        let unknown = "Couldn't automatically determine type of variable `x`.\nPlease give it an explicit type.";
        let has = |name: &str, kind: &str| {
            format!("The variable `{name}` has type `{kind}` which cannot be persisted.\nYou")
        };
        for (said, code, pieces) in [
            (
                closure,
                "let f = |n: i32, t| n + t;",
                &[
                    "变量 f 是闭包",
                    "let f: Box<dyn Fn(i32, _) -> _> = Box::new(|n: i32, t| n + t);",
                    "fn f(n: i32, t) -> … { … }",
                ][..],
            ),
            (
                closure,
                "let f = |n: i32| -> u8 {\n    1\n};",
                &["let f: Box<dyn Fn(i32) -> u8> = Box::new(…);"],
            ),
            (
                closure,
                "let f = |n: i32| async move { n };",
                &["async fn f(n: i32) { … }"],
            ),
            (closure, "", &["let f: Box<dyn Fn(_) -> _> = Box::new(…);"]),
            (
                &has("p", "std::pin::Pin<&mut impl Future<Output = i32>>"),
                "let mut p = std::pin::pin!(f());",
                &[
                    "pin!",
                    "let mut p: std::pin::Pin<Box<dyn Future<Output = i32>>> = Box::pin(f());",
                ],
            ),
            (
                &has("fut", "impl Future<Output = Vec<(i32, fn() -> u8)>>"),
                "let fut = f(1);",
                &[
                    "变量 fut 是还没有执行的 future",
                    "let fut = f(1).await;",
                    "let fut = tokio::spawn(f(1));",
                    "let fut: std::pin::Pin<Box<dyn Future<Output = Vec<(i32, fn() -> u8)>>>> = Box::pin(f(1));",
                ],
            ),
            (
                &has("jobs", "Vec<impl Future<Output = i32>>"),
                "let jobs = vec![f()];",
                &[
                    "变量 jobs 的类型是 Vec<impl Future",
                    "std::pin::Pin<Box<dyn Future<Output = i32>>>",
                ],
            ),
            (
                &has("it", "impl Iterator<Item = i32>"),
                "let it = evens();",
                &[
                    "let it: Box<dyn Iterator<Item = i32>> = Box::new(evens());",
                    "let it: Vec<_> = evens().collect();",
                ],
            ),
            (
                &has(
                    "it",
                    "std::iter::Map<std::ops::Range<i32>, impl FnMut(i32) -> i32>",
                ),
                "let it = (1..3).map(|n| n);",
                &["let it: Vec<_> = (1..3).map(|n| n).collect();"],
            ),
            (
                borrows,
                "let part = &text[1..];",
                &[
                    "变量 part 借用了 owner",
                    "再借一次：let part = &text[1..];",
                    "let part = text[1..].to_owned();",
                ],
            ),
            (borrows, "let part = &list;", &["let part = list.clone();"]),
            (
                borrows,
                "let part = text.trim();",
                &["let part = text.trim().to_owned();"],
            ),
            (
                borrows,
                "let part = &mut list;",
                &["再借一次：let part = &mut list;"],
            ),
            (
                borrows,
                "let mut part = shared.lock().await;",
                &[
                    "锁的守卫",
                    "{ let mut part = shared.lock().await; … }",
                    "lock_owned()",
                ],
            ),
            (
                unknown,
                "let x = tokio::select! { n = f() => n };",
                &["变量 x 的类型", "select!", "let x: 类型 = tokio::select!"],
            ),
            (
                "Failed to determine type of variable `x`. rustc suggested type a::B, but that's private. Sometimes",
                "let x = b();",
                &["变量 x 的类型是 a::B", "let x: 公开的名字 = b();"],
            ),
        ] {
            let shown = shown(said, code);
            let mut rest = &*shown;
            for piece in pieces {
                let at = rest.find(piece);
                let at = at.unwrap_or_else(|| panic!("{piece} is not in {shown}"));
                rest = &rest[at + piece.len()..];
            }
            assert!(
                !shown.contains("persist") && rest.contains("大括号"),
                "{shown}"
            );
        }
    }

    #[test]
    fn what_may_be_changed_is_not_to_be_copied() {
        let said = "The variable `part` contains a reference with a non-static lifetime so";
        for (code, copied) in [
            ("let part = &list;", true),
            ("let part = &mut list;", false),
        ] {
            assert_eq!(shown(said, code).contains("拷贝"), copied, "{code}");
        }
    }

    #[test]
    fn only_a_short_value_is_repeated() {
        let long = "中".repeat(LONGEST);
        let longer = "中".repeat(LONGEST + 1);
        for (value, repeated) in [
            ("1", true),
            (&*long, true),
            (&longer, false),
            ("", false),
            ("a\nb", false),
        ] {
            let expected = if repeated { value } else { "…" };
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn what_is_borrowed_and_has_no_name_is_to_be_given_one() {
        let said = "The variable `part` contains a reference with a non-static lifetime so";
        let shown = shown_of(said, "let part = f().trim();", None, &earlier());
        assert!(shown.contains("先用 let 给它借用的值起名字"), "{shown}");
    }

    #[test]
    fn a_variable_that_is_gone_is_told_of_with_the_cells_that_had_it() {
        let mut map = earlier();
        let gone = |name: &str, map: &SourceMap| {
            shown_of(
                &format!("cannot find value `{name}` in this scope"),
                "",
                None,
                map,
            )
        };
        let moved = gone("moved", &map);
        for piece in ["单元格 [2] 里定义过", "单元格 [4]", "moved.clone()"] {
            assert!(moved.contains(piece), "{moved}");
        }
        let never_used = gone("dropped", &map);
        let piece = "单元格 [3] 里定义过，但没有留下来";
        assert!(never_used.contains(piece), "{never_used}");
        map.lose("moved");
        let lost = gone("moved", &map);
        assert!(lost.contains("类型后来重新定义过"), "{lost}");
        map.begin_anew();
        let died = gone("dropped", &map);
        assert!(died.contains("进程后来结束了"), "{died}");
    }

    #[test]
    fn a_macro_whose_type_is_unknown_is_told_of_once_and_with_its_variable() {
        let error = |said: &str| json!({ "ename": "Error", "evalue": said, "traceback": [said] });
        let errors = [
            error(NEVER),
            error("mismatched types"),
            error("Some errors have detailed explanations: E0308."),
        ];
        let map = earlier();
        let refused = |code| Refused {
            code,
            map: &map,
            owner: None,
        };
        let told = explained(&errors, refused("let n = tokio::select! { n = f() => n };"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0]["evalue"]
                .as_str()
                .unwrap()
                .contains("变量 n 的类型"),
            "{told:?}"
        );
        assert_eq!(explained(&errors[1..], refused("")).len(), 1);
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
            (NEVER, "let Some(x) = select! {};", "写出来"),
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
            let refused = Refused {
                code: &code,
                map: &earlier(),
                owner: None,
            };
            explained(&[json!(rest)], refused);
        });
    }
}
