//! A notebook file: read, change outputs, write exactly as Jupyter does.
//!
//! The model is the JSON itself, so nothing that this module does not know is lost. Only what
//! Jupyter's own `nbformat` would change on saving changes: texts are stored as lists of lines,
//! keys are sorted, every cell has an id of its own.

use std::collections::HashSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::files;

/// A notebook in format 4, in memory.
///
/// Every cell has an id: a notebook older than nbformat 4.5 gets them when it is read.
#[derive(Clone, Debug)]
pub struct Notebook {
    /// The file's top-level object; `cells` is known to be a list of objects.
    root: Value,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// Rust, to be executed.
    Code,
    /// Text in Markdown.
    Markdown,
    /// Text that Jupyter leaves alone.
    Raw,
}

/// A copy of the parts of a cell that the rest of `lab` looks at.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What the cell holds.
    pub kind: CellKind,
    /// Place among all cells, from 0: what [`Notebook::set_outputs`] wants.
    pub index: usize,
    /// Place among the cells of the same kind, from 1: what a message to the user names.
    pub number: usize,
    /// The id that Jupyter knows the cell by.
    pub id: String,
    /// The text, lines joined.
    pub source: String,
    /// Tags, as set in JupyterLab's property inspector.
    pub tags: Vec<String>,
}

impl Cell {
    /// Whether the cell is meant to fail (tag `raises-exception`).
    pub fn raises_exception(&self) -> bool {
        self.tags.iter().any(|tag| tag == "raises-exception")
    }

    /// The evcxr commands at the head of a code cell, and the Rust code after them.
    ///
    /// Follows evcxr's own rule: command lines start with `:` or `!`, may have blank lines and
    /// comments among them, and end where Rust begins.
    pub fn commands_and_code(&self) -> (&str, &str) {
        let mut end_of_commands = 0;
        let mut position = 0;
        for line in self.source.split_inclusive('\n') {
            position += line.len();
            if is_command(line) {
                end_of_commands = position;
            } else if !line.trim().is_empty() && !line.starts_with("//") {
                break;
            }
        }
        self.source.split_at(end_of_commands)
    }
}

fn is_command(line: &str) -> bool {
    line.starts_with('!') || line.trim_start_matches(' ').starts_with(':')
}

