//! Cancel: one statement decides on the row as it is, and touches no other job.

use diesel::dsl::{case_when, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::RunQueryDsl;

use crate::schema::jobs;
use crate::settle::Left;
use crate::share::MORE;
use crate::{Job, callbacks, settle, status};
use database::expressions::now;
use database::{DbError, Tx, with};
use model::JobId;
use model::job::JobState;

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
    if let Some((job, left)) = cancel_unstarted(tx, id).await? {
        tx.after_commit().changed(job.id, job.version);
        settle::left(tx, &job, left).await?;
        return Ok(CancelOutcome::Cancelled(Box::new(job)));
    }
    if let Some(job) = request(tx, id).await? {
        tx.after_commit().changed(job.id, job.version);
        callbacks::is_now(tx, &job).await?;
        tx.after_commit().wake_relay();
        return Ok(CancelOutcome::Requested(Box::new(job)));
    }
    // Over, or asked before: then nothing more is to be done, and nobody is told again.
    Ok(match status::find(tx, id).await? {
        None => CancelOutcome::Unknown,
        Some(job) if job.state.is_final() => CancelOutcome::Over(job.state),
        Some(job) => CancelOutcome::Requested(Box::new(job)),
    })
}

/// "Never ran" is `started_at IS NULL`: the first claim sets it, nothing clears it.
async fn cancel_unstarted(tx: &mut Tx, id: JobId) -> Result<Option<(Job, Left)>, DbError> {
    let cancelled: Option<(Job, bool, bool)> = with!(tx.conn(), |c| {
        let unstarted = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::started_at.is_null())
            .filter(jobs::state.eq_any([JobState::Pending, JobState::Queued]));
        diesel::update(unstarted)
            .set((
                jobs::state.eq(JobState::Cancelled),
                jobs::cancel_requested_at.eq(now().nullable()),
                settle::it_is_over(),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning((Job::as_returning(), sql::<Bool>(MORE), jobs::awaited))
            .get_result(c)
            .await
            .optional()
    })?;
    Ok(cancelled.map(|(job, more, awaited)| (job, Left { more, awaited })))
}

/// Marks an unfinished job and makes it due, unless it runs or is queued already; an undo that is under
/// way keeps its backoff. The claim, or the running handler's next checkpoint, turns it to undo.
async fn request(tx: &mut Tx, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(with!(tx.conn(), |c| {
        let open = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::state.ne_all(JobState::FINAL))
            .filter(jobs::cancel_requested_at.is_null());
        let sleeps =
            || jobs::state.eq_any([JobState::Pending, JobState::Waiting]).and(jobs::undoing.eq(false));
        // One behind another in its line stays there: neither is set, and it does not wait.
        let in_line = jobs::due_at.is_null().and(jobs::parked.is_null()).and(jobs::waiting_since.is_null());
        diesel::update(open)
            .set((
                jobs::cancel_requested_at.eq(now().nullable()),
                jobs::state
                    .eq(case_when(sleeps(), JobState::Pending.into_sql::<Text>()).otherwise(jobs::state)),
                jobs::run_at.eq(case_when(sleeps(), now()).otherwise(jobs::run_at)),
                jobs::due_at
                    .eq(case_when(sleeps().and(not(in_line)), now().nullable()).otherwise(jobs::due_at)),
                jobs::parked.eq(case_when(not(sleeps()), jobs::parked)),
                jobs::waiting_since.eq(case_when(not(sleeps()), jobs::waiting_since)),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?)
}
