//! A lease belongs to a process: what it runs is its own for as long as its row in `processes` lives, see
//! [`crate::processes`]. Here is what follows for the rows of its jobs.
//!
//! The process itself compares its rows with what it really runs ([`own_runs`], [`put_back`]). Every supervisor,
//! at each of its looks, puts back what runs under no living process ([`orphans`], [`end_orphan`]). It never ends with
//! "none is left": a claim may be committed later, a row may be locked, a supervisor may die.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::schema::{jobs, processes};
use crate::settle::{self, Note};
use crate::{Claim, FencedError, Job, LostLease};
use database::expressions::{for_update, for_update_skip_locked};
use database::{Conn, Db, DbError, Tx, with};
use model::job::{Ending, JobState};
use model::{JobId, Timestamp, WorkerId};

/// A row that says that a process runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnRun {
    /// Which run.
    pub claim: Claim,
    /// Whether somebody asked to cancel the job.
    pub cancel_requested: bool,
    /// Whether it undoes.
    pub undoing: bool,
}

/// What a process runs by the word of the table: one plain look, which waits for no lock.
///
/// # Errors
/// Those of the database.
pub async fn own_runs(conn: &mut Conn, worker: WorkerId) -> Result<Vec<OwnRun>, DbError> {
    let rows: Vec<(JobId, i64, Option<Timestamp>, bool)> = with!(conn, |c| {
        jobs::table
            .filter(jobs::due_at.is_not_null())
            .filter(jobs::state.eq(JobState::Running))
            .filter(jobs::worker.eq(worker))
            .select((jobs::id, jobs::fence, jobs::cancel_requested_at, jobs::undoing))
            .load(c)
            .await
    })?;
    let run = |(job, fence, cancel, undoing): (JobId, i64, Option<Timestamp>, bool)| OwnRun {
        claim: Claim { job, fence },
        cancel_requested: cancel.is_some(),
        undoing,
    };
    Ok(rows.into_iter().map(run).collect())
}

/// Puts back a run that its living process knows nothing of: [`Ending::Forgotten`], or [`Ending::Release`] when
/// the process stops. `false`: the row is another's by now, or locked; the next look sees.
///
/// # Errors
/// Those of the database.
pub async fn put_back(db: &Db, claim: Claim, ending: Ending) -> Result<bool, DbError> {
    Ok(end_run(db, claim, ending, Note::None).await?.is_some())
}

/// A run whose process is gone.
#[derive(Debug, Clone, Copy)]
pub struct Orphan {
    /// Which run.
    pub claim: Claim,
    ending: Ending,
}

impl Orphan {
    /// Whether its process was lost, and did not say that it stops.
    pub fn lapsed(&self) -> bool {
        self.ending == Ending::Lapsed
    }
}

/// What runs under no living process, at most `limit` jobs.
///
/// # Errors
/// Those of the database.
pub async fn orphans(conn: &mut Conn, limit: i64) -> Result<Vec<Orphan>, DbError> {
    let rows: Vec<(JobId, i64, bool)> = with!(conn, |c| {
        let its_process = || processes::table.filter(processes::id.nullable().eq(jobs::worker));
        let living =
            its_process().filter(processes::lost_at.is_null()).filter(processes::stopped_at.is_null());
        // Lost and stopped: it found itself lost, and went on under another id.
        let stopped =
            its_process().filter(processes::lost_at.is_null()).filter(processes::stopped_at.is_not_null());
        jobs::table
            .filter(jobs::due_at.is_not_null())
            .filter(jobs::state.eq(JobState::Running))
            .filter(not(exists(living)))
            .order(jobs::id)
            .limit(limit)
            .select((jobs::id, jobs::fence, exists(stopped)))
            .load(c)
            .await
    })?;
    let orphan = |(job, fence, stopped)| Orphan {
        claim: Claim { job, fence },
        ending: if stopped { Ending::Release } else { Ending::Lapsed },
    };
    Ok(rows.into_iter().map(orphan).collect())
}

/// Puts back every running job at once: the process that ran them is gone for certain. The crash counts against
/// the jobs as a lapse would.
///
/// Only the all-in-one may call it, at its start and under its file lock.
///
/// # Errors
/// Those of the look itself.
pub async fn end_all(db: &Db) -> Result<Vec<(Job, JobState)>, DbError> {
    let mut conn = db.conn().await?;
    let running: Vec<(JobId, i64)> = with!(&mut conn, |c| {
        let running =
            jobs::table.filter(jobs::due_at.is_not_null()).filter(jobs::state.eq(JobState::Running));
        running.select((jobs::id, jobs::fence)).load(c).await
    })?;
    drop(conn);
    let mut ended = Vec::with_capacity(running.len());
    for (job, fence) in running {
        let orphan = Orphan { claim: Claim { job, fence }, ending: Ending::Lapsed };
        match end_orphan(db, orphan).await {
            Ok(run) => ended.extend(run),
            Err(error) => tracing::warn!(%job, %error, "a job could not be put back yet"),
        }
    }
    Ok(ended)
}

/// Puts back a run whose process is gone: a lapse, but where the process said that it stops a release. `None`: it is
/// over by now, or somebody has its row locked; the next look sees.
///
/// # Errors
/// Those of the database.
pub async fn end_orphan(db: &Db, orphan: Orphan) -> Result<Option<(Job, JobState)>, DbError> {
    let Orphan { claim, ending } = orphan;
    let note = match ending {
        Ending::Lapsed => Note::Failure("the lease lapsed: the process that ran it is gone".into()),
        _ => Note::None,
    };
    end_run(db, claim, ending, note).await
}

/// Ends a run from outside, unless it is over by now.
///
/// A transaction for each, because each may wake waiters: two that woke the waiters of several jobs
/// could lock each other out. It compares the fence that was listed: the job may be running elsewhere by now.
async fn end_run(
    db: &Db,
    claim: Claim,
    ending: Ending,
    note: Note,
) -> Result<Option<(Job, JobState)>, DbError> {
    let mut tx = db.begin().await?;
    let rows: Vec<Job> = with!(tx.conn(), |c| {
        for_update_skip_locked(settle::own(claim).select(Job::as_select())).load(c).await
    })?;
    let mut ended = None;
    if let Some(job) = rows.into_iter().next() {
        let state = settle::write(&mut tx, &job, settle::Ended::by(ending, note)).await?;
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
    let rows: Vec<Job> =
        with!(tx.conn(), |c| for_update(settle::own(claim).select(Job::as_select())).load(c).await)?;
    rows.into_iter().next().ok_or(FencedError::LostLease(LostLease))
}