impl Notebook {
    /// Reads a notebook.
    ///
    /// # Errors
    /// The file is missing or unreadable, is not JSON, is not a notebook in format 4, or was
    /// written for a language other than Rust.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("未找到笔记本 {}：请检查路径", path.display()),
            ErrorKind::InvalidData => anyhow!(
                "{} 不是 UTF-8 文本：请从 git 恢复，或在 JupyterLab 中重新保存",
                path.display()
            ),
            _ => anyhow!("读不了笔记本 {}：{error}", path.display()),
        })?;
        Self::parse(&text).with_context(|| format!("打不开笔记本 {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut root: Value = serde_json::from_str(text).map_err(|error| {
            anyhow!(
                "第 {} 行第 {} 列不是合法的 JSON（{error}）：文件可能损坏或有未解决的合并冲突，请从 git 恢复",
                error.line(),
                error.column()
            )
        })?;
        check_format(&root)?;
        check_language(&root)?;
        give_ids(&mut root);
        Ok(Self { root })
    }

    /// Writes the notebook, all or nothing: a reader sees the old file or the new one.
    ///
    /// # Errors
    /// The folder cannot be written to, or the disk is full; the old file is then untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        // Through a symbolic link, the file it points to is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        files::replace(&target, |file| {
            file.write_all(self.to_json().as_bytes())?;
            file.sync_all()
        })
    }

    /// The file's text, byte for byte as Jupyter would write it.
    pub fn to_json(&self) -> String {
        let mut root = self.root.clone();
        split_all_lines(&mut root);
        root.sort_all_objects();
        let mut text = Vec::new();
        let format = PrettyFormatter::with_indent(b" ");
        root.serialize(&mut serde_json::Serializer::with_formatter(
            &mut text, format,
        ))
        .expect("a JSON value can always be written to memory");
        text.push(b'\n');
        String::from_utf8(text).expect("serde_json writes UTF-8")
    }

    /// All cells in order.
    pub fn cells(&self) -> Vec<Cell> {
        let (mut code, mut markdown, mut raw) = (0, 0, 0);
        let cells = self.root["cells"].as_array().into_iter().flatten();
        cells
            .enumerate()
            .map(|(index, cell)| {
                let (kind, count) = match cell["cell_type"].as_str() {
                    Some("code") => (CellKind::Code, &mut code),
                    Some("markdown") => (CellKind::Markdown, &mut markdown),
                    _ => (CellKind::Raw, &mut raw),
                };
                *count += 1;
                Cell {
                    kind,
                    index,
                    number: *count,
                    id: cell["id"].as_str().unwrap_or_default().to_owned(),
                    source: joined(&cell["source"]),
                    tags: strings(&cell["metadata"]["tags"])
                        .map(str::to_owned)
                        .collect(),
                }
            })
            .collect()
    }

    /// The code cells in order.
    pub fn code_cells(&self) -> Vec<Cell> {
        let mut cells = self.cells();
        cells.retain(|cell| cell.kind == CellKind::Code);
        cells
    }

    /// Replaces a cell's text.
    ///
    /// # Panics
    /// If there is no cell `index`.
    pub fn set_source(&mut self, index: usize, source: &str) {
        self.cell_mut(index).insert("source".into(), source.into());
    }

    /// Replaces a code cell's outputs and its `[n]`.
    ///
    /// # Panics
    /// If there is no cell `index`.
    pub fn set_outputs(&mut self, index: usize, outputs: Vec<Value>, execution_count: Option<u64>) {
        let cell = self.cell_mut(index);
        cell.insert("outputs".into(), outputs.into());
        cell.insert("execution_count".into(), execution_count.into());
    }

    /// Removes the outputs and `[n]` of every code cell; returns the numbers of those that had any.
    pub fn clear_outputs(&mut self) -> Vec<usize> {
        let mut cells = self.code_cells();
        cells.retain(|cell| {
            let cell = &self.root["cells"][cell.index];
            cell["outputs"] != json!([]) || !cell["execution_count"].is_null()
        });
        for cell in &cells {
            self.set_outputs(cell.index, Vec::new(), None);
        }
        cells.iter().map(|cell| cell.number).collect()
    }

    /// The first-level heading of the first Markdown cell.
    pub fn title(&self) -> Option<String> {
        let cells = self.cells();
        let first = cells.iter().find(|cell| cell.kind == CellKind::Markdown)?;
        let heading = first
            .source
            .lines()
            .find_map(|line| line.strip_prefix("# "))?;
        Some(heading.trim().to_owned())
    }

    /// The `:dep …` lines of all code cells, in order, trimmed.
    pub fn dep_lines(&self) -> Vec<String> {
        self.code_cells()
            .iter()
            .flat_map(|cell| cell.commands_and_code().0.lines())
            .map(str::trim)
            .filter(|line| line.starts_with(":dep "))
            .map(str::to_owned)
            .collect()
    }

    /// The notebook's own metadata (kernel, language…), to read or to change.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        object_in(&mut self.root, "metadata")
    }

    /// A cell's metadata (tags, folded or not…), to read or to change.
    ///
    /// # Panics
    /// If there is no cell `index`.
    pub fn cell_metadata_mut(&mut self, index: usize) -> &mut Map<String, Value> {
        object_in(&mut self.root["cells"][index], "metadata")
    }

    fn cell_mut(&mut self, index: usize) -> &mut Map<String, Value> {
        self.root["cells"][index]
            .as_object_mut()
            .expect("load checked that cells are objects")
    }
}

fn check_format(root: &Value) -> Result<()> {
    match root["nbformat"].as_u64() {
        Some(4) => {}
        Some(other) => {
            bail!("笔记本格式是 nbformat {other}，只支持 4：请在 JupyterLab 中打开并另存")
        }
        None => bail!("不是 Jupyter 笔记本（没有 nbformat）：请给出 .ipynb 文件"),
    }
    let cells = root["cells"].as_array();
    ensure!(
        cells.is_some_and(|cells| cells.iter().all(Value::is_object)),
        "不是完整的 Jupyter 笔记本（cells 缺失或有误）：请从 git 恢复"
    );
    Ok(())
}

/// Refuses a notebook that says it is for another language; one that says nothing is taken for Rust.
fn check_language(root: &Value) -> Result<()> {
    let metadata = &root["metadata"];
    let language = metadata["kernelspec"]["language"]
        .as_str()
        .or(metadata["language_info"]["name"].as_str())
        .or(metadata["kernelspec"]["name"].as_str())
        .unwrap_or("rust");
    ensure!(
        language.eq_ignore_ascii_case("rust"),
        "它的内核是 {language}，不是 rust：请在 JupyterLab 右上角把内核换成 Rust 并保存"
    );
    Ok(())
}

