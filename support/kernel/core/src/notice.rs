//! What takes long, told in the cell that waits for it: one display, of which the text changes.

use bytes::Bytes;
use serde_json::json;

use crate::front::{Front, Turn};

/// A notice that a cell shows.
pub struct Notice {
    /// Who has something to tell.
    guest: u64,
    /// The header of the request for the cell.
    parent: Bytes,
}

impl Front {
    /// Shows a line, in the place of the one before from the same guest.
    pub(crate) fn take_notice(&mut self, guest: u64, line: &str) {
        let Some(parent) = self.who_waits() else {
            return;
        };
        self.send_text(false);
        let known = |notice: &Notice| notice.guest == guest && notice.parent == parent;
        let kind = match self.notice.as_ref().is_some_and(known) {
            true => "update_display_data",
            false => "display_data",
        };
        let content = json!({
            "data": { "text/plain": line },
            "metadata": {},
            "transient": { "display_id": format!("kernel-{}-{guest}", self.session) },
        });
        self.publish(kind, &parent, content);
        self.notice = Some(Notice { guest, parent });
    }

    /// The header of the request that waits: for the cell that is being executed or, while evcxr
    /// works for nobody but us, the next one.
    fn who_waits(&self) -> Option<Bytes> {
        let request = match &self.turn {
            Turn::Cell(cell) => &cell.request,
            _ => self
                .queue
                .iter()
                .find(|request| request.kind == "execute_request")?,
        };
        let is_silent = request.content()["silent"] == true;
        (!is_silent).then(|| request.header.clone())
    }
}
