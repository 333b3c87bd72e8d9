//! What a process tells of itself with each heartbeat.
//!
//! Stored as JSON and read by processes of other versions: what a reader does not find has its default, and what
//! it does not know it leaves out.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{JobId, Timestamp};

/// Which program a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Web and worker in one process, on embedded defaults.
    AllInOne,
    /// The web front end alone.
    Web,
    /// The worker alone.
    Worker,
}

impl Program {
    /// The program's name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllInOne => "all-in-one",
            Self::Web => "web",
            Self::Worker => "worker",
        }
    }
}

/// How often a process writes a heartbeat.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// A process that wrote none for so long counts as silent: killed, frozen, or without its database.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);

/// The most runs that a heartbeat names, the longest first.
pub const MOST_RUNS: usize = 100;

/// How a process is, by its own word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Facts {
    /// It was told to stop, and finishes what it does.
    pub stopping: bool,
    /// Whether it reaches the broker.
    pub broker: bool,
    /// Parts of it that make no progress.
    pub dead_parts: Vec<String>,
    /// The queues that it works on.
    pub queues: Vec<Slots>,
    /// How many jobs it runs.
    pub running: usize,
    /// Which: the longest first, and not more than a hundred.
    pub runs: Vec<RunFact>,
    /// What it thinks of its dependencies.
    pub breakers: Vec<BreakerFact>,
    /// Its connections to the database.
    pub connections: Connections,
}

/// A queue that a process works on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Slots {
    /// The queue.
    pub queue: String,
    /// How many of its jobs it runs at a time.
    pub slots: usize,
}

/// A job that a process runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunFact {
    /// The job.
    #[schema(value_type = uuid::Uuid)]
    pub job: JobId,
    /// What it does.
    pub kind: String,
    /// From which queue.
    pub queue: String,
    /// When it was claimed, by the database's clock.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub since: Timestamp,
    /// Whether its job is settled or somebody else's, while its handler still works.
    #[serde(default)]
    pub abandoned: bool,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BreakerFact {
    /// What is behind it.
    pub dependency: String,
    /// Whether it is asked.
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// For how long it has been so, at the sign of life.
    pub for_seconds: u64,
}

/// Whether a dependency is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// By everybody.
    Closed,
    /// By one run, which finds out whether it is back.
    Probing,
    /// By nobody, for the moment.
    Open,
}

impl BreakerState {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Probing => "probing",
            Self::Open => "open",
        }
    }
}

/// How busy a process's connections to the database are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Connections {
    /// In use.
    pub used: usize,
    /// The most that there may be.
    pub limit: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_another_version_does_not_tell_or_tells_besides_is_no_error() {
        let facts: Facts = serde_json::from_value(
            json!({"stopping": true, "mood": "fine", "queues": [{"queue": "images"}]}),
        )
        .unwrap();
        assert!(facts.stopping && facts.runs.is_empty());
        assert_eq!(facts.queues, [Slots { queue: "images".into(), slots: 0 }]);
    }
}
