//! Reads a JSON body field by field, and notes everything that is wrong with it, so that a client learns
//! of all mistakes at once.

use serde_json::{Map, Value};

use super::problem::FieldError;

/// What is wrong so far.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<FieldError>);

impl Mistakes {
    /// Notes one.
    pub fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}

/// An object of the body, and where it is.
pub struct Object<'a> {
    fields: &'a Map<String, Value>,
    /// `""` for the body itself, else like `lines[0].`.
    prefix: String,
}

impl<'a> Object<'a> {
    /// The object at `place`, if it is one and has no other fields than these.
    pub fn read(value: &'a Value, place: &str, known: &[&str], mistakes: &mut Mistakes) -> Option<Self> {
        let Value::Object(fields) = value else {
            mistakes.add(if place.is_empty() { "body" } else { place }, "must be an object");
            return None;
        };
        let prefix = if place.is_empty() { String::new() } else { format!("{place}.") };
        for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
            mistakes.add(format!("{prefix}{name}"), "is not a field of this request");
        }
        Some(Self { fields, prefix })
    }

    /// The place of a field.
    pub fn place(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The value of a field; `null` counts as absent.
    pub fn optional(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// The value of a field that must be there.
    pub fn required(&self, name: &str, mistakes: &mut Mistakes) -> Option<&'a Value> {
        let value = self.optional(name);
        if value.is_none() {
            mistakes.add(self.place(name), "is missing");
        }
        value
    }

    /// A text that must be there.
    pub fn text(&self, name: &str, mistakes: &mut Mistakes) -> Option<&'a str> {
        let value = self.required(name, mistakes)?;
        let text = value.as_str();
        if text.is_none() {
            mistakes.add(self.place(name), "must be a text");
        }
        text
    }

    /// A text that must be there and mean something; its parser's error says what is wrong.
    pub fn parsed<T>(&self, name: &str, mistakes: &mut Mistakes, wrong: &str) -> Option<T>
    where
        T: std::str::FromStr,
    {
        let parsed = self.text(name, mistakes)?.parse().ok();
        if parsed.is_none() {
            mistakes.add(self.place(name), wrong);
        }
        parsed
    }
}
