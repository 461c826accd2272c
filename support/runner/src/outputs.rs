//! What a cell has shown, as a notebook file stores it: the last state of everything.

use serde_json::{Value, json};

/// The outputs of a cell, kept up to date by the messages of its kernel.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    list: Vec<Value>,
    /// By which later messages refer to an output; one for each.
    ids: Vec<Option<String>>,
    /// Whether the next output replaces those that are there.
    clear_next: bool,
}

impl Outputs {
    /// Takes a message of the given type; others than outputs do nothing.
    pub fn take(&mut self, kind: &str, mut content: Value) {
        match kind {
            "clear_output" => {
                self.clear_next = content["wait"] == true;
                if !self.clear_next {
                    self.clear();
                }
            }
            "update_display_data" => self.update(&content),
            "stream" => {
                self.clear_if_due();
                let last = self.list.last_mut();
                let same = last.filter(|last| last["name"] == content["name"]);
                match (same.map(|last| &mut last["text"]), content["text"].as_str()) {
                    (Some(Value::String(before)), Some(more)) => before.push_str(more),
                    _ => self.push(kind, content, None),
                }
            }
            "execute_result" | "display_data" | "error" => {
                self.clear_if_due();
                let transient = content
                    .as_object_mut()
                    .and_then(|fields| fields.remove("transient"));
                let id = transient.and_then(|it| Some(it["display_id"].as_str()?.to_owned()));
                self.push(kind, content, id);
            }
            _ => {}
        }
    }

    /// Replaces what is shown under the display id that `content` names, if that is here.
    pub fn update(&mut self, content: &Value) {
        let Some(wanted) = content["transient"]["display_id"].as_str() else {
            return;
        };
        for (output, id) in self.list.iter_mut().zip(&self.ids) {
            if id.as_deref() == Some(wanted) {
                output["data"] = content["data"].clone();
                output["metadata"] = content["metadata"].clone();
            }
        }
    }

    /// As they came, text of one stream joined.
    pub fn received(&self) -> Vec<Value> {
        self.list.clone()
    }

    /// As a notebook file stores them: without text that has been overwritten.
    pub fn stored(&self) -> Vec<Value> {
        let mut outputs = self.received();
        for output in &mut outputs {
            if let Value::String(text) = &mut output["text"] {
                *text = overwritten(text);
            } else if let Some(fields) = output.as_object_mut() {
                fields.remove("text"); // which looking for it has added
            }
        }
        outputs
    }

    fn push(&mut self, kind: &str, mut content: Value, id: Option<String>) {
        content["output_type"] = json!(kind);
        self.list.push(content);
        self.ids.push(id);
    }

    fn clear_if_due(&mut self) {
        if std::mem::take(&mut self.clear_next) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.list.clear();
        self.ids.clear();
    }
}

/// The text that is left when `\r` goes back to the beginning of a line and `\u{8}` by a character.
fn overwritten(text: &str) -> String {
    if !text.contains(['\r', '\u{8}']) {
        return text.to_owned();
    }
    let mut lines = text.split('\n').map(|line| {
        // A `\r` before the newline changes nothing.
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (mut shown, mut at) = (Vec::new(), 0_usize);
        for character in line.chars() {
            match character {
                '\r' => at = 0,
                '\u{8}' => at = at.saturating_sub(1),
                character => {
                    match shown.get_mut(at) {
                        Some(place) => *place = character,
                        None => shown.push(character),
                    }
                    at += 1;
                }
            }
        }
        shown.into_iter().collect::<String>()
    });
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |text, line| text + "\n" + &line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(outputs: &Outputs) -> Vec<String> {
        let text = |output: Value| match &output["data"]["text/plain"] {
            Value::String(text) => text.clone(),
            _ => output["text"].as_str().unwrap().to_owned(),
        };
        outputs.stored().into_iter().map(text).collect()
    }

    fn display(id: &str, text: &str) -> Value {
        json!({"data": {"text/plain": text}, "metadata": {}, "transient": {"display_id": id}})
    }

    #[test]
    fn text_of_one_stream_is_joined_and_the_streams_are_not_mixed() {
        let mut outputs = Outputs::default();
        for (name, text) in [
            ("stdout", "a"),
            ("stdout", "b"),
            ("stderr", "c"),
            ("stdout", "d"),
        ] {
            outputs.take("stream", json!({"name": name, "text": text}));
        }
        assert_eq!(texts(&outputs), ["ab", "c", "d"]);
    }

    #[test]
    fn of_a_display_the_last_state_is_kept_where_it_was_shown() {
        let mut outputs = Outputs::default();
        outputs.take("display_data", display("1", "0 %"));
        outputs.take("stream", json!({"name": "stdout", "text": "text"}));
        outputs.take("update_display_data", display("1", "100 %"));
        outputs.take("update_display_data", display("2", "unknown"));
        assert_eq!(texts(&outputs), ["100 %", "text"]);
        assert_eq!(outputs.stored()[0].get("transient"), None);
    }

    #[test]
    fn clearing_happens_at_once_or_with_the_next_output() {
        let mut outputs = Outputs::default();
        outputs.take("display_data", display("1", "a"));
        outputs.take("clear_output", json!({"wait": true}));
        assert_eq!(texts(&outputs), ["a"]);
        outputs.take("display_data", display("2", "b"));
        assert_eq!(texts(&outputs), ["b"]);
        outputs.take("clear_output", json!({"wait": false}));
        assert_eq!(texts(&outputs), [""; 0]);
    }

    #[test]
    fn what_is_overwritten_is_not_stored() {
        for (text, expected) in [
            ("plain\ntext\n", "plain\ntext\n"),
            (
                "\r| thinking!\r/ thinking!\r           \rAnswer: 42\n",
                "Answer: 42 \n",
            ),
            ("50 %\r100 %\nnext", "100 %\nnext"),
            ("abc\u{8}\u{8}x", "axc"),
            ("\u{8}a", "a"),
            ("dos\r\nlines\r\n", "dos\nlines\n"),
        ] {
            assert_eq!(overwritten(text), expected, "{text:?}");
        }
    }
}
