//! The job core's SQL: job store, outbox and status resource in one table.
//!
//! In the order of a job's life: [`enqueue`](mod@enqueue) → [`relay`] → [`claim`](mod@claim) → [`lease`]
//! → [`settle`](mod@settle) (with [`waits`]), and [`cancel`](mod@cancel) at any time. [`dead`] is what an operator
//! does with one that failed. [`status`] is what others may see of it.
//!
//! Two rules hold everywhere. A claim raises `fence`, and every later write of that run says
//! `WHERE id AND state = 'running' AND fence`. Rows are locked in one order: awaited jobs (newest id
//! first) → own job → waiters (newest first) → the application's rows → ordering keys.

pub mod callbacks;
pub mod cancel;
pub mod claim;
pub mod dead;
pub mod dead_messages;
pub mod deliveries;
pub mod depths;
pub mod enqueue;
pub mod expired_jobs;
pub mod filter;
mod hot;
pub mod insert;
pub mod kinds;
pub mod lease;
pub mod listing;
pub mod measured;
pub mod order;
pub mod processes;
pub mod queues;
pub mod redact;
pub mod relay;
pub mod remaining;
pub mod replies;
pub mod run_now;
pub mod samples;
pub mod schedule;
pub mod schedules;
#[expect(missing_docs, reason = "the columns are described where their rows are")]
pub mod schema;
pub mod settle;
pub mod share;
pub mod status;
pub mod story;
pub mod subject;
pub mod sweep;
pub mod triggers;
pub mod unpublished;
pub mod view;
pub mod waits;

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema::jobs;
use model::OwnerId;
use model::job::{ErrorCode, Facts, Failure, JobState, QUARANTINED_LAPSES, RunError};
use model::{JobId, Timestamp, WorkerId};
use model::{Kind, KindInfo, Lane, Queue, QueueInfo, UnreadableArgs, read_stored};

/// How long what is asked for together may take. Then each asks for itself, on another connection.
const TOGETHER: Duration = Duration::from_secs(3);

/// What the engine must know of the application, told once by [`register`].
pub struct Application {
    /// Every kind of job, the engine's [own](kinds) among them.
    pub kinds: &'static [KindInfo],
    /// Every queue that the kinds name but the engine's own.
    pub queues: &'static [QueueInfo],
    /// What happens at set times.
    pub schedule: &'static [schedule::Entry],
    /// What the jobs are about.
    pub subjects: &'static dyn subject::Subjects,
}

/// Tells the engine of its application. Every program does this before anything else; the first call counts.
pub fn register(application: Application) {
    let Application { kinds, queues, schedule, subjects } = application;
    model::registry::register(kinds, queues);
    schedule::register(schedule);
    subject::register(subjects);
}

/// A job's row, as far as its run needs it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// See [`model::Kind::NAME`]; or an alias, see [`Job::kind_name`].
    pub kind: String,
    /// The name of its own queue; see [`Job::lane`] for where it goes now.
    pub queue: String,
    /// The kind's arguments, see [`Job::read_args`].
    pub args: Value,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it is `failed`.
    pub failure: Option<Failure>,
    /// Rises at each claim.
    pub fence: i64,
    /// Failed or lapsed attempts since the last checkpoint, the running one included.
    pub attempt: i32,
    /// Tries allowed.
    pub max_attempts: i32,
    /// How often its lease lapsed.
    pub lapses: i32,
    /// Whether it was woken from waiting and has not run since: who has begun is finished first.
    pub woken: bool,
    /// How often it was published since it became `queued`.
    pub published: i32,
    /// Not before.
    pub run_at: Timestamp,
    /// Since when it comes back because something that it needs is away.
    pub unavailable_since: Option<Timestamp>,
    /// The process that runs it, or ran it last.
    pub worker: Option<WorkerId>,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// Whether its handler is to undo.
    pub undoing: bool,
    /// Where its handler goes on.
    pub checkpoint: Option<Value>,
    /// Percent and step.
    pub progress: Option<Value>,
    /// What it came to.
    pub result: Option<Value>,
    /// The last failures, newest last.
    pub errors: Value,
    /// When somebody asked to cancel it.
    pub cancel_requested_at: Option<Timestamp>,
    /// The customer who may see it.
    pub owner: Option<OwnerId>,
    /// Trace Context of the request that caused it.
    pub traceparent: Option<String>,
    /// Rises with every change that others may see.
    pub version: i64,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When `version` rose last.
    pub updated_at: Timestamp,
    /// Whether it goes through the express lane of its queue.
    pub express: bool,
    /// The job that it is a part of.
    pub parent: Option<JobId>,
    /// The line that it stands in, see [`order`].
    pub ordering_key: Option<String>,
    /// Whether somebody is told how it goes on.
    pub has_callback: bool,
    /// The version of its arguments, see [`model::Kind::VERSION`].
    pub args_version: i32,
}

