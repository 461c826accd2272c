//! Tables from rows of anything that serde can serialize.

use serde::Serialize;
use serde_json::Value;

use crate::columns::{clip, pad, pad_left, width};
use crate::escape::escape;
use crate::{Bundle, Handle, Show, display, html};

/// Rows that are shown unless [`Table::max_rows`] says otherwise.
const MAX_ROWS: usize = 500;
/// Widest cell of the plain text, in columns.
const MAX_WIDTH: usize = 40;

/// The class three times: more specific than JupyterLab's rules for tables, which centre them and
/// align text to the right.
const SCOPE: &str = ".nb-table.nb-table.nb-table";
/// Rules for [`SCOPE`], written `&`.
const STYLE: &str = "\
&{overflow-x:auto;margin:.4em 0}\
& table{margin:0;border-collapse:collapse;border:none;table-layout:auto;width:auto;\
font-size:var(--jp-ui-font-size1,.875em);font-variant-numeric:tabular-nums;\
color:var(--jp-content-font-color1,currentColor)}\
& caption{text-align:left;padding:0 .75em .4em 0;font-weight:600;\
color:var(--jp-content-font-color1,currentColor)}\
& th,& td{padding:.3em .75em;border:none;text-align:left;\
vertical-align:top;line-height:1.5;white-space:pre-wrap;overflow-wrap:anywhere;max-width:36em}\
& thead th{font-weight:600;white-space:nowrap;\
border-bottom:2px solid var(--jp-border-color1,#8884)}\
& table tbody tr:nth-child(n){background:none;\
border-bottom:1px solid var(--jp-border-color2,#8883)}\
& table tbody tr:nth-child(n):hover{background:var(--jp-layout-color2,#8882)}\
& .n{text-align:right;white-space:nowrap}\
& .o,& p{color:var(--jp-content-font-color2,currentColor)}\
& p{margin:.4em 0 0;font-size:.875em}\
@media print{& table,& caption,& p{color:#000}}";

/// A table from `rows`: structs and maps have named columns, in the order in which the names
/// first appear; arrays and tuples have columns without names; anything else is one column.
///
/// ```
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Flag {
///     code: &'static str,
///     bytes: u32,
/// }
///
/// let flags = [Flag { code: "CN", bytes: 2_121 }, Flag { code: "IN", bytes: 2_410 }];
/// notebook::table(&flags).caption("下载的国旗").show();
/// ```
///
#[doc = concat!("<div>", include_str!("pictures/table.html"), "</div>")]
///
/// Numbers are aligned to the right; `null` and a missing value are a dash. A row that serde
/// cannot serialize shows serde's error.
pub fn table<T: Serialize>(rows: impl IntoIterator<Item = T>) -> Table {
    let rows = rows
        .into_iter()
        .map(|row| serde_json::to_value(row).unwrap_or_else(|error| format!("[{error}]").into()));
    Table {
        rows: rows.collect(),
        caption: String::new(),
        max_rows: MAX_ROWS,
    }
}

/// A table to display: see [`table`].
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Value>,
    caption: String,
    max_rows: usize,
}

