//! Arguments that come from outside: the kind's own contract reads them, and an error names the place. Whether the
//! subject exists is the handler's question.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::kind::Kind;

/// Arguments that are not what the kind asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadArgs {
    /// Where: an argument's name, or `body` for the whole.
    pub field: String,
    /// What is wrong there.
    pub message: String,
}

/// See [`KindInfo::read_args`](crate::KindInfo::read_args).
pub fn read_args<K: Kind>(args: &Value) -> Result<Value, BadArgs> {
    let read: Result<K, _> = serde_path_to_error::deserialize(Args(args.clone()));
    let whole = |message: String| BadArgs { field: "body".into(), message };
    let args = read.map_err(|error| {
        let path = error.path().to_string();
        match error.into_inner() {
            ArgsError::Unknown(name) => {
                BadArgs { field: name, message: "is not an argument of this task".into() }
            }
            ArgsError::Missing(name) => BadArgs { field: name.into(), message: "is missing".into() },
            ArgsError::Other(message) if path == "." => whole(message),
            ArgsError::Other(message) => BadArgs { field: path, message },
        }
    })?;
    serde_json::to_value(&args).map_err(|error| whole(error.to_string()))
}

/// JSON that is read with an error that tells a field too many, or one that is missing, by its name.
struct Args(Value);

#[derive(Debug, thiserror::Error)]
enum ArgsError {
    #[error("unknown field {0}")]
    Unknown(String),
    #[error("missing field {0}")]
    Missing(&'static str),
    #[error("{0}")]
    Other(String),
}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown(field.to_owned())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

impl From<serde_json::Error> for ArgsError {
    fn from(error: serde_json::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl IntoDeserializer<'_, ArgsError> for Args {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Objects and lists are read here, so that the error is ours at any depth; the rest is as in JSON.
impl<'de> Deserializer<'de> for Args {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0 {
            Value::Object(fields) => {
                let mut fields =
                    MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, Self(value))));
                let read = visitor.visit_map(&mut fields)?;
                fields.end().map(|()| read)
            }
            Value::Array(items) => {
                let mut items = SeqDeserializer::new(items.into_iter().map(Self));
                let read = visitor.visit_seq(&mut items)?;
                items.end().map(|()| read)
            }
            other => Ok(other.deserialize_any(visitor)?),
        }
    }

    /// What must be a text has no places that could be wrong.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        Ok(self.0.deserialize_str(visitor)?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        Ok(self.0.deserialize_string(visitor)?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        Ok(self.0.deserialize_enum(name, variants, visitor)?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}
