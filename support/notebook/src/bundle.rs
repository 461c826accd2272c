//! What a value looks like: the same thing as several MIME types, of which a front picks the
//! best that it can show.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::escape::strip_tags;
use crate::{Handle, display, outlet};

/// One thing in several forms (a *MIME bundle* in Jupyter's words), always with a plain text for
/// where nothing better can be shown.
///
/// [`markdown`], [`html`], [`image`] and their like make one. It is displayed by [`show`](Self::show),
/// by [`display`], and as the last expression of a cell.
///
/// ```
/// use notebook::Bundle;
///
/// let both = Bundle::new("E = mc²").with("text/latex", "$E = mc^2$");
/// assert_eq!(both.text(), "E = mc²");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    data: Map<String, Value>,
}

impl Bundle {
    /// A bundle that is only `text`, so far.
    pub fn new(text: impl Into<String>) -> Bundle {
        let mut data = Map::new();
        data.insert("text/plain".into(), Value::String(text.into()));
        Bundle { data }
    }

    /// The same with one more form, in place of an earlier one of that MIME type.
    ///
    /// `value` is text; for a picture base64; for a MIME type that ends in `json` a JSON value.
    #[must_use]
    pub fn with(mut self, mime: &str, value: impl Into<Value>) -> Bundle {
        self.data.insert(mime.to_owned(), value.into());
        self
    }

    /// The same with another plain text: what programs, terminals and screen readers get.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> Bundle {
        self.with("text/plain", text.into())
    }

    /// The plain text.
    pub fn text(&self) -> &str {
        self.data["text/plain"].as_str().unwrap_or_default()
    }

    /// The form with this MIME type.
    pub fn get(&self, mime: &str) -> Option<&Value> {
        self.data.get(mime)
    }

    pub(crate) fn data(&self) -> &Map<String, Value> {
        &self.data
    }

    /// Displays it, as [`display`] does.
    pub fn show(&self) -> Handle {
        display(self)
    }

    /// What evcxr calls for the last expression of a cell: the cell's result.
    pub fn evcxr_display(&self) {
        outlet::print_blocks(self);
    }
}

/// What can be displayed.
///
/// Implement it for a type of your own and [`display`] takes it:
///
/// ```
/// use notebook::{Bundle, Show, display, html};
///
/// struct Temperature(f64);
///
/// impl Show for Temperature {
///     fn bundle(&self) -> Bundle {
///         html(format!("<b>{:.1}</b> °C", self.0)).with_text(format!("{:.1} °C", self.0))
///     }
/// }
///
/// display(&Temperature(36.6));
/// ```
///
/// To have it displayed as the last expression of a cell as well, give it evcxr's method:
/// `fn evcxr_display(&self) { self.bundle().evcxr_display() }`.
pub trait Show {
    /// What it looks like.
    fn bundle(&self) -> Bundle;
}

impl Show for Bundle {
    fn bundle(&self) -> Bundle {
        self.clone()
    }
}

impl Show for str {
    fn bundle(&self) -> Bundle {
        Bundle::new(self)
    }
}

impl Show for String {
    fn bundle(&self) -> Bundle {
        Bundle::new(self.as_str())
    }
}

