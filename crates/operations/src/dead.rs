//! Dead letters: what failed for good through no fault of the business, and messages that nobody can read. Grouped by
//! reason, because an outage exhausts many jobs in one way; redriven or discarded one by one, or all that a filter fits.
//!
//! Each job is a transaction of its own. What can't be done is a row of the report, and no reason to stop.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::audit;
use crate::operator::Actor;
use crate::{OperationError, may_change};
use ::jobs::dead::{self, Refusal};
use ::jobs::dead_messages;
use ::jobs::filter::{FilterInput, JobFilter};
use ::jobs::redact::redact_text;
use ::jobs::subject::discard_job;
use database::{Db, DbError, Tx};
use model::JobId;

/// One call redrives or discards no more jobs: a caller goes on with [`Report::next`].
pub const MOST_AT_A_TIME: usize = 500;

/// How many groups are shown.
const MOST_GROUPS: i64 = 100;

/// How many messages a page shows.
pub const MESSAGES_A_PAGE: i64 = 50;

/// So much of a message is shown, in bytes.
const PREVIEW: usize = 400;

/// Jobs that died in the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// What they are.
    #[schema(example = "copy")]
    pub kind: String,
    /// `exhausted` or `crashed`.
    pub failure: String,
    /// What they died of, without what differs from job to job; empty if that was not written down.
    pub reason: String,
    /// How many.
    pub jobs: i64,
    /// When the oldest of them was enqueued.
    pub oldest: DateTime<Utc>,
    /// When the newest of them was enqueued.
    pub newest: DateTime<Utc>,
}

/// Messages of one queue that could not be read for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageGroup {
    /// Where they came.
    pub queue: String,
    /// Why they could not be read.
    pub reason: String,
    /// How many.
    pub messages: i64,
    /// When the newest came.
    pub newest: DateTime<Utc>,
}

/// All dead letters, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DeadLetters {
    /// Jobs, the largest group first.
    pub groups: Vec<Group>,
    /// Messages, the largest group first. They carry no work that a row does not know: there is nothing to redrive.
    pub messages: Vec<MessageGroup>,
}

/// A message that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MessageView {
    /// Its id.
    pub id: Uuid,
    /// Where it came.
    pub queue: String,
    /// Why it could not be read.
    pub reason: String,
    /// When it came.
    pub at: DateTime<Utc>,
    /// Its length, in bytes.
    pub bytes: usize,
    /// The beginning of it; what is no text is replaced.
    pub beginning: String,
}

/// Which jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// These.
    These(Vec<JobId>),
    /// The dead ones that a filter fits, the oldest first; `after` goes on where a report ended.
    All {
        /// The filter.
        filter: Box<JobFilter>,
        /// See [`Report::next`].
        after: Option<JobId>,
    },
}

impl Which {
    /// What somebody asks for: these jobs, all that a filter fits, or all. Exactly one of them, so that nothing is done
    /// to all by mistake.
    ///
    /// # Errors
    /// [`OperationError::Invalid`].
    pub fn asked(
        jobs: Vec<JobId>,
        filter: FilterInput,
        all: bool,
        after: Option<JobId>,
    ) -> Result<Self, OperationError> {
        let filter = JobFilter::try_from(filter)?;
        let invalid = |field, problem: &str| OperationError::Invalid { field, problem: problem.to_owned() };
        match (jobs.is_empty(), filter.is_empty(), all) {
            (false, true, false) if jobs.len() > MOST_AT_A_TIME => {
                Err(invalid("jobs", &format!("has more than {MOST_AT_A_TIME} at a time")))
            }
            (false, true, false) => Ok(Self::These(jobs)),
            (true, false, false) | (true, true, true) => Ok(Self::All { filter: Box::new(filter), after }),
            (true, true, false) => Err(invalid("jobs", "is missing: name jobs, a filter, or all")),
            _ => Err(invalid("jobs", "is one thing, a filter another, and all a third: name one of them")),
        }
    }
}

/// How jobs are redriven.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Nothing is changed; the report says what would be.
    pub dry_run: bool,
    /// So many a second become due; `None`: all at once.
    pub per_second: Option<u32>,
    /// How many were redriven before, when this call goes on where another ended.
    pub already: usize,
}