impl Job {
    /// What [`model::job::decide`] needs to know.
    pub fn facts(&self) -> Facts {
        Facts {
            attempt: self.attempt,
            max_attempts: self.max_attempts,
            lapses: self.lapses,
            undoing: self.undoing,
            cancel_requested: self.cancel_requested_at.is_some(),
        }
    }

    /// The lane that its message goes through; `None` when its queue has a name that can't be one. From the second
    /// lapse on that is the quarantine's.
    pub fn lane(&self) -> Option<Lane> {
        lane_of(&self.queue, self.express, self.woken, self.lapses)
    }

    /// The name that this program has for its kind: the row may have been written under another.
    pub fn kind_name(&self) -> &str {
        KindInfo::find(&self.kind).map_or(&self.kind, |kind| kind.name)
    }

    /// Its arguments, whichever version of the program wrote them.
    ///
    /// # Errors
    /// When that was a newer one, or when they are not what the kind asks for.
    pub fn read_args<K: Kind>(&self) -> Result<K, UnreadableArgs> {
        read_stored(self.args_version, self.args.clone())
    }

    /// The error log.
    pub fn error_log(&self) -> Vec<ErrorEntry> {
        serde_json::from_value(self.errors.clone()).unwrap_or_default()
    }
}

/// The lane of a job with these columns; `None` when its queue has a name that can't be one.
///
/// What is woken goes by the lane that is served first. What is suspected of killing its workers goes to the
/// quarantine, which has one lane, whatever queue it is of.
pub(crate) fn lane_of(queue: &str, express: bool, woken: bool, lapses: i32) -> Option<Lane> {
    if lapses >= QUARANTINED_LAPSES {
        return Some(Lane::ordinary(Queue::QUARANTINE));
    }
    Some(Lane { queue: Queue::named(queue)?, express: express || woken })
}

/// A run's identity: whoever holds it may write for the job, as long as the row agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// Its fence at the claim.
    pub fence: i64,
}

/// An entry of a job's error log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// When it happened last.
    pub at: DateTime<Utc>,
    /// When it happened first; the same failure again and again is one entry.
    pub since: DateTime<Utc>,
    /// How often.
    pub times: u32,
    /// What the handler said.
    pub message: String,
    /// What it was, if somebody decides by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The last tries that failed so, the newest last. None where the entry is older than this field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Try>,
}

/// A try that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// When it failed.
    pub at: DateTime<Utc>,
    /// Which one it was, counted from the last checkpoint.
    pub attempt: i32,
    /// The process that made it.
    pub worker: Option<WorkerId>,
}

/// How many entries a job's error log keeps.
pub const ERROR_LOG_LENGTH: usize = 20;

/// Of how many tries an entry tells more than their number.
pub const TRIES_OF_ENTRY: usize = 5;

