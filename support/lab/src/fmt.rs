//! `lab fmt`: notebooks as they are stored in git.
//!
//! No outputs, no counts, no traces of whoever ran it last, and code cells laid out by rustfmt.
//! Running it twice changes nothing the second time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use proc_macro2::{TokenStream, TokenTree};
use serde_json::{Map, Value, json};

use base::advice::spelled;
use base::ipynb::{Cell, Notebook};

/// Brings the notebooks into their stored form, or with `check` only says what would change.
///
/// Prints a line a notebook, with the numbers of the code cells concerned. Returns whether all
/// notebooks were in order already. A cell that rustfmt cannot parse stays as it is.
///
/// # Errors
/// A notebook cannot be read or written, or there is no working rustfmt. Notebooks before the
/// failing one are done, the others untouched.
pub fn fmt(paths: &[PathBuf], check: bool) -> Result<bool> {
    let mut all_in_order = true;
    for path in paths {
        all_in_order &= fmt_one(path, check)?;
    }
    if check && !all_in_order {
        println!("运行 `{}` 即可修正", spelled("fmt"));
    }
    Ok(all_in_order)
}

fn fmt_one(path: &Path, check: bool) -> Result<bool> {
    let mut notebook = Notebook::load(path)?;
    let stored = fs::read_to_string(path)?;
    let changes = tidy(&mut notebook).with_context(|| format!("整理不了 {}", path.display()))?;
    let in_order = notebook.to_json() == stored;
    if !in_order && !check {
        notebook.save(path)?;
    }
    println!("{}：{}", path.display(), changes.describe(in_order, check));
    if !changes.unparsed.is_empty() {
        println!(
            "  代码单元格 {} 不能解析为 Rust，未排版；若是有意为之，请给单元格加标签 raises-exception",
            listed(&changes.unparsed)
        );
    }
    Ok(in_order)
}

/// What was done to a notebook, by the numbers of its code cells.
#[derive(Default)]
struct Changes {
    cleared: Vec<usize>,
    formatted: Vec<usize>,
    /// Not parsed, and not meant to fail either.
    unparsed: Vec<usize>,
    metadata: bool,
}

impl Changes {
    fn describe(&self, in_order: bool, check: bool) -> String {
        if in_order {
            return "无需改动".into();
        }
        let mut parts = Vec::new();
        if !self.cleared.is_empty() {
            parts.push(format!("清除输出（代码单元格 {}）", listed(&self.cleared)));
        }
        if !self.formatted.is_empty() {
            parts.push(format!(
                "排版代码（代码单元格 {}）",
                listed(&self.formatted)
            ));
        }
        if self.metadata {
            parts.push("整理元数据".into());
        }
        if parts.is_empty() {
            parts.push("统一文件格式".into());
        }
        format!("{}{}", if check { "需要" } else { "已" }, parts.join("，"))
    }
}

fn listed(numbers: &[usize]) -> String {
    let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
    numbers.join("、")
}

fn tidy(notebook: &mut Notebook) -> Result<Changes> {
    let mut changes = Changes {
        cleared: notebook.clear_outputs(),
        ..Changes::default()
    };
    format_cells(notebook, &mut changes)?;
    let before = notebook.to_json();
    tidy_metadata(notebook);
    changes.metadata = notebook.to_json() != before;
    Ok(changes)
}