impl Show for Value {
    fn bundle(&self) -> Bundle {
        json(self)
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn bundle(&self) -> Bundle {
        T::bundle(self)
    }
}

/// Plain text; anything with [`Display`](std::fmt::Display).
///
/// ```
/// # use notebook::text;
/// assert_eq!(text(format!("{:?}", [1, 2])).text(), "[1, 2]");
/// ```
pub fn text(text: impl std::fmt::Display) -> Bundle {
    Bundle::new(text.to_string())
}

/// Markdown, with formulas between `$`.
///
/// ```
/// # use notebook::markdown;
/// markdown("**任务**只在 `.await` 处挂起。").show();
/// ```
pub fn markdown(markdown: impl Into<String>) -> Bundle {
    let markdown = markdown.into();
    Bundle::new(markdown.as_str()).with("text/markdown", markdown)
}

/// HTML, taken as it is: text that comes from elsewhere must be escaped in it.
///
/// The plain text is what is left without the tags; [`Bundle::with_text`] sets a better one.
///
/// ```
/// # use notebook::html;
/// assert_eq!(html("<b>194</b> 个国家").text(), "194 个国家");
/// ```
pub fn html(html: impl Into<String>) -> Bundle {
    let html = html.into();
    Bundle::new(strip_tags(&html)).with("text/html", html)
}

/// An SVG picture, as part of the page.
///
/// It is sent as HTML: as `image/svg+xml` JupyterLab would put it into an `<img>`, where hovering
/// does nothing and the colours of the theme do not apply. Give it a `<title>`, for who does not see it.
///
/// ```
/// # use notebook::svg;
/// svg(r#"<svg viewBox="0 0 9 9" width="90"><circle cx="5" cy="5" r="4"/></svg>"#).show();
/// ```
pub fn svg(svg: impl Into<String>) -> Bundle {
    let svg = svg.into();
    // HTML knows neither an XML declaration nor a document type.
    let mut html = svg[svg.find("<svg").unwrap_or(0)..].to_owned();
    let title = svg
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    let text = match title {
        Some((title, _)) => format!("[SVG 图：{}]", strip_tags(title)),
        None => {
            // That there is a picture at least, to a screen reader.
            let tag = &html[..html.find('>').unwrap_or(0)];
            if tag.starts_with("<svg") && !tag.contains("aria-label") {
                html.insert_str("<svg".len(), " role=\"img\" aria-label=\"SVG 图\"");
            }
            "[SVG 图]".to_owned()
        }
    };
    Bundle::new(text).with("text/html", html)
}

/// A PNG picture from its bytes.
///
/// ```no_run
/// # use notebook::png;
/// png(std::fs::read("flags/cn.png")?).show();
/// # std::io::Result::Ok(())
/// ```
pub fn png(bytes: impl AsRef<[u8]>) -> Bundle {
    picture("image/png", bytes.as_ref())
}

/// A picture from the bytes of a PNG, JPEG, GIF, WebP or SVG file.
///
/// Other bytes are displayed as a text that says what they begin with.
///
/// ```
/// # use notebook::image;
/// assert_eq!(image(b"GIF89a\x10\x00\x0b\x00").text(), "[GIF 图片，16×11，10 字节]");
/// assert_eq!(image(b"<html>404").text(), "[不是图片：9 字节，开头是 <html>404]");
/// ```
pub fn image(bytes: impl AsRef<[u8]>) -> Bundle {
    let bytes = bytes.as_ref();
    match media_type(bytes) {
        Some("image/svg+xml") => svg(String::from_utf8_lossy(bytes)),
        Some(mime) => picture(mime, bytes),
        None => Bundle::new(not_a_picture(bytes)),
    }
}

/// JSON, to be folded and unfolded; anything that serde can serialize.
///
/// ```
/// # use notebook::json;
/// assert_eq!(json(&[1, 2]).text(), "[\n  1,\n  2\n]");
/// ```
///
/// What cannot be serialized (a map whose keys are not strings) is displayed as serde's error.
pub fn json(value: &(impl Serialize + ?Sized)) -> Bundle {
    match serde_json::to_value(value) {
        Ok(value) => Bundle::new(format!("{value:#}")).with("application/json", value),
        Err(error) => Bundle::new(format!("[无法写成 JSON：{error}]")),
    }
}

/// A formula in LaTeX. Without delimiters (`$…$`, `\[…\]`, `\begin{…}`) it is displayed on a line
/// of its own.
///
/// ```
/// # use notebook::latex;
/// assert_eq!(latex(r"t = \max_i t_i").get("text/latex").unwrap(), r"$$t = \max_i t_i$$");
/// ```
pub fn latex(formula: impl Into<String>) -> Bundle {
    let formula = formula.into();
    let delimited = ["$", r"\[", r"\(", r"\begin"]
        .iter()
        .any(|delimiter| formula.contains(delimiter));
    let text = Bundle::new(formula.as_str());
    if delimited {
        text.with("text/latex", formula)
    } else {
        text.with("text/latex", format!("$${formula}$$"))
    }
}

fn picture(mime: &str, bytes: &[u8]) -> Bundle {
    Bundle::new(describe(mime, bytes)).with(mime, STANDARD.encode(bytes))
}

/// A picture as an address that needs no other file.
pub(crate) fn data_uri(mime: &str, bytes: &[u8]) -> String {
    format!("data:{mime};base64,{}", STANDARD.encode(bytes))
}

/// What kind of picture `bytes` are, by how they begin.
pub(crate) fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => {
            // An XML declaration, a licence in a comment: the element may come late.
            let start = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
            let start = start.trim_start_matches('\u{feff}').trim_start();
            (start.starts_with("<svg") || start.starts_with("<?xml") || start.starts_with("<!"))
                .then(|| start.contains("<svg").then_some("image/svg+xml"))
                .flatten()
        }
    }
}

