//! What an operator does to one job: retry, cancel, run now. Each decides by the job as it is; what can't be done
//! says why, and is in the audit as well.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::dead::{self, How, Report, Which};
use super::{OperationError, may_change};
use crate::db::jobs::cancel::CancelOutcome;
use crate::db::jobs::run_now::run_now;
use crate::db::jobs::{Job, status, story};
use crate::db::{Db, DbError, Tx, audit};
use crate::domain::JobId;
use crate::domain::job::{Failure, JobState};
use crate::domain::operator::Actor;
use crate::job_view::status_name;
use crate::jobs::cancel_job;

/// What was done to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Acted {
    /// Which job.
    pub job: Uuid,
    /// What.
    pub done: Done,
    /// How many dead jobs that it needs were redriven with it.
    pub needed: usize,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// It failed for good, and is tried again from where it was.
    Redriven,
    /// It is due now, before its time.
    Due,
    /// It is called off; if it did something, that is undone first.
    Cancelling,
}

impl Done {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Redriven => "is tried again from where it was",
            Self::Due => "is due now",
            Self::Cancelling => "is called off; what it did is undone",
        }
    }
}

/// Tries a job again: one that failed for good, from where it was, or one in backoff, at once.
///
/// # Errors
/// [`OperationError::ReadOnly`], [`OperationError::Unknown`]; [`OperationError::Refused`] for one in any other state.
pub async fn retry(db: &Db, actor: &Actor, id: JobId) -> Result<Acted, OperationError> {
    may_change(actor)?;
    let job = find(db, id).await?;
    match job.state {
        JobState::Failed => {
            let report = dead::redrive(db, actor, Which::These(vec![id]), How::default()).await?;
            acted(id, Done::Redriven, report)
        }
        JobState::Pending if job.attempt > 0 => audited(db, actor, "job.retry", id, Wish::Due).await,
        _ => {
            Err(OperationError::Refused(format!("only a job that failed is retried: this one {}", is(&job))))
        }
    }
}

/// Calls a job off: at once if it never ran, else what it did is undone. One that failed for good is discarded.
///
/// # Errors
/// As [`retry`].
pub async fn cancel(db: &Db, actor: &Actor, id: JobId) -> Result<Acted, OperationError> {
    may_change(actor)?;
    let job = find(db, id).await?;
    if job.failure.is_some_and(Failure::is_dead) {
        let report = dead::discard(db, actor, Which::These(vec![id]), false).await?;
        return acted(id, Done::Cancelling, report);
    }
    let wish = Wish::Cancel { was_asked: job.cancel_requested_at.is_some() };
    audited(db, actor, "job.cancel", id, wish).await
}

/// Makes a job due that waits for its time: in backoff, or planned for later.
///
/// # Errors
/// As [`retry`].
pub async fn run(db: &Db, actor: &Actor, id: JobId) -> Result<Acted, OperationError> {
    may_change(actor)?;
    find(db, id).await?;
    audited(db, actor, "job.run", id, Wish::Due).await
}

/// What somebody wants of a job.
#[derive(Debug, Clone, Copy)]
enum Wish {
    /// That it is due.
    Due,
    /// That it is called off.
    Cancel {
        /// Somebody wanted that before.
        was_asked: bool,
    },
}

/// Does it, or says why it can't be.
async fn grant(tx: &mut Tx, id: JobId, wish: Wish) -> Result<Result<Done, String>, DbError> {
    match wish {
        Wish::Due => make_due(tx, id).await,
        Wish::Cancel { was_asked } => Ok(match cancel_job(tx, id).await? {
            CancelOutcome::Unknown => Err("is gone".to_owned()),
            CancelOutcome::Over(state) => Err(format!("is {} already", state.name())),
            CancelOutcome::Requested(_) if was_asked => Err("is being cancelled already".to_owned()),
            CancelOutcome::Cancelled(_) | CancelOutcome::Requested(_) => Ok(Done::Cancelling),
        }),
    }
}

async fn make_due(tx: &mut Tx, id: JobId) -> Result<Result<Done, String>, DbError> {
    let Some(job) = status::find(tx, id).await? else { return Ok(Err("is gone".into())) };
    if story::paused_at(tx, &job.queue).await?.is_some() {
        return Ok(Err(format!("is in the queue {}, which is paused", job.queue)));
    }
    Ok(match run_now(tx, id).await? {
        Some(_) => Ok(Done::Due),
        None if job.state == JobState::Pending => Err("is due already".into()),
        None => Err(is(&job)),
    })
}

fn is(job: &Job) -> String {
    match job.failure {
        Some(failure) => format!("is {} ({})", status_name(job.state), failure.name()),
        None => format!("is {}", status_name(job.state)),
    }
}

async fn find(db: &Db, id: JobId) -> Result<Job, OperationError> {
    status::find(&mut db.read().await?, id).await?.ok_or(OperationError::Unknown("job"))
}

/// Does it and writes it down, in one transaction.
async fn audited(
    db: &Db,
    actor: &Actor,
    action: &str,
    id: JobId,
    wish: Wish,
) -> Result<Acted, OperationError> {
    let mut tx = db.begin().await?;
    let entry = audit::begin(&mut tx, actor, action, &json!({ "job": id })).await?;
    let done = grant(&mut tx, id, wish).await?;
    let (did, refused) = if done.is_ok() { (1, 0) } else { (0, 1) };
    audit::finish(&mut tx, entry, did, refused).await?;
    tx.commit().await?;
    match done {
        Ok(done) => Ok(Acted { job: id.0, done, needed: 0 }),
        Err(why) => Err(OperationError::Refused(format!("the job {why}"))),
    }
}

/// What a report on one job says.
fn acted(id: JobId, done: Done, mut report: Report) -> Result<Acted, OperationError> {
    match report.refused.pop() {
        None => Ok(Acted { job: id.0, done, needed: report.needed }),
        Some(refused) => Err(OperationError::Refused(refused.why)),
    }
}
