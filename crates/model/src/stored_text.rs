//! Text from outside that goes into a row: what a mail server answered, what a file is called, what went wrong.
//!
//! PostgreSQL's texts and its JSON hold no NUL, and a row is no place for a book. Where the text is only told to
//! people it is cleaned ([`StoredText`], [`clean_json`]), so that nothing fails because of it. Where it names something
//! it is refused instead ([`is_storable`]): another name would mean something else.

use std::fmt;
use std::ops::Deref;

use serde_json::Value;

/// The longest text that is kept, in bytes.
pub const MAX_BYTES: usize = 4_000;

/// What stands for a NUL.
const REPLACEMENT: &str = "\u{fffd}";

/// What stands for the end that was cut off.
const CUT: &str = "…";

/// A text that any row can hold: without NUL, and of at most [`MAX_BYTES`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredText(String);

impl StoredText {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for StoredText {
    fn from(text: String) -> Self {
        let mut text = if is_storable(&text) { text } else { text.replace('\0', REPLACEMENT) };
        if text.len() > MAX_BYTES {
            text.truncate(text.floor_char_boundary(MAX_BYTES - CUT.len()));
            text.push_str(CUT);
        }
        Self(text)
    }
}

impl From<&str> for StoredText {
    fn from(text: &str) -> Self {
        // What is cut off in any case need not be copied: a NUL grows to three bytes, so nothing is cut too early.
        Self::from(text[..text.floor_char_boundary(MAX_BYTES + 4)].to_owned())
    }
}

impl From<StoredText> for String {
    fn from(text: StoredText) -> Self {
        text.0
    }
}

impl Deref for StoredText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a database can hold the text as it is; its length is another matter.
pub fn is_storable(text: &str) -> bool {
    !text.contains('\0')
}

/// The value as a row can hold it: each of its texts and names as a [`StoredText`] is.
pub fn clean_json(value: Value) -> Value {
    let clean = |text: String| String::from(StoredText::from(text));
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(clean_json).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (clean(name), clean_json(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_without_a_nul_and_not_too_long_stays_as_it_is() {
        for text in ["", "550 no such user", "żółw\n", &"x".repeat(MAX_BYTES)] {
            assert_eq!(StoredText::from(text).as_str(), text);
            assert_eq!(StoredText::from(text.to_owned()).as_str(), text);
        }
    }

    #[test]
    fn a_nul_is_replaced_and_a_long_text_is_cut_at_a_whole_character() {
        assert_eq!(StoredText::from("550 no\0such user").as_str(), "550 no\u{fffd}such user");
        for long in ["ü".repeat(MAX_BYTES), "\0".repeat(MAX_BYTES), "€".repeat(2 * MAX_BYTES)] {
            let (borrowed, owned) = (StoredText::from(long.as_str()), StoredText::from(long));
            assert_eq!(borrowed, owned);
            assert!(owned.len() <= MAX_BYTES && owned.len() > MAX_BYTES - 6, "{}", owned.len());
            assert!(owned.ends_with(CUT) && is_storable(&owned));
        }
    }

    #[test]
    fn json_is_cleaned_at_any_depth() {
        let dirty = json!({"a\0": ["x\0y", {"b": "\0"}, 1, null, true], "c": "fine"});
        let clean = json!({"a\u{fffd}": ["x\u{fffd}y", {"b": "\u{fffd}"}, 1, null, true], "c": "fine"});
        assert_eq!(clean_json(dirty), clean);
        assert_eq!(clean_json(clean.clone()), clean);
        let long = clean_json(json!(["x".repeat(2 * MAX_BYTES)]));
        assert_eq!(long[0].as_str().unwrap().len(), MAX_BYTES);
    }
}
