//! Cancel: one statement decides on the row as it is, and touches no other job.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{Job, waits};
use crate::db::expressions::now;
use crate::db::schema::jobs;
use crate::db::{DbError, Tx, with};
use crate::domain::job::JobState;
use crate::domain::{JobId, Timestamp};

/// What became of the wish to cancel.
#[derive(Debug)]
pub enum CancelOutcome {
    /// It had never run, and never will.
    Cancelled(Box<Job>),
    /// It has run: what it did will be undone. It may still succeed before.
    Requested(Box<Job>),
    /// It is over: `cancelled` already, or finished.
    Over(JobState),
    /// There is no such job.
    Unknown,
}

/// Cancels a job: at once if it never ran, else by asking its handler to undo.
///
/// # Errors
/// Those of the database.
pub async fn cancel(tx: &mut Tx, id: JobId) -> Result<CancelOutcome, DbError> {
    if let Some(job) = cancel_unstarted(tx, id).await? {
        tx.after_commit().changed(job.id, job.version);
        waits::wake_waiters(tx, job.id).await?;
        return Ok(CancelOutcome::Cancelled(Box::new(job)));
    }
    if let Some(job) = request(tx, id).await? {
        tx.after_commit().changed(job.id, job.version);
        tx.after_commit().wake_relay();
        return Ok(CancelOutcome::Requested(Box::new(job)));
    }
    let state: Option<JobState> =
        with!(tx.conn(), |c| jobs::table.find(id).select(jobs::state).first(c).await.optional())?;
    Ok(state.map_or(CancelOutcome::Unknown, CancelOutcome::Over))
}

/// "Never ran" is `started_at IS NULL`: the first claim sets it, nothing clears it.
async fn cancel_unstarted(tx: &mut Tx, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(with!(tx.conn(), |c| {
        let unstarted = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::started_at.is_null())
            .filter(jobs::state.eq_any([JobState::Pending, JobState::Queued]));
        diesel::update(unstarted)
            .set((
                jobs::state.eq(JobState::Cancelled),
                jobs::cancel_requested_at.eq(now().nullable()),
                jobs::republish_at.eq(None::<Timestamp>),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?)
}

/// Marks an unfinished job and makes it due, unless it runs or is queued already. The claim, or the
/// running handler's next checkpoint, turns it to undo.
async fn request(tx: &mut Tx, id: JobId) -> Result<Option<Job>, DbError> {
    let asked: Option<Job> = with!(tx.conn(), |c| {
        let unfinished = jobs::table.filter(jobs::id.eq(id)).filter(jobs::state.ne_all(JobState::FINAL));
        diesel::update(unfinished)
            .set((
                jobs::cancel_requested_at.eq(now().nullable()),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    let Some(job) = asked else { return Ok(None) };
    // The row is locked by the statement above. An undo that is under way keeps its backoff.
    let sleeps = matches!(job.state, JobState::Pending | JobState::Waiting) && !job.undoing;
    if sleeps {
        with!(tx.conn(), |c| {
            diesel::update(jobs::table.filter(jobs::id.eq(id)))
                .set((jobs::state.eq(JobState::Pending), jobs::run_at.eq(now())))
                .execute(c)
                .await
        })?;
    }
    Ok(Some(job))
}