fn tidy_metadata(notebook: &mut Notebook) {
    /// Written by front ends about one run or one person's view of it.
    const VOLATILE: [&str; 8] = [
        "ExecuteTime",
        "collapsed",
        "execution",
        "scrolled",
        "signature",
        "trusted",
        "vscode",
        "widgets",
    ];
    let drop_volatile = |metadata: &mut Map<String, Value>| {
        metadata.retain(|key, _| !VOLATILE.contains(&key.as_str()));
    };
    for cell in notebook.cells() {
        let metadata = notebook.cell_metadata_mut(cell.index);
        drop_volatile(metadata);
        if let Some(jupyter) = metadata.get_mut("jupyter").and_then(Value::as_object_mut) {
            jupyter.retain(|key, _| key != "outputs_hidden");
            if jupyter.is_empty() {
                metadata.remove("jupyter");
            }
        }
    }
    let metadata = notebook.metadata_mut();
    drop_volatile(metadata);
    metadata.insert(
        "kernelspec".into(),
        json!({"display_name": "Rust", "language": "rust", "name": "rust"}),
    );
    metadata.insert(
        "language_info".into(),
        json!({
            "codemirror_mode": "rust",
            "file_extension": ".rs",
            "mimetype": "text/rust",
            "name": "Rust",
            "pygment_lexer": "rust",
            "version": "",
        }),
    );
}

fn format_cells(notebook: &mut Notebook, changes: &mut Changes) -> Result<()> {
    let cells = notebook.code_cells();
    for (cell, outcome) in cells.iter().zip(rustfmt(&cells)?) {
        let source = match outcome {
            Some(code) => with_commands(cell, &code),
            None if cell.raises_exception() => continue,
            None => {
                changes.unparsed.push(cell.number);
                continue;
            }
        };
        if source != cell.source {
            notebook.set_source(cell.index, &source);
            changes.formatted.push(cell.number);
        }
    }
    Ok(())
}

/// Puts evcxr's commands back before the formatted code; one blank line between them if there was any.
fn with_commands(cell: &Cell, formatted: &str) -> String {
    let (commands, code) = cell.commands_and_code();
    if formatted.is_empty() {
        return commands.trim_end().to_owned();
    }
    let gap = if !commands.is_empty() && code.trim_start_matches(' ').starts_with('\n') {
        "\n"
    } else {
        ""
    };
    format!("{commands}{gap}{formatted}")
}

/// rustfmt's own defaults at 100 columns, for code that stands four columns deeper until it is
/// taken out of its function. (The widths would otherwise grow along with `max_width`.)
const RUSTFMT_TOML: &str = r#"
edition = "2024"
style_edition = "2024"
max_width = 104
array_width = 60
attr_fn_like_width = 70
chain_width = 60
fn_call_width = 60
single_line_if_else_max_width = 50
single_line_let_else_max_width = 50
struct_lit_width = 18
struct_variant_width = 35
"#;

/// Formats the Rust part of every cell, with one rustfmt process for all. `None` for a cell that
/// cannot be parsed.
fn rustfmt(cells: &[Cell]) -> Result<Vec<Option<String>>> {
    let folder = tempfile::tempdir().context("建不了临时文件夹：请检查 TMPDIR 和磁盘空间")?;
    fs::write(folder.path().join("rustfmt.toml"), RUSTFMT_TOML)?;
    let write = |name: &str, code: &str| -> Result<PathBuf> {
        let file = folder.path().join(format!("{name}.rs"));
        fs::write(&file, wrapped(code))?;
        Ok(file)
    };
    // Any rustfmt can format this one: if it does not, the fault is not in the notebook.
    let probe = write("probe", "")?;
    let files = cells
        .iter()
        .map(|cell| write(&cell.number.to_string(), cell.commands_and_code().1))
        .collect::<Result<Vec<_>>>()?;

    let output = Command::new("rustfmt")
        .arg(&probe)
        .args(&files)
        .output()
        .context("启动不了 rustfmt：请运行 `rustup component add rustfmt`，并确认它在 PATH 中")?;
    if unwrapped(&fs::read_to_string(&probe)?).is_none() {
        bail!(
            "rustfmt 不能工作：请运行 `rustup component add rustfmt`。它的报告：\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    files
        .iter()
        .map(|file| Ok(unwrapped(&fs::read_to_string(file)?)))
        .collect()
}

/// A cell holds statements as well as items, and may `.await`: rustfmt takes all of it in the
/// body of an `async fn`. The odd spacing here tells afterwards whether rustfmt could read it.
fn wrapped(code: &str) -> String {
    let code = format!("\n{}", code.trim());
    let body = replace_outside_literals(&code, "\n", "\n    ").unwrap_or(code);
    format!("async  fn cell(){{{body}\n}}\n")
}

/// The code inside of what rustfmt made of [`wrapped`]; `None` if it made nothing of it.
fn unwrapped(file: &str) -> Option<String> {
    let body = file
        .strip_prefix("async fn cell() {")?
        .strip_suffix("}\n")?;
    let code = replace_outside_literals(body, "\n    ", "\n")?;
    Some(code.trim_matches('\n').to_owned())
}

/// Replaces text, but not inside of string literals that span lines: their content is the
/// program's data. `None` if `code` is not even a sequence of tokens.
fn replace_outside_literals(code: &str, from: &str, to: &str) -> Option<String> {
    let mut replaced = String::new();
    let mut rest = code;
    for literal in literals_over_lines(code.parse().ok()?) {
        let (before, after) = rest.split_once(&literal)?;
        replaced += &before.replace(from, to);
        replaced += &literal;
        rest = after;
    }
    Some(replaced + &rest.replace(from, to))
}

fn literals_over_lines(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => found.extend(literals_over_lines(group.stream())),
            TokenTree::Literal(literal) => found.push(literal.to_string()),
            _ => {}
        }
    }
    found.retain(|literal| literal.contains('\n') && !is_free_to_move(literal));
    found
}