/// A job that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Refused {
    /// Which.
    pub job: Uuid,
    /// Why.
    #[schema(example = "superseded by 0190d1f2-0000-7000-8000-000000000000, which is unfinished")]
    pub why: String,
}

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Report {
    /// Whether nothing was changed: then the rest says what would have been.
    pub dry_run: bool,
    /// How many jobs were redriven or discarded.
    pub done: usize,
    /// How many dead jobs that those need were redriven with them.
    pub needed: usize,
    /// What was left as it is.
    pub refused: Vec<Refused>,
    /// There are more: go on after this job.
    pub next: Option<Uuid>,
}

/// All dead letters, by reason.
///
/// # Errors
/// Those of the database.
pub async fn letters(db: &Db) -> Result<DeadLetters, OperationError> {
    let mut conn = db.conn().await?;
    let groups = dead::groups(&mut conn, MOST_GROUPS).await?.into_iter().map(|group| Group {
        kind: group.kind,
        failure: group.failure.name().to_owned(),
        reason: group.reason.unwrap_or_default(),
        jobs: group.jobs,
        oldest: group.oldest.0,
        newest: group.newest.0,
    });
    let groups = groups.collect();
    let messages = dead_messages::groups(&mut conn, MOST_GROUPS).await?.into_iter();
    let messages = messages.map(|(queue, reason, messages, newest)| MessageGroup {
        queue,
        reason,
        messages,
        newest: newest.0,
    });
    Ok(DeadLetters { groups, messages: messages.collect() })
}

/// A page of the messages, the newest first, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn messages(db: &Db, before: Option<Uuid>) -> Result<Vec<MessageView>, OperationError> {
    let kept = dead_messages::page(&mut db.conn().await?, before.map(JobId), MESSAGES_A_PAGE).await?;
    let view = |message: dead_messages::DeadMessage| MessageView {
        id: message.id.0,
        queue: message.queue,
        reason: message.error,
        at: message.at.0,
        bytes: message.body.len(),
        beginning: redact_text(&String::from_utf8_lossy(&message.body[..message.body.len().min(PREVIEW)])),
    };
    Ok(kept.into_iter().map(view).collect())
}

/// Has dead jobs tried again from where they were, with what they need and is dead, too.
///
/// # Errors
/// [`OperationError::ReadOnly`] unless it is a dry run; those of the database: what was done until then is done.
pub async fn redrive(db: &Db, actor: &Actor, which: Which, how: How) -> Result<Report, OperationError> {
    each(db, actor, which, Deed::Redrive(how)).await
}

/// Gives dead jobs up: what they did is undone, if their kind undoes, and their subjects are marked.
///
/// # Errors
/// As [`redrive`].
pub async fn discard(db: &Db, actor: &Actor, which: Which, dry_run: bool) -> Result<Report, OperationError> {
    each(db, actor, which, Deed::Discard { dry_run }).await
}

/// Removes the unreadable messages of a queue and reason: nothing else refers to them.
///
/// # Errors
/// [`OperationError::ReadOnly`]; those of the database.
pub async fn discard_messages(
    db: &Db,
    actor: &Actor,
    queue: &str,
    reason: &str,
) -> Result<usize, OperationError> {
    may_change(actor)?;
    let subject = json!({ "queue": queue, "reason": reason });
    let mut tx = db.begin().await?;
    let id = audit::begin(&mut tx, actor, "dead.discard_messages", &subject).await?;
    let removed = dead_messages::remove(&mut tx, queue, reason).await?;
    audit::finish(&mut tx, id, count(removed), 0).await?;
    tx.commit().await?;
    Ok(removed)
}

/// What is done to each job.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Redrive(How),
    Discard { dry_run: bool },
}

impl Deed {
    fn is_dry_run(self) -> bool {
        match self {
            Self::Redrive(how) => how.dry_run,
            Self::Discard { dry_run } => dry_run,
        }
    }

