//! Leases: renewed by the worker that runs the job, ended by any worker when they lapse.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use super::settle::{self, Note};
use super::{Claim, FencedError, Job, LostLease};
use crate::db::expressions::{for_update, for_update_skip_locked, now, now_plus};
use crate::db::schema::jobs;
use crate::db::{Db, DbError, Tx, with};
use crate::domain::job::{Ending, JobState};
use crate::domain::{JobId, Timestamp, WorkerId};

/// No lease lasts longer.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A lease that was renewed.
#[derive(Debug, Clone, Copy)]
pub struct Renewed {
    /// Whose.
    pub claim: Claim,
    /// Whether somebody asked to cancel the job.
    pub cancel_requested: bool,
}

/// Renews the leases of the jobs that `worker` really runs. A claim that is not among those returned
/// is lost: its run must stop.
///
/// # Errors
/// Those of the database.
pub async fn renew(
    db: &Db,
    worker: WorkerId,
    running: &[Claim],
    lease: Duration,
) -> Result<Vec<Renewed>, DbError> {
    let mut conn = db.conn().await?;
    let mut renewed = Vec::with_capacity(running.len());
    // One statement a lease: one for all would hold the first rows while it waits for the others, and
    // a run that begins to wait for another run of this worker would do the same the other way round.
    for claim in running {
        let cancel_requested_at: Option<Option<Timestamp>> = with!(&mut conn, |c| {
            let own = jobs::table
                .filter(jobs::id.eq(claim.job))
                .filter(jobs::state.eq(JobState::Running))
                .filter(jobs::fence.eq(claim.fence))
                .filter(jobs::worker.eq(worker));
            diesel::update(own)
                .set(jobs::lease_until.eq(now_plus(lease).nullable()))
                .returning(jobs::cancel_requested_at)
                .get_result(c)
                .await
                .optional()
        })?;
        if let Some(cancel_requested_at) = cancel_requested_at {
            renewed.push(Renewed { claim: *claim, cancel_requested: cancel_requested_at.is_some() });
        }
    }
    Ok(renewed)
}

/// Ends the leases that lapsed: each job is put back after a backoff, or fails as a killer.
/// Returns what became of each.
///
/// Rows that somebody has locked are left for the next look, so that one frozen transaction can't hold
/// up the others.
///
/// # Errors
/// Those of the database.
pub async fn end_lapsed(db: &Db, limit: i64) -> Result<Vec<(Job, JobState)>, DbError> {
    let mut conn = db.conn().await?;
    let lapsed: Vec<JobId> = with!(&mut conn, |c| {
        jobs::table
            .filter(sql::<Bool>("state = 'running'"))
            .filter(jobs::lease_until.lt(now().nullable()))
            .order(jobs::lease_until)
            .limit(limit)
            .select(jobs::id)
            .load(c)
            .await
    })?;
    drop(conn);
    let mut ended = Vec::with_capacity(lapsed.len());
    for id in lapsed {
        ended.extend(end_run(db, id, true).await?);
    }
    Ok(ended)
}

/// Releases every running job at once: the process that ran them is gone for certain. The crash
/// counts against the jobs as a lapse would.
///
/// Only the all-in-one may call it, at its start and under its file lock.
///
/// # Errors
/// Those of the database.
pub async fn end_all(db: &Db) -> Result<Vec<(Job, JobState)>, DbError> {
    let mut conn = db.conn().await?;
    let orphans: Vec<JobId> = with!(&mut conn, |c| {
        jobs::table.filter(jobs::state.eq(JobState::Running)).select(jobs::id).load(c).await
    })?;
    drop(conn);
    let mut ended = Vec::with_capacity(orphans.len());
    for id in orphans {
        ended.extend(end_run(db, id, false).await?);
    }
    Ok(ended)
}

/// Ends a run whose worker is gone, unless it is over by now.
///
/// A transaction for each, because each may wake waiters: two that woke the waiters of several jobs
/// could lock each other out.
async fn end_run(db: &Db, id: JobId, only_lapsed: bool) -> Result<Option<(Job, JobState)>, DbError> {
    let mut tx = db.begin().await?;
    let latest = if only_lapsed { now() } else { now_plus(FOR_EVER) };
    let rows: Vec<Job> = with!(tx.conn(), |c| {
        let run = jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::state.eq(JobState::Running))
            .filter(jobs::lease_until.lt(latest.nullable()))
            .select(Job::as_select());
        for_update_skip_locked(run).load(c).await
    })?;
    let mut ended = None;
    if let Some(job) = rows.into_iter().next() {
        let note = Note::Failure("the lease lapsed: the process that ran it is gone".into());
        let state = settle::write(&mut tx, &job, Ending::Lapsed, note).await?;
        ended = Some((job, state));
    }
    tx.commit().await?;
    Ok(ended)
}

/// Locks the job's own row for a business transaction and proves that the run still owns it.
///
/// # Errors
/// [`LostLease`]: the transaction must be dropped.
pub async fn lock_own(tx: &mut Tx, claim: Claim) -> Result<Job, FencedError> {
    let own: Option<Job> = with!(tx.conn(), |c| {
        let row = jobs::table
            .filter(jobs::id.eq(claim.job))
            .filter(jobs::state.eq(JobState::Running))
            .filter(jobs::fence.eq(claim.fence))
            .select(Job::as_select());
        for_update(row).load(c).await.map(|rows: Vec<Job>| rows.into_iter().next())
    })
    .map_err(DbError::from)?;
    own.ok_or(FencedError::LostLease(LostLease))
}
