//! Kinds over versions of the program: names and arguments that another version of it wrote.
//!
//! A row says which version its arguments are. An older program leaves newer ones alone; a newer program
//! reads older ones by [`Kind::upgrade`]. `docs/change.md` has the rules and the steps.

use serde_json::Value;

use crate::{Kind, KindInfo};

/// The arguments of a job can't be read here.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableArgs {
    /// A newer program can.
    #[error("its arguments are of version {0}, which a newer program wrote")]
    Newer(i32),
    /// Nobody can.
    #[error("its arguments can't be read: {0}")]
    Wrong(#[from] serde_json::Error),
}

/// Reads arguments that were stored as `version`.
///
/// # Errors
/// When they are of a newer version than this program's, or are not what the kind asks for.
pub fn read_stored<K: Kind>(version: i32, args: Value) -> Result<K, UnreadableArgs> {
    if version > K::VERSION {
        return Err(UnreadableArgs::Newer(version));
    }
    let args = if version < K::VERSION { K::upgrade(version, args) } else { args };
    Ok(serde_json::from_value(args)?)
}

impl KindInfo {
    /// Every name that its jobs may have, its own first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether that is one of its names.
    pub fn is_called(&self, name: &str) -> bool {
        self.names().any(|own| own == name)
    }
}

/// Every name under which jobs of that kind may lie: what a filter has to look for. A kind that this program
/// doesn't know has the one.
pub fn names_of(kind: &str) -> Vec<&str> {
    match KindInfo::find(kind) {
        Some(kind) => kind.names().collect(),
        None => vec![kind],
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    use super::*;
    use crate::Queue;

    /// Once `colour`, with the tone's name alone.
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Tint {
        tones: Vec<String>,
    }

    impl Kind for Tint {
        const NAME: &'static str = "tint";
        const ALIASES: &'static [&'static str] = &["colour"];
        const QUEUE: Queue = Queue::CALLBACKS;
        const VERSION: i32 = 2;

        fn upgrade(_: i32, args: Value) -> Value {
            json!({"tones": [args["tone"]]})
        }
    }

    #[test]
    fn a_kind_has_its_name_and_its_aliases() {
        let kind = KindInfo::of::<Tint>();
        assert_eq!(kind.names().collect::<Vec<_>>(), ["tint", "colour"]);
        assert!(kind.is_called("tint") && kind.is_called("colour"));
        assert!(!kind.is_called("paint"));
        assert_eq!(names_of("nobody_knows_it"), ["nobody_knows_it"]);
    }

    #[test]
    fn arguments_of_the_last_version_are_read_and_those_of_the_next_are_left_alone() {
        let sepia = Tint { tones: vec!["sepia".into()] };
        assert_eq!(read_stored::<Tint>(1, json!({"tone": "sepia"})).unwrap(), sepia);
        assert_eq!(read_stored::<Tint>(2, json!({"tones": ["sepia"]})).unwrap(), sepia);
        let newer = read_stored::<Tint>(3, json!({"tones": ["sepia"]}));
        assert!(matches!(newer, Err(UnreadableArgs::Newer(3))), "{newer:?}");
        let wrong = read_stored::<Tint>(2, json!({"tone": "sepia"})).unwrap_err().to_string();
        assert!(wrong.starts_with("its arguments can't be read: "), "{wrong}");
    }
}
