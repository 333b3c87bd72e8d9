//! The fields of a JSON body, read so that a client learns of all its mistakes at once: what is wrong with one is no
//! reason not to look at the others.
//!
//! A body is a struct of [`Field`]s, read by serde, and described by the same struct. What is not known of goes into
//! an [`Unknown`], flattened. Whoever needs the values asks each field for its own, and notes the mistakes.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

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

/// A field as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Field<T> {
    /// It was not, or as `null`.
    #[default]
    Absent,
    /// A value of the type that is wanted.
    Sent(T),
    /// Something else.
    Wrong(Value),
}

impl<T> Field<T> {
    /// Whether nothing was sent.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// The value, if there is one; another type than that is a mistake.
    pub fn optional(self, place: &str, wrong: &str, mistakes: &mut Mistakes) -> Option<T> {
        match self {
            Self::Sent(value) => Some(value),
            Self::Absent => None,
            Self::Wrong(_) => {
                mistakes.add(place, wrong);
                None
            }
        }
    }

    /// The value, which must be there.
    pub fn required(self, place: &str, wrong: &str, mistakes: &mut Mistakes) -> Option<T> {
        if self.is_absent() {
            mistakes.add(place, "is missing");
        }
        self.optional(place, wrong, mistakes)
    }
}

impl Field<String> {
    /// A text that must be there.
    pub fn text(self, place: &str, mistakes: &mut Mistakes) -> Option<String> {
        self.required(place, "must be a text", mistakes)
    }

    /// A text that must be there and mean something.
    pub fn parsed<T: std::str::FromStr>(
        self,
        place: &str,
        wrong: &str,
        mistakes: &mut Mistakes,
    ) -> Option<T> {
        let parsed = self.text(place, mistakes)?.parse().ok();
        if parsed.is_none() {
            mistakes.add(place, wrong);
        }
        parsed
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(Self::Absent);
        }
        Ok(match T::deserialize(&value) {
            Ok(read) => Self::Sent(read),
            Err(_) => Self::Wrong(value),
        })
    }
}

impl<T: Serialize> Serialize for Field<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Sent(value) => value.serialize(serializer),
            Self::Wrong(value) => value.serialize(serializer),
        }
    }
}

/// The fields that a body has and the request does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(Vec<String>);

impl Unknown {
    /// Each is a mistake: perhaps a slip of the pen in the name of one that counts. `prefix` is where they are, like
    /// `lines[0].`.
    pub fn note(self, prefix: &str, mistakes: &mut Mistakes) {
        for name in self.0 {
            mistakes.add(format!("{prefix}{name}"), "is not a field of this request");
        }
    }
}

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(fields.into_keys().collect()))
    }
}
