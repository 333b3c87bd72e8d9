//! What an operator does to one job: retry, cancel, run now. Each decides by the job as it is; what can't be done
//! says why, and is in the audit as well.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::audit;
use crate::dead::MOST_TRIES;
use crate::operator::Actor;
use crate::{OperationError, may_change};
use ::jobs::cancel::CancelOutcome;
use ::jobs::dead::redrive;
use ::jobs::run_now::run_now;
use ::jobs::subject::{cancel_job, discard_job};
use ::jobs::view::status_name;
use ::jobs::{Job, queues, status};
use database::{Db, DbError, Tx};
use model::JobId;
use model::job::{Failure, JobState};

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
        JobState::Failed => audited(db, actor, id, Wish::Redrive).await,
        JobState::Pending if job.attempt > 0 => audited(db, actor, id, Wish::Retry).await,
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
        return audited(db, actor, id, Wish::Discard).await;
    }
    let wish = Wish::Cancel { was_asked: job.cancel_requested_at.is_some() };
    audited(db, actor, id, wish).await
}

/// Makes a job due that waits for its time: in backoff, or planned for later.
///
/// # Errors
/// As [`retry`].
pub async fn run(db: &Db, actor: &Actor, id: JobId) -> Result<Acted, OperationError> {
    may_change(actor)?;
    find(db, id).await?;
    audited(db, actor, id, Wish::Run).await
}

/// What somebody wants of a job.
#[derive(Debug, Clone, Copy)]
enum Wish {
    /// That a dead one is tried again.
    Redrive,
    /// That a dead one is given up.
    Discard,
    /// That one in backoff is due.
    Retry,
    /// That one that waits for its time is due.
    Run,
    /// That it is called off.
    Cancel {
        /// Somebody wanted that before.
        was_asked: bool,
    },
}

impl Wish {
    /// Its name in the audit. What is done to the dead is called as where many are done at once.
    fn action(self) -> &'static str {
        match self {
            Self::Redrive => "dead.redrive",
            Self::Discard => "dead.discard",
            Self::Retry => "job.retry",
            Self::Run => "job.run",
            Self::Cancel { .. } => "job.cancel",
        }
    }

    /// What it is done to, in the audit.
    fn subject(self, id: JobId) -> Value {
        match self {
            Self::Redrive | Self::Discard => json!({ "jobs": [id] }),
            Self::Retry | Self::Run | Self::Cancel { .. } => json!({ "job": id }),
        }
    }
}

/// Does it, or says why it can't be.
async fn grant(tx: &mut Tx, id: JobId, wish: Wish) -> Result<Result<Acted, String>, DbError> {
    let acted = |done, needed| Acted { job: id.0, done, needed };
    Ok(match wish {
        Wish::Retry | Wish::Run => make_due(tx, id).await?.map(|done| acted(done, 0)),
        Wish::Redrive => match redrive(tx, id, Duration::ZERO).await? {
            Ok(redriven) => Ok(acted(Done::Redriven, redriven.needed.len())),
            Err(why) => Err(format!("can't be retried: {why}")),
        },
        Wish::Discard => match discard_job(tx, id).await? {
            Ok(_) => Ok(acted(Done::Cancelling, 0)),
            Err(why) => Err(format!("can't be discarded: {why}")),
        },
        Wish::Cancel { was_asked } => match cancel_job(tx, id).await? {
            CancelOutcome::Unknown => Err("is gone".to_owned()),
            CancelOutcome::Over(state) => Err(format!("is {} already", state.name())),
            CancelOutcome::Requested(_) if was_asked => Err("is being cancelled already".to_owned()),
            CancelOutcome::Cancelled(_) | CancelOutcome::Requested(_) => Ok(acted(Done::Cancelling, 0)),
        },
    })
}

async fn make_due(tx: &mut Tx, id: JobId) -> Result<Result<Done, String>, DbError> {
    let Some(job) = status::find(tx, id).await? else { return Ok(Err("is gone".into())) };
    if queues::paused_at(tx, &job.queue).await?.is_some() {
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
    status::find(&mut db.conn().await?, id).await?.ok_or(OperationError::Unknown("job"))
}

/// Does it and writes it down, in one transaction.
async fn audited(db: &Db, actor: &Actor, id: JobId, wish: Wish) -> Result<Acted, OperationError> {
    let mut tries = 0;
    loop {
        match audited_once(db, actor, id, wish).await {
            Ok(Ok(acted)) => return Ok(acted),
            Ok(Err(why)) => return Err(OperationError::Refused(format!("the job {why}"))),
            // Its unique key was taken, or the two locked each other out, just now.
            Err(DbError::Duplicate(_) | DbError::Collision(_)) if tries < MOST_TRIES => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn audited_once(
    db: &Db,
    actor: &Actor,
    id: JobId,
    wish: Wish,
) -> Result<Result<Acted, String>, DbError> {
    let mut tx = db.begin().await?;
    let entry = audit::begin(&mut tx, actor, wish.action(), &wish.subject(id)).await?;
    let outcome = grant(&mut tx, id, wish).await?;
    let (did, refused) = if outcome.is_ok() { (1, 0) } else { (0, 1) };
    audit::finish(&mut tx, entry, did, refused).await?;
    tx.commit().await?;
    let refused = outcome.as_ref().err();
    tracing::info!(operator = actor.name, action = wish.action(), job = %id, refused, "an operator acted on a job");
    Ok(outcome)
}
