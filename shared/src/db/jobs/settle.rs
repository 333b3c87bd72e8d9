//! The end of a run, and the checkpoints on the way. Every statement here is fenced.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::lease::lock_own;
use super::{Claim, FencedError, Job, LostLease, log_error, waits};
use crate::db::expressions::{now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Db, DbError, Tx, with};
use crate::domain::job::{Ending, JobState, decide};
use crate::domain::{JobId, Timestamp, WorkerId};

/// What is written down beside the new state.
#[derive(Debug, Clone)]
pub enum Note {
    /// Nothing.
    None,
    /// What the job came to.
    Result(Value),
    /// What went wrong; kept in the job's error log.
    Failure(String),
}

/// Ends a run as its handler asked.
///
/// # Errors
/// [`FencedError::LostLease`]: somebody else decides by now.
pub async fn settle(db: &Db, claim: Claim, ending: Ending, note: Note) -> Result<JobState, FencedError> {
    let mut tx = db.begin().await?;
    let job = lock_own(&mut tx, claim).await?;
    let state = write(&mut tx, &job, ending, note).await?;
    tx.commit().await?;
    Ok(state)
}

/// Ends a run that sleeps until all of `on` are final; if they are already, it is due at once.
///
/// The awaited rows are locked first, so that none of them can become final between the look and the
/// sleep.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn settle_waiting(db: &Db, claim: Claim, on: &[JobId]) -> Result<JobState, FencedError> {
    let mut tx = db.begin().await?;
    let unfinished = waits::lock_awaited(&mut tx, on).await?;
    let job = lock_own(&mut tx, claim).await?;
    waits::record(&mut tx, claim.job, on).await?;
    let state = write(&mut tx, &job, Ending::Wait(unfinished > 0), Note::None).await?;
    tx.commit().await?;
    Ok(state)
}

/// Writes a job's next state and wakes whoever waits for it. `job` is its row, locked by `tx`.
pub(super) async fn write(tx: &mut Tx, job: &Job, ending: Ending, note: Note) -> Result<JobState, DbError> {
    let verdict = decide(job.facts(), ending, rand::random());
    let kills = job.kills + i32::from(ending == Ending::Lapsed);
    let (result, errors) = match note {
        Note::None => (None, None),
        Note::Result(result) => (Some(result), None),
        Note::Failure(message) => {
            let mut log = job.error_log();
            log_error(&mut log, chrono::Utc::now(), &message);
            (None, serde_json::to_value(log).ok())
        }
    };
    let version: i64 = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq(job.id)))
            .set((
                (
                    jobs::state.eq(verdict.state),
                    jobs::failure.eq(verdict.failure),
                    jobs::attempt.eq(verdict.attempt),
                    jobs::kills.eq(kills),
                    jobs::run_at.eq(now_plus(verdict.delay)),
                    result.as_ref().map(|result| jobs::result.eq(result)),
                    errors.as_ref().map(|errors| jobs::errors.eq(errors)),
                ),
                (
                    jobs::worker.eq(None::<WorkerId>),
                    jobs::lease_until.eq(None::<Timestamp>),
                    jobs::version.eq(jobs::version + 1),
                    jobs::updated_at.eq(now()),
                ),
            ))
            .returning(jobs::version)
            .get_result(c)
            .await
    })?;
    tx.after_commit().changed(job.id, version);
    match verdict.state {
        JobState::Pending => tx.after_commit().wake_relay(),
        state if state.is_final() => waits::wake_waiters(tx, job.id).await?,
        _ => {}
    }
    Ok(verdict.state)
}

/// How far a handler is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// 0 to 100.
    pub percent: u8,
    /// What is being done now.
    pub step: String,
}

impl Progress {
    fn to_json(&self) -> Value {
        serde_json::json!({"percent": self.percent.min(100), "step": self.step})
    }
}

/// Records where the handler goes on after a crash, in the transaction of the step's business rows.
/// The attempts begin anew. Returns whether somebody asked to cancel the job meanwhile.
///
/// # Errors
/// [`FencedError::LostLease`].
pub async fn checkpoint(
    tx: &mut Tx,
    claim: Claim,
    checkpoint: &Value,
    undoing: bool,
    progress: &Progress,
) -> Result<bool, FencedError> {
    let written: Option<(i64, Option<Timestamp>)> = with!(tx.conn(), |c| {
        let own = jobs::table
            .filter(jobs::id.eq(claim.job))
            .filter(jobs::state.eq(JobState::Running))
            .filter(jobs::fence.eq(claim.fence));
        diesel::update(own)
            .set((
                jobs::checkpoint.eq(checkpoint),
                jobs::undoing.eq(undoing),
                jobs::attempt.eq(1),
                jobs::progress.eq(progress.to_json()),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning((jobs::version, jobs::cancel_requested_at))
            .get_result(c)
            .await
            .optional()
    })
    .map_err(DbError::from)?;
    let (version, cancel_requested_at) = written.ok_or(LostLease)?;
    tx.after_commit().changed(claim.job, version);
    Ok(cancel_requested_at.is_some())
}
