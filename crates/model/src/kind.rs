//! What a kind of job is: its contract, which web and worker agree on.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::queue::Queue;
use crate::trigger::{self, BadArgs};

/// For how long a job that was enqueued under a unique key keeps others of that key away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// Until a worker takes it: what happens after that is not in its run, and wants another.
    UntilStarted,
    /// Until it is over: two of them never run at the same time.
    UntilFinished,
}

/// A kind of job: its arguments are the struct, everything else is constant.
///
/// Arguments are ids and small facts, never data: a job reads its subject when it runs.
pub trait Kind: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The stable name in the database and on the wire. It outlives renames of the type.
    const NAME: &'static str;
    /// Other names that rows, messages and requests may have for it: its former one, or the one that it is to
    /// get. How a kind is renamed while everything runs: `docs/change.md`.
    const ALIASES: &'static [&'static str] = &[];
    /// Where it is run.
    const QUEUE: Queue;
    /// The version of the arguments: raised when an older worker could not read them, or would misunderstand
    /// them. It leaves such jobs to a newer one.
    const VERSION: i32 = 1;
    /// Failed tries since the last checkpoint before the job is `failed (exhausted)`.
    const MAX_ATTEMPTS: i32 = 20;
    /// How long one try may take; at most 25 minutes, because a broker gives up at 30.
    const TIMEOUT: Duration = Duration::from_secs(300);
    /// For how long a unique key is taken, if it is enqueued with one.
    const UNIQUE: Unique = Unique::UntilFinished;
    /// Names of the kinds that a job of this kind may wait for. Waits must be acyclic, see [`check_waits`].
    const WAITS_FOR: &'static [&'static str] = &[];
    /// Whether its handler undoes what it did when it is asked to cancel (`context.job.undoing`). One that doesn't is
    /// simply ended.
    const UNDOES: bool = false;
    /// Whether it may be started from outside: by `POST /api/tasks/{name}` and `worker run`.
    /// Its arguments then come from strangers: have it deny unknown fields.
    const TRIGGERABLE: bool = false;

    /// Turns arguments of an earlier version into those of [`Kind::VERSION`]. To be written when that is
    /// raised, unless the new form can read the old one as it is; it goes when no row is of that version.
    fn upgrade(version: i32, args: Value) -> Value {
        let _ = version;
        args
    }
}

/// What the program knows of a kind at run time.
#[derive(Debug, Clone, Copy)]
pub struct KindInfo {
    /// See [`Kind::NAME`].
    pub name: &'static str,
    /// See [`Kind::ALIASES`].
    pub aliases: &'static [&'static str],
    /// See [`Kind::QUEUE`].
    pub queue: Queue,
    /// See [`Kind::VERSION`].
    pub version: i32,
    /// See [`Kind::TIMEOUT`].
    pub timeout: Duration,
    /// See [`Kind::UNIQUE`].
    pub unique: Unique,
    /// See [`Kind::WAITS_FOR`].
    pub waits_for: &'static [&'static str],
    /// See [`Kind::MAX_ATTEMPTS`].
    pub max_attempts: i32,
    /// See [`Kind::UNDOES`].
    pub undoes: bool,
    /// See [`Kind::TRIGGERABLE`].
    pub triggerable: bool,
    /// Reads arguments that came from outside, and gives them in the kind's own form.
    pub read_args: fn(&Value) -> Result<Value, BadArgs>,
    /// See [`Kind::upgrade`].
    pub upgrade: fn(i32, Value) -> Value,
}

impl KindInfo {
    /// Of this kind.
    pub const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            aliases: K::ALIASES,
            queue: K::QUEUE,
            version: K::VERSION,
            timeout: K::TIMEOUT,
            unique: K::UNIQUE,
            waits_for: K::WAITS_FOR,
            max_attempts: K::MAX_ATTEMPTS,
            undoes: K::UNDOES,
            triggerable: K::TRIGGERABLE,
            read_args: trigger::read_args::<K>,
            upgrade: K::upgrade,
        }
    }
}

/// Jobs of these kinds would wait for each other, and for ever.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWaits {
    /// The way leads back to where it began.
    #[error("job kinds wait for each other: {}", .0.join(" → "))]
    Cycle(Vec<&'static str>),
    /// There is no kind of that name.
    #[error("job kind {0} waits for {1}, which is none")]
    Unknown(&'static str, &'static str),
}

/// Whether no job can wait for one that waits for it, however many kinds are in between: see [`Kind::WAITS_FOR`].
///
/// # Errors
/// The first cycle, or the first name that is none.
pub fn check_waits(kinds: &[KindInfo]) -> Result<(), BadWaits> {
    fn follow(kinds: &[KindInfo], kind: &KindInfo, way: &mut Vec<&'static str>) -> Result<(), BadWaits> {
        let returns = way.contains(&kind.name);
        way.push(kind.name);
        if returns {
            return Err(BadWaits::Cycle(way.clone()));
        }
        for name in kind.waits_for {
            let next = kinds.iter().find(|other| other.is_called(name));
            follow(kinds, next.ok_or(BadWaits::Unknown(kind.name, name))?, way)?;
        }
        way.pop();
        Ok(())
    }
    kinds.iter().try_for_each(|kind| follow(kinds, kind, &mut Vec::new()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Tint {}

    impl Kind for Tint {
        const NAME: &'static str = "tint";
        const QUEUE: Queue = Queue::QUARANTINE;
    }

    #[test]
    fn kinds_that_would_wait_for_each_other_are_found() {
        let kind = |name, waits_for| KindInfo { name, waits_for, ..KindInfo::of::<Tint>() };
        let own = [kind("a", &["a"])];
        assert_eq!(check_waits(&own), Err(BadWaits::Cycle(vec!["a", "a"])));
        let far = [kind("a", &["b", "c"]), kind("b", &[]), kind("c", &["d"]), kind("d", &["a"])];
        assert_eq!(check_waits(&far), Err(BadWaits::Cycle(vec!["a", "c", "d", "a"])));
        // Two ways to one kind are no cycle.
        let both = [kind("a", &["b", "c"]), kind("b", &["d"]), kind("c", &["d"]), kind("d", &[])];
        assert_eq!(check_waits(&both), Ok(()));
        assert_eq!(check_waits(&[kind("a", &["x"])]), Err(BadWaits::Unknown("a", "x")));
    }
}