/// Gives an id to every cell that has none or the same as an earlier one (copied by hand).
fn give_ids(root: &mut Value) {
    let mut seen = HashSet::new();
    for cell in root["cells"].as_array_mut().into_iter().flatten() {
        let id = cell["id"].as_str().unwrap_or_default();
        if id.is_empty() || !seen.insert(id.to_owned()) {
            let id = Uuid::new_v4().simple().to_string()[..8].to_owned();
            cell["id"] = json!(id);
            seen.insert(id);
        }
    }
    let minor = root["nbformat_minor"].as_u64().unwrap_or(0);
    root["nbformat_minor"] = json!(minor.max(5));
}

/// The object under `key`, made if it is missing or no object.
fn object_in<'a>(parent: &'a mut Value, key: &str) -> &'a mut Map<String, Value> {
    let value = &mut parent[key];
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut().expect("it was just made an object")
}

/// A text that the file may hold as one string or as a list of lines.
fn joined(text: &Value) -> String {
    match text {
        Value::String(text) => text.clone(),
        lines => strings(lines).collect(),
    }
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

/// Turns every text that `nbformat` stores as a list of lines into one.
fn split_all_lines(root: &mut Value) {
    for cell in root["cells"].as_array_mut().into_iter().flatten() {
        split_field(cell, "source");
        let attachments = cell.get_mut("attachments").and_then(Value::as_object_mut);
        for attachment in attachments.into_iter().flat_map(|files| files.values_mut()) {
            split_mime_bundle(attachment);
        }
        let outputs = cell.get_mut("outputs").and_then(Value::as_array_mut);
        for output in outputs.into_iter().flatten() {
            split_field(output, "text");
            if let Some(data) = output.get_mut("data") {
                split_mime_bundle(data);
            }
        }
    }
}

fn split_mime_bundle(data: &mut Value) {
    let types: Vec<String> = data
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect();
    let in_lines = |kind: &&String| {
        kind.starts_with("text/")
            || ["application/javascript", "image/svg+xml"].contains(&kind.as_str())
    };
    for kind in types.iter().filter(in_lines) {
        split_field(data, kind);
    }
}

fn split_field(object: &mut Value, key: &str) {
    if let Some(text) = object
        .get_mut(key)
        .filter(|text| text.is_string() || text.is_array())
    {
        *text = split_lines(&joined(text)).into();
    }
}

/// Lines with their ends, where Python's `str.splitlines` would split.
fn split_lines(text: &str) -> Vec<&str> {
    const LINE_ENDS: &str = "\n\r\x0b\x0c\x1c\x1d\x1e\u{85}\u{2028}\u{2029}";
    let mut lines = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let inside_crlf = character == '\r' && characters.peek().is_some_and(|next| next.1 == '\n');
        if LINE_ENDS.contains(character) && !inside_crlf {
            let end = at + character.len_utf8();
            lines.push(&text[start..end]);
            start = end;
        }
    }
    if start < text.len() {
        lines.push(&text[start..]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Jupyter writes it: sources in lines, keys sorted, one space a level.
    const JUPYTERS_OWN: &str = r##"{
 "cells": [
  {
   "cell_type": "markdown",
   "id": "m1",
   "metadata": {},
   "source": [
    "# 协程的优点\n",
    "\n",
    "约 20 分钟"
   ]
  },
  {
   "cell_type": "code",
   "execution_count": null,
   "id": "c1",
   "metadata": {
    "tags": [
     "raises-exception"
    ]
   },
   "outputs": [],
   "source": [
    "// 依赖\n",
    "\n",
    ":dep tokio = { path = \"..\" }\n",
    ":dep flags = { path = \"..\" }\n",
    "let 值 = 1;\n",
    ":dep no"
   ]
  }
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Rust",
   "language": "rust",
   "name": "rust"
  },
  "unknown": [
   1.5,
   {}
  ]
 },
 "nbformat": 4,
 "nbformat_minor": 5
}
"##;

    fn error_of(text: &str) -> String {
        format!("{:#}", Notebook::parse(text).unwrap_err())
    }

    #[test]
    fn a_file_that_jupyter_saved_comes_back_byte_for_byte() {
        assert_eq!(
            Notebook::parse(JUPYTERS_OWN).unwrap().to_json(),
            JUPYTERS_OWN
        );
    }

    #[test]
    fn cells_know_their_place_their_text_and_their_tags() {
        let notebook = Notebook::parse(JUPYTERS_OWN).unwrap();
        let [cell] = notebook.code_cells().try_into().unwrap();
        assert_eq!((cell.index, cell.number, cell.id.as_str()), (1, 1, "c1"));
        assert!(cell.raises_exception());
        assert!(cell.source.starts_with("// 依赖\n\n:dep tokio"));
        assert_eq!(notebook.title().as_deref(), Some("协程的优点"));
        assert_eq!(notebook.cells()[0].kind, CellKind::Markdown);
    }

    /// evcxr takes no command once Rust has begun, so neither do we.
    #[test]
    fn commands_end_where_rust_begins() {
        let notebook = Notebook::parse(JUPYTERS_OWN).unwrap();
        let deps = notebook.dep_lines();
        assert_eq!(
            deps,
            [
                r#":dep tokio = { path = ".." }"#,
                r#":dep flags = { path = ".." }"#
            ]
        );
        let cells = notebook.code_cells();
        assert_eq!(cells[0].commands_and_code().1, "let 值 = 1;\n:dep no");
    }

    #[test]
    fn a_source_stored_as_one_string_is_written_in_lines() {
        let text = r#"{"cells":[{"cell_type":"code","id":"a","metadata":{},"outputs":[],
            "execution_count":null,"source":"a\nb"}],"metadata":{},"nbformat":4,"nbformat_minor":5}"#;
        let notebook = Notebook::parse(text).unwrap();
        assert_eq!(notebook.code_cells()[0].source, "a\nb");
        assert!(notebook.to_json().contains("\"a\\n\",\n    \"b\"\n"));
    }

    #[test]
    fn outputs_are_set_stored_in_lines_and_cleared() {
        let mut notebook = Notebook::parse(JUPYTERS_OWN).unwrap();
        let stream = json!({"output_type": "stream", "name": "stdout", "text": "甲\n乙\n"});
        let picture = json!({"output_type": "display_data", "metadata": {},
            "data": {"text/html": "<b>\n</b>", "image/png": "AA\n", "application/json": {"a": "b\n"}}});
        notebook.set_outputs(1, vec![stream, picture], Some(3));
        let saved: Value = serde_json::from_str(&notebook.to_json()).unwrap();
        let cell = &saved["cells"][1];
        assert_eq!(cell["execution_count"], 3);
        assert_eq!(cell["outputs"][0]["text"], json!(["甲\n", "乙\n"]));
        let data = &cell["outputs"][1]["data"];
        assert_eq!(data["text/html"], json!(["<b>\n", "</b>"]));
        assert_eq!(data["image/png"], "AA\n");
        assert_eq!(data["application/json"], json!({"a": "b\n"}));

        assert_eq!(notebook.clear_outputs(), [1]);
        assert!(notebook.clear_outputs().is_empty());
        assert_eq!(notebook.to_json(), JUPYTERS_OWN);
    }

    #[test]
    fn lines_end_where_python_ends_them() {
        let text = "a\r\nb\rc\u{2028}d\u{85}\n";
        assert_eq!(
            split_lines(text),
            ["a\r\n", "b\r", "c\u{2028}", "d\u{85}", "\n"]
        );
        assert!(split_lines("").is_empty());
    }

    #[test]
    fn every_cell_gets_an_id_of_its_own() {
        let text = r#"{"cells":[{"cell_type":"raw","source":[]},{"cell_type":"raw","id":"x","source":[]},
            {"cell_type":"raw","id":"x","source":[]}],"metadata":{},"nbformat":4,"nbformat_minor":2}"#;
        let notebook = Notebook::parse(text).unwrap();
        let ids: HashSet<String> = notebook.cells().into_iter().map(|cell| cell.id).collect();
        assert_eq!(ids.len(), 3);
        assert!(ids.contains("x") && !ids.contains(""));
        assert!(notebook.to_json().contains("\"nbformat_minor\": 5"));
    }

    #[test]
    fn an_error_names_the_place_and_the_next_step() {
        assert!(error_of("{\n <<<<<<< HEAD\n").contains("第 2 行第 2 列不是合法的 JSON"));
        assert!(error_of("[]").contains("没有 nbformat"));
        assert!(error_of(r#"{"nbformat":3,"worksheets":[]}"#).contains("nbformat 3，只支持 4"));
        assert!(error_of(r#"{"nbformat":4,"cells":[1]}"#).contains("cells 缺失或有误"));
        let python = JUPYTERS_OWN.replace("\"language\": \"rust\"", "\"language\": \"python\"");
        assert!(error_of(&python).contains("内核是 python，不是 rust"));

        let missing = Notebook::load(Path::new("/nonexistent/甲.ipynb")).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("未找到笔记本 /nonexistent/甲.ipynb")
        );
    }

    #[test]
    fn saving_replaces_the_file_behind_a_link_and_keeps_its_permissions() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (
            folder.path().join("甲 乙.ipynb"),
            folder.path().join("link.ipynb"),
        );
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();

        Notebook::parse(JUPYTERS_OWN).unwrap().save(&link).unwrap();

        assert_eq!(fs::read_to_string(&file).unwrap(), JUPYTERS_OWN);
        assert!(link.is_symlink());
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    /// Any JSON that may stand in a notebook: often what does, sometimes something else.
    fn any_notebook() -> impl properties::proptest::strategy::Strategy<Value = Value> {
        use properties::proptest::prelude::*;
        let text = prop_oneof![
            properties::text(8).prop_map(Value::from),
            prop::collection::vec(properties::text(4), 0..4).prop_map(Value::from),
            Just(json!(":dep a = \"1\"\n// c\n\n :dep b = \"1\"\nlet x = 1;")),
        ];
        let other = || {
            prop::sample::select(vec![
                json!(null),
                json!(7),
                json!("a"),
                json!([]),
                json!({}),
            ])
        };
        let metadata = prop_oneof![
            other(),
            Just(json!({ "tags": ["raises-exception", 1], "kernelspec": { "name": "rust" } })),
        ];
        let outputs = (text.clone(), text.clone(), properties::text(2)).prop_map(|(a, b, kind)| {
            json!([{ "text": a, "data": { "text/html": b, "image/svg+xml": "<svg/>", kind: 1 } }])
        });
        let cell = (
            prop::sample::select(vec!["code", "markdown", "raw", "?"]),
            prop_oneof![4 => text, 1 => other()],
            metadata.clone(),
            prop_oneof![2 => outputs, 1 => other()],
            prop_oneof![1 => Just(json!("same")), 1 => other()],
        )
            .prop_map(|(kind, source, metadata, outputs, id)| {
                json!({
                    "cell_type": kind, "source": source, "metadata": metadata,
                    "outputs": outputs, "id": id, "attachments": { "a": { "text/plain": "x\ny" } },
                })
            });
        let cells = prop_oneof![
            9 => prop::collection::vec(cell, 0..4).prop_map(Value::from),
            1 => other(),
        ];
        (cells, metadata, prop_oneof![9 => Just(json!(4)), 1 => other()]).prop_map(
            |(cells, metadata, nbformat)| {
                json!({ "cells": cells, "metadata": metadata, "nbformat": nbformat, "nbformat_minor": 2 })
            },
        )
    }

    #[test]
    fn any_notebook_is_refused_or_read_and_written_without_loss() {
        properties::holds(&any_notebook(), |json| {
            let Ok(mut notebook) = Notebook::parse(&json.to_string()) else {
                return;
            };
            let written = notebook.to_json();
            let again = Notebook::parse(&written).unwrap();
            assert_eq!(
                again.to_json(),
                written,
                "what is written is written again the same"
            );
            let cells = notebook.cells();
            let ids: HashSet<&str> = cells.iter().map(|cell| &*cell.id).collect();
            assert_eq!(ids.len(), cells.len());
            for (cell, other) in cells.iter().zip(again.cells()) {
                assert_eq!(cell.source, other.source);
                let (commands, code) = cell.commands_and_code();
                assert_eq!(commands.to_owned() + code, cell.source);
                let given = &json["cells"][cell.index]["source"];
                if let Some(text) = given.as_str() {
                    assert_eq!(cell.source, text);
                }
            }
            let (_, _) = (notebook.title(), notebook.dep_lines());
            notebook.clear_outputs();
            assert!(notebook.clear_outputs().is_empty());
            notebook.metadata_mut();
            if !cells.is_empty() {
                notebook.cell_metadata_mut(0);
                notebook.set_source(0, "new");
                assert_eq!(notebook.cells()[0].source, "new");
            }
        });
    }

    #[test]
    fn no_file_makes_the_reader_panic() {
        properties::holds(&properties::text(30), |text| {
            let _ = Notebook::parse(&text);
            let _ = Notebook::parse(&format!("{{\"nbformat\": 4, \"cells\": [{{{text}}}]}}"));
        });
    }

    #[test]
    fn lines_together_are_the_text() {
        properties::holds(&properties::text(20), |text| {
            assert_eq!(split_lines(&text).concat(), text);
        });
    }
}
