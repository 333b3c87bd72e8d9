//! Claim: one statement decides who runs a job.

use std::time::Duration;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use diesel_async::RunQueryDsl;

use super::{Job, callbacks};
use crate::db::expressions::{coalesce, now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Db, DbError, with};
use crate::domain::job::JobState;
use crate::domain::{JobId, WorkerId};
use crate::jobs::{KINDS, Unique};

/// What became of an attempt to claim.
#[derive(Debug)]
pub enum Claimed {
    /// The job is this worker's, as long as it renews the lease.
    Yes(Box<Job>),
    /// There is nothing to do for this message: a duplicate, too early, cancelled or done.
    No,
    /// The job once took its worker down: it must be claimed while nothing else runs here.
    OnlyAlone,
}

/// Takes a queued job for `worker`, and nothing but a queued one: a pending one is in backoff.
///
/// A job that somebody asked to cancel turns to undo in the same statement, with its attempts anew.
///
/// # Errors
/// Those of the database; the message is kept and the claim tried again.
pub async fn claim(
    db: &Db,
    job: JobId,
    worker: WorkerId,
    lease: Duration,
    alone: bool,
) -> Result<Claimed, DbError> {
    let mut tx = db.begin().await?;
    let kept_unique = kinds_unique_until_finished();
    let claimed: Option<Job> = with!(tx.conn(), |c| {
        let queued = jobs::table
            .filter(jobs::id.eq(job))
            .filter(jobs::state.eq(JobState::Queued))
            .filter(jobs::kills.eq(0).or(alone.into_sql::<Bool>()));
        let turns = jobs::cancel_requested_at.is_not_null().and(jobs::undoing.eq(false));
        diesel::update(queued)
            .set((
                jobs::state.eq(JobState::Running),
                jobs::fence.eq(jobs::fence + 1),
                jobs::attempt.eq(case_when(turns, 1.into_sql::<Integer>()).otherwise(jobs::attempt + 1)),
                jobs::undoing.eq(jobs::undoing.or(jobs::cancel_requested_at.is_not_null())),
                jobs::worker.eq(worker),
                jobs::lease_until.eq(now_plus(lease).nullable()),
                jobs::started_at.eq(coalesce(jobs::started_at, now()).nullable()),
                jobs::republish_at.eq(None::<crate::domain::Timestamp>),
                jobs::published.eq(0),
                jobs::unique_key.eq(case_when(jobs::kind.eq_any(kept_unique), jobs::unique_key)),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
            .optional()
    })?;
    if let Some(job) = claimed {
        tx.after_commit().changed(job.id, job.version);
        callbacks::is_now(&mut tx, &job).await?;
        if job.owner.is_some() && tx.some_are_held_back() {
            // There is room for another of the owner's.
            tx.after_commit().wake_relay();
        }
        tx.commit().await?;
        return Ok(Claimed::Yes(Box::new(job)));
    }
    let left_out: i64 = with!(tx.conn(), |c| {
        jobs::table
            .filter(jobs::id.eq(job))
            .filter(jobs::state.eq(JobState::Queued))
            .filter(jobs::kills.gt(0))
            .count()
            .get_result(c)
            .await
    })?;
    tx.commit().await?;
    Ok(if left_out > 0 { Claimed::OnlyAlone } else { Claimed::No })
}

/// What is unique until it starts gives its key up at the claim.
fn kinds_unique_until_finished() -> Vec<&'static str> {
    KINDS.iter().filter(|kind| kind.unique == Unique::UntilFinished).map(|kind| kind.name).collect()
}

/// Puts a job that this program can't read back for a newer one: claimed and snoozed in one
/// statement. The fence rises, so that a late confirm of this message can't touch the next one; no
/// attempt is burnt.
///
/// # Errors
/// Those of the database.
pub async fn put_back_unknown(db: &Db, job: JobId, delay: Duration) -> Result<(), DbError> {
    let mut conn = db.read().await?;
    with!(&mut conn, |c| {
        let queued = jobs::table.filter(jobs::id.eq(job)).filter(jobs::state.eq(JobState::Queued));
        diesel::update(queued)
            .set((
                jobs::state.eq(JobState::Pending),
                jobs::fence.eq(jobs::fence + 1),
                jobs::run_at.eq(now_plus(delay)),
                jobs::republish_at.eq(None::<crate::domain::Timestamp>),
                jobs::published.eq(0),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}
