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
    let ids: Vec<JobId> = running.iter().map(|claim| claim.job).collect();
    let mut conn = db.read().await?;
    let renewed: Vec<(JobId, i64, Option<Timestamp>)> = with!(&mut conn, |c| {
        let own = jobs::table
            .filter(jobs::id.eq_any(&ids))
            .filter(jobs::state.eq(JobState::Running))
            .filter(jobs::worker.eq(worker));
        diesel::update(own)
            .set(jobs::lease_until.eq(now_plus(lease).nullable()))
            .returning((jobs::id, jobs::fence, jobs::cancel_requested_at))
            .get_results(c)
            .await
    })?;
    let renewed = renewed.into_iter().map(|(job, fence, cancel)| Renewed {
        claim: Claim { job, fence },
        cancel_requested: cancel.is_some(),
    });
    Ok(renewed.filter(|renewed| running.contains(&renewed.claim)).collect())
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
    let mut tx = db.begin().await?;
    let lapsed: Vec<Job> = with!(tx.conn(), |c| {
        let late = jobs::table
            .filter(sql::<Bool>("state = 'running'"))
            .filter(jobs::lease_until.lt(now().nullable()))
            .order(jobs::id.desc())
            .limit(limit)
            .select(Job::as_select());
        for_update_skip_locked(late).load(c).await
    })?;
    end_runs(tx, lapsed).await
}

/// Releases every running job at once: the process that ran them is gone for certain. The crash
/// counts against the jobs as a lapse would.
///
/// Only the all-in-one may call it, at its start and under its file lock.
///
/// # Errors
/// Those of the database.
pub async fn end_all(db: &Db) -> Result<Vec<(Job, JobState)>, DbError> {
    let mut tx = db.begin().await?;
    let orphans: Vec<Job> = with!(tx.conn(), |c| {
        let all = jobs::table
            .filter(jobs::state.eq(JobState::Running))
            .order(jobs::id.desc())
            .select(Job::as_select());
        for_update(all).load(c).await
    })?;
    end_runs(tx, orphans).await
}

async fn end_runs(mut tx: Tx, runs: Vec<Job>) -> Result<Vec<(Job, JobState)>, DbError> {
    let mut ended = Vec::with_capacity(runs.len());
    for job in runs {
        let note = Note::Failure("the worker that ran it went away".into());
        let state = settle::write(&mut tx, &job, Ending::Lapsed, note).await?;
        ended.push((job, state));
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