    /// Does it to one job, after so many others. Answers how many that it needs were redriven with it.
    async fn to(self, tx: &mut Tx, id: JobId, done: usize) -> Result<Result<usize, Refusal>, DbError> {
        match self {
            Self::Redrive(how) => {
                let place = u32::try_from(how.already + done).unwrap_or(u32::MAX);
                let delay = how
                    .per_second
                    .map_or(Duration::ZERO, |rate| Duration::from_secs(1) * place / rate.max(1));
                Ok(dead::redrive(tx, id, delay).await?.map(|redriven| redriven.needed.len()))
            }
            Self::Discard { .. } => Ok(discard_job(tx, id).await?.map(|_| 0)),
        }
    }

    /// What the audit says of it.
    fn audited(self, mut subject: Value) -> (&'static str, Value) {
        match self {
            Self::Redrive(how) => {
                if let Some(rate) = how.per_second {
                    subject["per_second"] = rate.into();
                }
                ("dead.redrive", subject)
            }
            Self::Discard { .. } => ("dead.discard", subject),
        }
    }
}

/// Does something to each of the jobs, in a transaction of its own.
async fn each(db: &Db, actor: &Actor, which: Which, deed: Deed) -> Result<Report, OperationError> {
    if !deed.is_dry_run() {
        may_change(actor)?;
    }
    let (subject, ids, next) = match which {
        Which::These(ids) => (json!({ "jobs": ids }), ids, None),
        Which::All { filter, after } => {
            let limit = MOST_AT_A_TIME as i64;
            let ids = dead::matching(&mut db.conn().await?, &filter, after, limit).await?;
            let next = ids.last().filter(|_| ids.len() == MOST_AT_A_TIME).map(|id| id.0);
            (json!({ "filter": *filter, "after": after }), ids, next)
        }
    };
    let entry = if deed.is_dry_run() {
        None
    } else {
        let (action, subject) = deed.audited(subject);
        Some(audit::begin(&mut db.conn().await?, actor, action, &subject).await?)
    };
    let mut report = Report { dry_run: deed.is_dry_run(), next, ..Report::default() };
    for id in ids {
        match one_of_them(db, id, report.done, deed).await? {
            Ok(needed) => {
                report.done += 1;
                report.needed += needed;
            }
            Err(why) => report.refused.push(Refused { job: id.0, why: why.to_string() }),
        }
    }
    if let Some(entry) = entry {
        let (done, refused) = (count(report.done), count(report.refused.len()));
        audit::finish(&mut db.conn().await?, entry, done, refused).await?;
    }
    Ok(report)
}

/// Does it, or tries it out and takes it back. A job that is caught in somebody else's transaction is tried again.
async fn one_of_them(db: &Db, id: JobId, done: usize, deed: Deed) -> Result<Result<usize, Refusal>, DbError> {
    let mut tries = 0;
    loop {
        let mut tx = db.begin().await?;
        match deed.to(&mut tx, id, done).await {
            Ok(Ok(needed)) if !deed.is_dry_run() => {
                tx.commit().await?;
                return Ok(Ok(needed));
            }
            Ok(outcome) => {
                tx.rollback().await?;
                return Ok(outcome);
            }
            // Its unique key was taken, or the two locked each other out, just now.
            Err(DbError::Duplicate(_) | DbError::Collision(_)) if tries < MOST_TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// How often a job is tried again whose transaction met another.
pub(super) const MOST_TRIES: u32 = 5;

fn count(of: usize) -> i64 {
    i64::try_from(of).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: &[model::KindInfo] = &[model::KindInfo::of::<::jobs::kinds::DeliverCallback>()];

    #[test]
    fn nothing_is_done_to_all_by_mistake() {
        model::registry::register(KINDS, &[]);
        let some = || FilterInput { kind: Some("deliver_callback".into()), ..FilterInput::default() };
        let none = FilterInput::default;
        let jobs = |count| (0..count).map(|_| JobId::new()).collect::<Vec<_>>();
        for (count, filter, all, fine) in [
            (0, none(), false, false),
            (0, none(), true, true),
            (0, some(), false, true),
            (0, some(), true, false),
            (2, none(), false, true),
            (2, some(), false, false),
            (2, none(), true, false),
            (MOST_AT_A_TIME + 1, none(), false, false),
        ] {
            let asked = Which::asked(jobs(count), filter.clone(), all, None);
            assert_eq!(asked.is_ok(), fine, "{count} {filter:?} {all}");
        }
    }
}
