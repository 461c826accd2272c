//! Displaying: several things in a cell, in place again later, and clearing.

use serde_json::json;

use crate::{Show, outlet};

/// Displays `value` below what the cell has put out so far.
///
/// The handle replaces it later, from any thread and any cell; it need not be kept.
///
/// ```
/// use notebook::{display, html, markdown};
///
/// display(&markdown("## 结果"));
/// let answer = display("还在算……");
/// answer.update(&html("<b>42</b>"));
/// ```
///
/// On a stock evcxr kernel a cell shows one result at its end: there each display and each
/// update takes the place of the one before (one for each MIME type), and what remains is shown. In
/// an ordinary program the plain text is printed.
pub fn display<T: Show + ?Sized>(value: &T) -> Handle {
    let handle = Handle {
        id: outlet::new_id(),
    };
    outlet::show("display_data", &handle.id, &value.bundle());
    handle
}

/// A place in the notebook where something is displayed.
///
/// Clones stand for the same place. Dropping it leaves what is displayed as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handle {
    id: String,
}

impl Handle {
    /// Displays `value` in place of what is there.
    ///
    /// Every update is sent: it is up to the caller not to send more than somebody can see
    /// (some ten a second).
    pub fn update<T: Show + ?Sized>(&self, value: &T) {
        outlet::show("update_display_data", &self.id, &value.bundle());
    }

    /// Nothing: a cell may end in `display(…)` without a semicolon.
    pub fn evcxr_display(&self) {}
}

/// Removes everything the cell has put out so far: text, displays, progress bars.
///
/// Does nothing on a stock evcxr kernel, which cannot, and in ordinary programs.
///
/// ```
/// notebook::println!("正在准备……");
/// notebook::clear();
/// ```
pub fn clear() {
    outlet::publish("clear_output", &json!({ "wait": false }));
}

/// Like [`clear`], but only when the cell puts out something new, so that nothing flickers.
///
/// ```
/// for frame in ["◐", "◓", "◑", "◒"] {
///     notebook::clear_before_next();
///     notebook::println!("{frame}");
/// }
/// ```
pub fn clear_before_next() {
    outlet::publish("clear_output", &json!({ "wait": true }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlet::recorded;
    use crate::{html, markdown};

    #[test]
    fn a_handle_updates_its_own_display() {
        let messages = recorded::messages(|| {
            let first = display("一");
            let second = display(&markdown("**二**"));
            first.update(&html("<i>壹</i>"));
            assert_ne!(first, second);
        });
        let id = |n: usize| messages[n].1["transient"]["display_id"].as_str().unwrap();
        let types: Vec<_> = messages.iter().map(|message| &*message.0).collect();
        assert_eq!(
            types,
            ["display_data", "display_data", "update_display_data"]
        );
        assert_eq!(id(0), id(2));
        assert_ne!(id(0), id(1));
        assert_eq!(
            messages[2].1["data"],
            json!({"text/plain": "壹", "text/html": "<i>壹</i>"})
        );
        assert_eq!(messages[1].1["data"]["text/markdown"], "**二**");
        assert_eq!(messages[1].1["metadata"], json!({}));
    }

    #[test]
    fn clearing_at_once_and_with_the_next_output() {
        let messages = recorded::messages(|| {
            clear();
            clear_before_next();
        });
        let expected = |wait| ("clear_output".to_owned(), json!({ "wait": wait }));
        assert_eq!(messages, [expected(false), expected(true)]);
    }
}