/// Whether every line of a string ends with a `\`: the next line's indentation is then no content.
fn is_free_to_move(literal: &str) -> bool {
    let (lines, _last) = literal.rsplit_once('\n').unwrap_or_default();
    let continues = |line: &str| (line.len() - line.trim_end_matches('\\').len()) % 2 == 1;
    literal.starts_with(['"', 'b', 'c'])
        && !literal.starts_with("br")
        && !literal.starts_with("cr")
        && lines.lines().all(continues)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook_of(sources: &[&str]) -> Notebook {
        let cells: Vec<Value> = sources
            .iter()
            .map(|source| {
                json!({"cell_type": "code", "metadata": {}, "source": source,
                       "execution_count": null, "outputs": []})
            })
            .collect();
        let root = json!({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5});
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), root.to_string()).unwrap();
        Notebook::load(file.path()).unwrap()
    }

    fn formatted(source: &str) -> String {
        let mut notebook = notebook_of(&[source]);
        tidy(&mut notebook).unwrap();
        let once = notebook.code_cells().remove(0).source;
        let changes = tidy(&mut notebook).unwrap();
        assert!(
            changes.formatted.is_empty(),
            "formatting {once:?} twice changed it again"
        );
        once
    }

    #[test]
    fn a_cell_is_laid_out_as_rustfmt_lays_out_a_file() {
        assert_eq!(
            formatted("use b::c;\nuse a::b;\n\n\nlet  x=f( 1 ).await ? ;\n  x+1\n"),
            "use a::b;\nuse b::c;\n\nlet x = f(1).await?;\nx + 1"
        );
        assert_eq!(
            formatted("#[tokio::main]\nasync fn main(){ work().await }\nmain()"),
            "#[tokio::main]\nasync fn main() {\n    work().await\n}\nmain()"
        );
    }

    #[test]
    fn lines_may_be_a_hundred_columns_wide() {
        let name = "n".repeat(40);
        let fits = format!("let {name} = {} + {};", "a".repeat(24), "b".repeat(25));
        assert_eq!(fits.len(), 100);
        assert_eq!(formatted(&fits), fits);
        assert!(formatted(&fits.replace(';', "c;")).contains("\n    "));
    }

    #[test]
    fn commands_stay_untouched() {
        let source = ":dep  tokio = { package = \"nest-tokio\" }\n// 说明\n:opt  0\n\n\nlet  x=1;";
        assert_eq!(
            formatted(source),
            source.replace("\n\n\nlet  x=1;", "\n\nlet x = 1;")
        );
        assert_eq!(formatted(":vars"), ":vars");
        assert_eq!(formatted(":opt 0\nlet  x=1;"), ":opt 0\nlet x = 1;");
        assert_eq!(formatted("// 只有注释"), "// 只有注释");
        assert_eq!(formatted("\n"), "");
    }

    #[test]
    fn strings_over_several_lines_keep_their_content() {
        let text = "let a = \"甲\n    乙\n\";\nlet b = r#\"\n        <b>\n\"#;\nlet c = 1;";
        assert_eq!(formatted(&text.replace("c = ", "c=")), text);
        let repeated = "f(\"x\n    y\");\nif a {\n    f(\"x\n    y\");\n}";
        assert_eq!(formatted(repeated), repeated);
    }

    #[test]
    fn a_continued_string_moves_along_with_the_code() {
        let source = "println!(\n    \"甲 {} \\\n     乙\",\n    a\n);";
        assert_eq!(formatted(source), source);
        assert!(is_free_to_move("\"a\\\n  b\\\n c\""));
        assert!(!is_free_to_move("\"a\\\\\n  b\""));
        assert!(!is_free_to_move("r\"a\\\n  b\""));
    }

    #[test]
    fn macros_and_comments_are_stable() {
        formatted("tokio::select! {\n  _ = a => {\n        b();\n\n  }\n v=c=>{}\n}");
        formatted("/* 块\n  注释\n      */\nlet x=1; // 尾\n\n// 末");
        formatted("#![allow(unused)]\nmacro_rules! m {\n ($a:expr) => { $a\n } }\nm!( 1 )");
        formatted("vec![\n1,2,\n3]");
    }

    #[test]
    fn what_does_not_parse_stays_and_is_named_unless_it_is_meant_to_fail() {
        let sources = ["let x = ;", "let  y=1;", "} fn f() {", "\"open"];
        let mut notebook = notebook_of(&sources);
        let tags = json!(["raises-exception"]);
        notebook.cell_metadata_mut(3).insert("tags".into(), tags);
        let changes = tidy(&mut notebook).unwrap();
        let after: Vec<String> = notebook
            .code_cells()
            .into_iter()
            .map(|cell| cell.source)
            .collect();
        assert_eq!(after, ["let x = ;", "let y = 1;", "} fn f() {", "\"open"]);
        assert_eq!((changes.formatted, changes.unparsed), (vec![2], vec![1, 3]));
    }

    #[test]
    fn traces_of_a_run_go_and_what_the_author_set_stays() {
        let mut notebook = notebook_of(&["1"]);
        notebook.set_outputs(
            0,
            vec![json!({"output_type": "stream", "text": "1"})],
            Some(7),
        );
        let metadata = notebook.cell_metadata_mut(0);
        *metadata = serde_json::from_value(json!({
            "collapsed": true, "scrolled": false, "execution": {}, "ExecuteTime": {},
            "tags": ["t"], "jupyter": {"source_hidden": true, "outputs_hidden": true},
        }))
        .unwrap();
        notebook.metadata_mut().insert("widgets".into(), json!({}));

        let changes = tidy(&mut notebook).unwrap();

        assert_eq!(
            changes.describe(false, true),
            "需要清除输出（代码单元格 1），整理元数据"
        );
        let kept = json!({"tags": ["t"], "jupyter": {"source_hidden": true}});
        assert_eq!(json!(notebook.cell_metadata_mut(0)), kept);
        assert_eq!(notebook.metadata_mut()["kernelspec"]["name"], "rust");
        assert!(!notebook.metadata_mut().contains_key("widgets"));
    }

    #[test]
    fn check_changes_nothing_and_fmt_leaves_nothing_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("甲 乙.ipynb");
        notebook_of(&["let  x=1;"]).save(&path).unwrap();
        let before = fs::read_to_string(&path).unwrap();
        let paths = [path];

        assert!(!fmt(&paths, true).unwrap());
        assert_eq!(fs::read_to_string(&paths[0]).unwrap(), before);
        assert!(!fmt(&paths, false).unwrap());
        assert!(fmt(&paths, true).unwrap());
    }
}