/// Adds a failure to a log: a repetition of the newest entry only counts up.
pub fn log_error(log: &mut Vec<ErrorEntry>, failed: Try, error: &RunError) {
    if let Some(last) = log.last_mut()
        && (last.message.as_str(), last.code) == (error.message.as_str(), error.code)
    {
        last.at = failed.at;
        last.times = last.times.saturating_add(1);
        last.tries.push(failed);
        let surplus = last.tries.len().saturating_sub(TRIES_OF_ENTRY);
        last.tries.drain(..surplus);
        return;
    }
    let (at, code, message) = (failed.at, error.code, error.message.clone().into());
    log.push(ErrorEntry { at, since: at, times: 1, message, code, tries: vec![failed] });
    let surplus = log.len().saturating_sub(ERROR_LOG_LENGTH);
    log.drain(..surplus);
}

/// The row is no longer this run's: its lease lapsed and somebody else may have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lease on this job was lost")]
pub struct LostLease;

/// What is unfinished, as the indexes know it: due (or with the broker, or at a worker), parked, waiting, in a line. No
/// index names `state`, so this is what finds those jobs; a state is asked for beside it.
pub const UNFINISHED: &str = "(jobs.due_at IS NOT NULL OR jobs.parked IS NOT NULL \
                                     OR jobs.waiting_since IS NOT NULL OR jobs.ordering_open IS NOT NULL)";

/// A fenced write failed.
#[derive(Debug, thiserror::Error)]
pub enum FencedError {
    /// Nothing was written, and nothing may be.
    #[error(transparent)]
    LostLease(#[from] LostLease),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] database::DbError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_follows_from_the_queue_and_from_what_happened_to_the_job() {
        let callbacks = Lane::ordinary(Queue::CALLBACKS);
        let express = Lane { express: true, ..callbacks };
        assert_eq!(lane_of("callbacks", false, false, 0), Some(callbacks));
        assert_eq!(lane_of("callbacks", true, false, 1), Some(express));
        assert_eq!(lane_of("callbacks", false, true, 0), Some(express));
        let quarantine = Some(Lane::ordinary(Queue::QUARANTINE));
        assert_eq!(lane_of("callbacks", true, true, QUARANTINED_LAPSES), quarantine);
        assert_eq!(lane_of("no name", false, false, 0), None);
        assert_eq!(lane_of("no name", false, false, 4), quarantine);
    }

    #[test]
    fn the_error_log_counts_repetitions_and_keeps_the_newest() {
        let mut log = Vec::new();
        let at = DateTime::from_timestamp_micros(1).unwrap();
        let later = DateTime::from_timestamp_micros(2).unwrap();
        let failed = |at, attempt| Try { at, attempt, worker: None };
        log_error(&mut log, failed(at, 1), &"no route to host".into());
        log_error(&mut log, failed(later, 2), &"no route to host".into());
        assert_eq!((log.len(), log[0].times, log[0].since, log[0].at), (1, 2, at, later));
        for attempt in 3..=9 {
            log_error(&mut log, failed(later, attempt), &"no route to host".into());
        }
        let kept: Vec<i32> = log[0].tries.iter().map(|failed| failed.attempt).collect();
        assert_eq!((log[0].times, kept), (9, vec![5, 6, 7, 8, 9]));
        for n in 0..30 {
            log_error(&mut log, failed(at, n), &format!("error {n}").into());
        }
        assert_eq!(log.len(), ERROR_LOG_LENGTH);
        assert_eq!(log.last().unwrap().message, "error 29");
    }

    #[test]
    fn a_code_that_only_a_newer_release_knows_costs_no_entry() {
        let newer = serde_json::json!({
            "at": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z", "times": 1, "message": "x", "code": "new",
        });
        let read: ErrorEntry = serde_json::from_value(newer).unwrap();
        assert_eq!(read.code, Some(ErrorCode::Unknown));
    }

    #[test]
    fn an_entry_that_an_earlier_release_wrote_is_read() {
        let old = serde_json::json!({
            "at": "2026-01-01T00:00:00Z", "since": "2026-01-01T00:00:00Z", "times": 1, "message": "no route",
        });
        let read: ErrorEntry = serde_json::from_value(old.clone()).unwrap();
        assert!(read.tries.is_empty() && read.code.is_none());
        assert_eq!(serde_json::to_value(read).unwrap(), old);
    }
}
