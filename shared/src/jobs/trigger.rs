//! Kinds that may be started from outside, by their names: the allow-list is what the kinds say of
//! themselves, and their contracts read the arguments. Whether the subject exists is the handler's question.

use serde_json::Value;

use super::{KINDS, Kind, KindInfo};

/// There is no task of that name, or nobody may start it from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no task {0:?}; there are {list}", list = KindInfo::tasks().map(|kind| kind.name).collect::<Vec<_>>().join(", "))]
pub struct UnknownTask(String);

/// Arguments that are not what the kind asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadArgs {
    /// Where: `photo_id`, or `body` for the whole.
    pub field: String,
    /// What is wrong there.
    pub message: String,
}

impl KindInfo {
    /// Every kind that may be started from outside.
    pub fn tasks() -> impl Iterator<Item = &'static Self> {
        KINDS.iter().filter(|kind| kind.triggerable)
    }

    /// The task of that name.
    ///
    /// # Errors
    /// [`UnknownTask`], with the names that there are.
    pub fn task(name: &str) -> Result<&'static Self, UnknownTask> {
        Self::tasks().find(|kind| kind.is_called(name)).ok_or_else(|| UnknownTask(name.to_owned()))
    }
}

/// See [`KindInfo::read_args`].
pub(super) fn read_args<K: Kind>(args: &Value) -> Result<Value, BadArgs> {
    let read: Result<K, _> = serde_path_to_error::deserialize(args);
    let whole = |message: String| BadArgs { field: "body".into(), message };
    let args = read.map_err(|error| {
        let message = error.inner().to_string();
        match (error.path().to_string(), message.split('`').nth(1)) {
            // A name that is missing, or one too many, stands in the message only.
            (_, Some(name)) if message.starts_with("unknown field") => {
                BadArgs { field: name.to_owned(), message: "is not an argument of this task".into() }
            }
            (_, Some(name)) if message.starts_with("missing field") => {
                BadArgs { field: name.to_owned(), message: "is missing".into() }
            }
            (path, _) if path == "." => whole(message),
            (path, _) => BadArgs { field: path, message },
        }
    })?;
    serde_json::to_value(&args).map_err(|error| whole(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jobs::{FulfilOrder, RemakeThumbnails};

    #[test]
    fn only_what_says_so_may_be_started_from_outside() {
        assert!(KindInfo::task(RemakeThumbnails::NAME).is_ok());
        let refusal = KindInfo::task(FulfilOrder::NAME).unwrap_err().to_string();
        assert!(refusal.contains("fulfil_order") && refusal.contains(RemakeThumbnails::NAME), "{refusal}");
    }

    #[test]
    fn wrong_arguments_are_named() {
        let id = "0190d1f2-0000-7000-8000-000000000000";
        let table = [
            (json!({}), "photo_id"),
            (json!({"photo_id": "x"}), "photo_id"),
            (json!({"photo_id": 1}), "photo_id"),
            (json!({"photo_id": id, "colour": "red"}), "colour"),
            (json!("x"), "body"),
            (json!(null), "body"),
        ];
        for (args, field) in table {
            assert_eq!(read_args::<RemakeThumbnails>(&args).unwrap_err().field, field, "{args}");
        }
        let good = json!({"photo_id": id});
        assert_eq!(read_args::<RemakeThumbnails>(&good).unwrap(), good);
    }

    #[test]
    fn every_task_denies_fields_that_it_does_not_know() {
        for kind in KindInfo::tasks() {
            let error = (kind.read_args)(&json!({"a_field_that_no_task_has": 1})).unwrap_err();
            assert_eq!(error.field, "a_field_that_no_task_has", "{}", kind.name);
        }
    }
}
