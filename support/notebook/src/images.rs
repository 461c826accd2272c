//! Many small pictures side by side.

use crate::bundle::{data_uri, describe, media_type, not_a_picture};
use crate::escape::escape;
use crate::{Bundle, Handle, Show, display, html};

const STYLE: &str = "\
.nb-images{display:grid;gap:.75em;margin:.4em 0;\
grid-template-columns:repeat(auto-fill,minmax(min(var(--nb-image),100%),1fr))}\
.nb-images figure{margin:0;min-width:0;text-align:center;break-inside:avoid}\
.nb-images img{display:block;margin:0 auto;max-width:100%;width:var(--nb-image);height:auto;\
box-shadow:0 0 0 1px var(--jp-border-color1,#8886)}\
.nb-images figcaption{margin-top:.35em;font-size:.8125em;line-height:1.35;\
overflow-wrap:anywhere;color:var(--jp-content-font-color1,currentColor)}\
.nb-images .e{padding:.75em .25em;font-size:.75em;overflow-wrap:anywhere;\
border:1px dashed var(--jp-border-color1,#8886);\
color:var(--jp-content-font-color2,currentColor)}\
@media print{.nb-images figcaption,.nb-images .e{color:#000}}";

/// A grid of pictures from pairs of a caption and the bytes of a PNG, JPEG, GIF, WebP or SVG file.
///
/// ```
/// let flag = |colour: &str, width: u8| {
///     format!(
///         "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 3 2'>\
///          <rect width='{width}' height='2' fill='{colour}'/></svg>"
///     )
/// };
/// let flags = [("左红", flag("crimson", 1)), ("全蓝", flag("royalblue", 3))];
/// notebook::images(flags).width(120).show();
/// ```
///
#[doc = concat!("<div>", include_str!("pictures/images.html"), "</div>")]
///
/// The pictures become part of the output: 200 flags of 3 kB make 0.8 MB of it. Bytes that are no
/// picture are shown as a box that says what they begin with.
pub fn images<L, B>(pictures: impl IntoIterator<Item = (L, B)>) -> Images
where
    L: Into<String>,
    B: AsRef<[u8]>,
{
    let pictures = pictures
        .into_iter()
        .map(|(caption, bytes)| (caption.into(), bytes.as_ref().to_vec()));
    Images {
        pictures: pictures.collect(),
        width: 96,
    }
}

/// A grid of pictures to display: see [`images`].
#[derive(Clone, Debug)]
pub struct Images {
    pictures: Vec<(String, Vec<u8>)>,
    /// Of each picture, in pixels.
    width: u32,
}

impl Images {
    /// Makes each picture so many pixels wide (96 if not set); as many as fit stand in a row.
    #[must_use]
    pub fn width(mut self, pixels: u32) -> Images {
        self.width = pixels;
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

    fn html(&self) -> String {
        let mut html = format!(
            "<div class=\"nb-images\" style=\"--nb-image:{}px\"><style>{STYLE}</style>",
            self.width
        );
        for (caption, bytes) in &self.pictures {
            let caption = escape(caption);
            html += "<figure>";
            // In an <img> not even an SVG runs scripts.
            html += &match media_type(bytes) {
                Some(mime) => {
                    let address = data_uri(mime, bytes);
                    let text = match caption.is_empty() {
                        true => escape(&describe(mime, bytes)),
                        false => caption.clone(),
                    };
                    format!("<img src=\"{address}\" alt=\"{text}\"/>")
                }
                None => format!("<div class=\"e\">{}</div>", escape(&not_a_picture(bytes))),
            };
            if !caption.is_empty() {
                html += &format!("<figcaption>{caption}</figcaption>");
            }
            html += "</figure>";
        }
        html + "</div>"
    }

    fn text(&self) -> String {
        let captions: Vec<&str> = self
            .pictures
            .iter()
            .map(|(caption, _)| caption.as_str())
            .filter(|caption| !caption.is_empty())
            .collect();
        match captions.as_slice() {
            [] => format!("[{} 张图片]", self.pictures.len()),
            captions => format!("[{} 张图片：{}]", self.pictures.len(), captions.join("、")),
        }
    }
}

impl Show for Images {
    fn bundle(&self) -> Bundle {
        html(self.html()).with_text(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_in_the_documentation_is_what_is_drawn() {
        let flag = |colour: &str, width: u8| {
            format!(
                "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 3 2'>\
                 <rect width='{width}' height='2' fill='{colour}'/></svg>"
            )
        };
        let flags = [("左红", flag("crimson", 1)), ("全蓝", flag("royalblue", 3))];
        crate::pictures::check("images.html", &images(flags).width(120).html());
    }

    #[test]
    fn every_picture_has_its_caption_and_its_own_data() {
        let images = images([("甲 & 乙", "GIF89a...."), ("丙", "<svg/>"), ("丁", "404")]);
        let html = images.html();
        let page = roxmltree::Document::parse(&html).unwrap();
        let attributes = |name| -> Vec<_> {
            page.descendants()
                .filter_map(|node| node.attribute(name))
                .collect()
        };
        assert_eq!(attributes("alt"), ["甲 & 乙", "丙"]);
        assert_eq!(
            attributes("src")[0],
            "data:image/gif;base64,R0lGODlhLi4uLg=="
        );
        assert!(attributes("src")[1].starts_with("data:image/svg+xml;base64,"));
        assert!(html.contains("[不是图片：3 字节，开头是 404]"));
        assert_eq!(images.text(), "[3 张图片：甲 & 乙、丙、丁]");
        let unnamed = super::images([("", "GIF89a....")]);
        assert_eq!(unnamed.text(), "[1 张图片]");
        assert!(unnamed.html().contains("alt=\"[GIF 图片，"));
    }
}
