//! The protocol between a handler and the runner: what a handler returns decides what becomes of its
//! job. Nobody else settles.

use std::time::Duration;

use ::jobs::settle::Progress;
use ::jobs::{FencedError, LostLease};
use database::DbError;
use model::JobId;
use model::job::{ErrorCode, JobState, RunError};
use platform::BlobError;
use serde_json::Value;

use crate::stop::StopReason;

/// How a handler ended.
#[derive(Debug)]
pub enum Outcome {
    /// Done; the value is the job's result.
    Done(Value),
    /// No retry can help; the sentence is for whoever asks for the job.
    Discard(String),
    /// Not now: come back later, no attempt burnt.
    Snooze(Duration),
    /// Go on when all of these are final. How far the job is until then, where that is news.
    WaitFor(Vec<JobId>, Option<Progress>),
    /// A job that it needs failed for good: so did this one; its effects are held. A redrive of it redrives those.
    GiveUp {
        /// What failed, for whoever looks at this job.
        reason: String,
        /// What it needs.
        needed: Vec<JobId>,
    },
    /// Everything is undone.
    Cancelled,
    /// The run was ended in the transaction of its last step, see
    /// [`end_with_step`](crate::context::JobContext::end_with_step).
    Ended(JobState),
}

/// Something outside that a handler needs, by its name in logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dependency(&'static str);

impl Dependency {
    /// The database.
    pub const DATABASE: Self = Self("database");
    /// The blob store.
    pub const BLOBS: Self = Self("blobs");
    /// The message broker.
    pub const BROKER: Self = Self("broker");

    /// One of the application's.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        self.0
    }
}

/// Why a handler could not go on.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The job is somebody else's by now: stop, write nothing.
    #[error(transparent)]
    LostLease(#[from] LostLease),
    /// A dependency is away: the job is snoozed, no attempt burnt.
    #[error("{} is unavailable: {message}", dependency.name())]
    Unavailable {
        /// Which.
        dependency: Dependency,
        /// What it said, or failed to say.
        message: String,
        /// When it asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// A dependency was found away a moment ago: this job did not even ask.
    #[error("{} is known to be unavailable", dependency.name())]
    CircuitOpen {
        /// Which.
        dependency: Dependency,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// Whoever was asked said when to try again: an attempt like any other, but for its backoff.
    #[error("{message}")]
    TryAgain {
        /// What it said.
        message: String,
        /// After this time.
        retry_after: Duration,
    },
    /// The handler heard that it must stop, and did: the job is put back, nothing burnt.
    #[error("stopped: {0}")]
    Stopped(StopReason),
    /// The handler panicked: an attempt like any other.
    #[error("the handler panicked")]
    Panicked,
    /// The job is tried again with backoff, and a later run looks for the code in the job's error log.
    #[error("{message}")]
    Coded {
        /// What it was.
        code: ErrorCode,
        /// What it was, for people.
        message: String,
    },
    /// Anything else: the job is tried again with backoff.
    #[error("{0}")]
    Failed(String),
}

impl JobError {
    /// A dependency that does not say when to come back.
    pub fn unavailable(dependency: Dependency, message: impl std::fmt::Display) -> Self {
        Self::Unavailable { dependency, message: message.to_string(), retry_after: None }
    }

    /// As it is written down.
    pub fn run_error(&self) -> RunError {
        let code = match self {
            Self::Coded { code, .. } => Some(*code),
            _ => None,
        };
        RunError { code, message: self.to_string().into() }
    }

    /// A failure that a retry may mend.
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self::Failed(message.to_string())
    }
}

impl From<DbError> for JobError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(message) | DbError::Collision(message) => {
                Self::unavailable(Dependency::DATABASE, message)
            }
            other => Self::failed(other),
        }
    }
}

impl From<BlobError> for JobError {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Unavailable(_) => Self::unavailable(Dependency::BLOBS, error),
            other => Self::failed(other),
        }
    }
}

impl From<FencedError> for JobError {
    fn from(error: FencedError) -> Self {
        match error {
            FencedError::LostLease(lost) => lost.into(),
            FencedError::Db(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_may_do_later_burns_no_attempt() {
        for error in [DbError::Unavailable("full".into()), DbError::Collision("deadlock".into())] {
            assert!(matches!(
                JobError::from(error),
                JobError::Unavailable { dependency: Dependency::DATABASE, .. }
            ));
        }
        assert!(matches!(JobError::from(DbError::Duplicate("key".into())), JobError::Failed(_)));
    }
}