/// "[PNG 图片，16×11，1.2 kB]"
pub(crate) fn describe(mime: &str, bytes: &[u8]) -> String {
    let kind = match mime {
        "image/svg+xml" => "SVG".to_owned(),
        mime => mime.trim_start_matches("image/").to_uppercase(),
    };
    match size(bytes) {
        Some((width, height)) => {
            format!("[{kind} 图片，{width}×{height}，{}]", amount(bytes.len()))
        }
        None => format!("[{kind} 图片，{}]", amount(bytes.len())),
    }
}

/// What to say of bytes that are no picture.
pub(crate) fn not_a_picture(bytes: &[u8]) -> String {
    let start: String = String::from_utf8_lossy(bytes).chars().take(20).collect();
    format!(
        "[不是图片：{}，开头是 {}]",
        amount(bytes.len()),
        start.escape_debug()
    )
}

/// Width and height in pixels of a PNG or GIF.
fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    match media_type(bytes)? {
        "image/png" => {
            let number = |at| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
            Some((number(16)?, number(20)?))
        }
        "image/gif" => {
            let number = |at| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?).into());
            Some((number(6)?, number(8)?))
        }
        _ => None,
    }
}

/// "512 字节", "1.2 kB"
fn amount(bytes: usize) -> String {
    match bytes {
        0..1_000 => format!("{bytes} 字节"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_svg_file_becomes_part_of_the_page() {
        let file = "<?xml version=\"1.0\"?>\n<!DOCTYPE svg>\n<svg><title>甲 &amp; 乙</title></svg>";
        let bundle = image(file);
        assert_eq!(
            bundle.get("text/html").unwrap(),
            "<svg><title>甲 &amp; 乙</title></svg>"
        );
        assert_eq!(bundle.text(), "[SVG 图：甲 & 乙]");
        assert_eq!(media_type(b"<!DOCTYPE html><html>"), None);
    }

    #[test]
    fn an_svg_without_a_title_is_a_picture_all_the_same() {
        let html = |text: &str| svg(text).get("text/html").unwrap().clone();
        assert_eq!(
            html("<svg viewBox=\"0 0 9 9\"/>"),
            "<svg role=\"img\" aria-label=\"SVG 图\" viewBox=\"0 0 9 9\"/>"
        );
        let labelled = "<svg role='img' aria-label='圆'></svg>";
        assert_eq!(html(labelled), labelled);
    }

    #[test]
    fn a_png_is_sent_in_base64_and_described() {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        bytes.extend([0, 0, 1, 64, 0, 0, 0, 200]);
        let bundle = image(&bytes);
        assert_eq!(bundle.text(), "[PNG 图片，320×200，24 字节]");
        let sent = bundle.get("image/png").unwrap().as_str().unwrap();
        assert_eq!(STANDARD.decode(sent).unwrap(), bytes);
        assert_eq!(bundle, png(&bytes));
    }

    #[test]
    fn what_serde_cannot_write_is_an_error_one_can_read() {
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(json(&map).text(), "[无法写成 JSON：key must be a string]");
    }

    #[test]
    fn a_formula_keeps_its_own_delimiters() {
        for formula in ["$x$", r"\[x\]", r"\begin{align}x\end{align}"] {
            assert_eq!(latex(formula).get("text/latex").unwrap(), formula);
        }
    }
}
