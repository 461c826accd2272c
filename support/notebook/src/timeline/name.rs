//! What a task is called that nobody has named: like the function that its future comes from.

use nest_tokio::watch::Kind;

use super::record::Origin;

/// How the function begins that a cell becomes: evcxr's, and what our kernel makes of it.
const OF_CELL: [&str; 2] = ["run_user_code_", "evcxr_cell"];
/// What a cell as a whole is called. Where it starts is a line of evcxr's.
pub(crate) const CELL: &str = "单元格";
const CLOSURE: &str = "{{closure}}";

/// What a task is called whose future has the type `name`.
pub(crate) fn of(name: &str, origin: Option<&Origin>) -> String {
    let kind = origin.map(|origin| (origin.kind, origin.parent));
    match (of_type(name), kind) {
        (None, Some((Kind::BlockOn, None))) => CELL.into(),
        (None, Some((Kind::BlockOn, _))) => "block_on".into(),
        (None, Some((Kind::Blocking, _))) => "闭包".into(),
        (None, _) => "async 块".into(),
        (Some(name), _) => name.to_owned(),
    }
}

/// What only stands around a future: it is called like that.
const AROUND: [&str; 5] = ["Tracked", "Unconstrained", "Instrumented", "Pin", "Box"];

/// `ctx::fetch::{{closure}}` → `fetch`; the type of a future that has a name → that name. A block in a
/// cell's own code is nobody's function.
fn of_type(name: &str) -> Option<&str> {
    let (outer, inner) = name.split_once('<').unwrap_or((name, ""));
    let last = outer.split("::").filter(|part| *part != CLOSURE).last()?;
    if inner.starts_with("dyn ") {
        return Some("dyn Future");
    }
    if AROUND.contains(&last) {
        return of_type(inner.trim_end_matches('>'));
    }
    let is_cell = OF_CELL.iter().any(|cell| last.starts_with(cell));
    (!is_cell).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_task_is_called_like_its_function() {
        for (name, expected) in [
            ("ctx::fetch::{{closure}}", "fetch"),
            ("ctx::outer::{{closure}}::{{closure}}", "outer"),
            (
                "ctx::flags::fetch<alloc::string::String>::{{closure}}",
                "fetch",
            ),
            ("ctx::Countdown", "Countdown"),
            ("tokio::time::sleep::Sleep", "Sleep"),
            (
                "core::pin::Pin<alloc::boxed::Box<dyn core::future::future::Future>>",
                "dyn Future",
            ),
            (
                "notebook::timeline::Tracked<ctx::fetch::{{closure}}>",
                "fetch",
            ),
            ("ctx::run_user_code_7::{{closure}}::{{closure}}", "async 块"),
        ] {
            assert_eq!(of(name, None), expected, "{name}");
        }
    }
}