impl Table {
    /// Puts `caption` above the table.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Table {
        self.caption = caption.into();
        self
    }

    /// Shows at most so many rows (500 if not set) and says how many there are besides.
    #[must_use]
    pub fn max_rows(mut self, rows: usize) -> Table {
        self.max_rows = rows;
        self
    }

    /// Displays it, as [`display`] does.
    pub fn show(&self) -> Handle {
        display(self)
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        self.bundle().evcxr_display();
    }

    /// The rows that are shown.
    fn shown(&self) -> &[Value] {
        &self.rows[..self.rows.len().min(self.max_rows)]
    }

    /// What to say below about the rows that are not.
    fn remark(&self) -> Option<String> {
        let left_out = self.rows.len() - self.shown().len();
        match self.rows.len() {
            0 => Some("（没有数据）".into()),
            _ if left_out > 0 => Some(format!("……还有 {left_out} 行，共 {} 行", self.rows.len())),
            _ => None,
        }
    }

    /// Names of the columns; none for rows without names.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for row in self.shown().iter().filter_map(Value::as_object) {
            names.extend(
                row.keys()
                    .map(String::as_str)
                    .filter(|name| known.insert(*name)),
            );
        }
        names
    }

    /// The cells, row by row, all rows of the same length.
    fn cells<'a>(&'a self, names: &[&str]) -> Vec<Vec<&'a Value>> {
        let mut cells = Vec::new();
        for row in self.shown() {
            cells.push(match row {
                Value::Object(fields) if !names.is_empty() => {
                    let cell = |name: &&str| fields.get(*name).unwrap_or(&Value::Null);
                    names.iter().map(cell).collect()
                }
                Value::Array(cells) => cells.iter().collect(),
                other => vec![other],
            });
        }
        let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
        for row in &mut cells {
            row.resize(columns, &Value::Null);
        }
        cells
    }

    fn html(&self) -> String {
        let names = self.names();
        let style = STYLE.replace('&', SCOPE);
        let mut html = format!("<div class=\"nb-table\"><style>{style}</style><table>");
        if !self.caption.is_empty() {
            html += &format!("<caption>{}</caption>", escape(&self.caption));
        }
        let cells = self.cells(&names);
        let numeric: Vec<bool> = (0..names.len().max(cells.first().map_or(0, Vec::len)))
            .map(|column| is_numeric(&cells, column))
            .collect();
        // A name stands where the numbers below it do.
        let class = |column: usize| if numeric[column] { " class=\"n\"" } else { "" };
        if !names.is_empty() {
            html += "<thead><tr>";
            for (column, name) in names.iter().enumerate() {
                html += &format!("<th{} scope=\"col\">{}</th>", class(column), escape(name));
            }
            html += "</tr></thead>";
        }
        html += "<tbody>";
        for row in &cells {
            html += "<tr>";
            for (column, cell) in row.iter().enumerate() {
                html += &match cell {
                    Value::Null if numeric[column] => "<td class=\"n o\">—</td>".to_owned(),
                    Value::Null => "<td class=\"o\">—</td>".to_owned(),
                    Value::Number(_) => format!("<td class=\"n\">{cell}</td>"),
                    cell => format!("<td>{}</td>", escape(&written(cell))),
                };
            }
            html += "</tr>";
        }
        html += "</tbody></table>";
        if let Some(remark) = self.remark() {
            html += &format!("<p>{remark}</p>");
        }
        html + "</div>"
    }

    fn text(&self) -> String {
        let names = self.names();
        let cells = self.cells(&names);
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !names.is_empty() {
            lines.push(names.iter().map(|name| clip(name, MAX_WIDTH)).collect());
        }
        for row in &cells {
            lines.push(
                row.iter()
                    .map(|cell| clip(&written(cell), MAX_WIDTH))
                    .collect(),
            );
        }
        let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = lines.iter().filter_map(|line| line.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or(0)
            })
            .collect();
        let numeric: Vec<bool> = (0..columns)
            .map(|column| is_numeric(&cells, column))
            .collect();
        let mut text = Vec::new();
        if !self.caption.is_empty() {
            text.push(self.caption.clone());
        }
        for (number, line) in lines.iter().enumerate() {
            let cells = line.iter().enumerate().map(|(column, cell)| {
                if numeric[column] {
                    pad_left(cell, widths[column])
                } else {
                    pad(cell, widths[column])
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            text.push(line.trim_end().to_owned());
            if number == 0 && !names.is_empty() {
                let rules: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
                text.push(rules.join("  "));
            }
        }
        text.extend(self.remark());
        text.join("\n")
    }
}

/// Whether a column holds numbers and nothing else that is written.
fn is_numeric(cells: &[Vec<&Value>], column: usize) -> bool {
    let mut column = cells
        .iter()
        .filter_map(|row| row.get(column))
        .filter(|cell| !cell.is_null())
        .peekable();
    column.peek().is_some() && column.all(|cell| cell.is_number())
}

/// What stands in a cell.
fn written(cell: &Value) -> String {
    match cell {
        Value::Null => "—".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Show for Table {
    fn bundle(&self) -> Bundle {
        html(self.html()).with_text(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(table: &Table) -> String {
        let html = table.html();
        roxmltree::Document::parse(&html).expect("the HTML is XML as well");
        html
    }

    #[test]
    fn the_picture_in_the_documentation_is_what_is_drawn() {
        let rows = [
            serde_json::json!({"code": "CN", "bytes": 2_121}),
            serde_json::json!({"code": "IN", "bytes": 2_410}),
        ];
        let picture = table(rows).caption("下载的国旗").bundle();
        let html = picture.get("text/html").unwrap().as_str().unwrap();
        crate::pictures::check("table.html", html);
    }

    #[test]
    fn columns_are_the_names_in_order_of_appearance() {
        let table = table([
            json!({"代码": "CN", "人口": 14}),
            json!({"代码": "IN", "面积": 3.2}),
        ]);
        assert_eq!(
            table.text(),
            "代码  人口  面积\n\
             ────  ────  ────\n\
             CN      14     —\n\
             IN       —   3.2"
        );
        let html = parsed(&table);
        assert!(
            html.contains("<th scope=\"col\">代码</th><th class=\"n\" scope=\"col\">人口</th>")
        );
        assert!(html.contains("<td>IN</td><td class=\"n o\">—</td><td class=\"n\">3.2</td>"));
    }

    #[test]
    fn tuples_and_single_values_have_no_header() {
        assert_eq!(table([("a", 1), ("bc", 22)]).text(), "a    1\nbc  22");
        assert_eq!(table(["甲", "乙"]).text(), "甲\n乙");
        assert_eq!(table([json!([1]), json!([1, 2])]).text(), "1  —\n1  2");
        assert!(!parsed(&table(["甲"])).contains("<thead>"));
    }

    #[test]
    fn text_in_a_table_is_no_html() {
        let table = table([json!({"<b>": "<script>alert('&')</script>"})]).caption("<i>");
        let html = parsed(&table);
        let page = roxmltree::Document::parse(&html).unwrap();
        let cell = page
            .descendants()
            .find(|node| node.has_tag_name("td"))
            .unwrap();
        assert_eq!(cell.text(), Some("<script>alert('&')</script>"));
        assert!(!html.contains("<b>") && !html.contains("<i>"));
    }

    #[test]
    fn rows_that_are_not_shown_are_counted() {
        let table = table(0..1000).max_rows(2);
        assert_eq!(table.text(), "0\n1\n……还有 998 行，共 1000 行");
        assert_eq!(parsed(&table).matches("<tr>").count(), 2);
        assert_eq!(crate::table([(); 0]).text(), "（没有数据）");
    }

    #[test]
    fn a_row_that_cannot_be_serialized_says_so() {
        let bad = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(table([bad]).text(), "[key must be a string]");
    }
}
