//! Waiting for other jobs: one mechanism for fan-in and for "photos ready".
//!
//! On PostgreSQL each step is a statement of its own: a statement that waited for a lock sees, for
//! everything but the locked row, the table as it was when the statement began. So: first the own row
//! becomes final; the *next* statement locks the waiters; the *next* counts what each still waits for.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::callbacks;
use super::settle::Progress;
use crate::db::expressions::{for_no_key_update, for_update, now};
use crate::db::schema::{job_waits, jobs};
use crate::db::{Conn, DbError, Tx, with};
use crate::domain::job::{Failure, JobState};
use crate::domain::{JobId, Timestamp};

/// Locks the jobs that somebody begins to wait for, newest id first, against becoming final, and says of each that it
/// is awaited: whoever ends it must look for waiters. That is never taken back; what is said for nothing costs a look.
/// Returns how many are unfinished.
pub(super) async fn lock_awaited(tx: &mut Tx, on: &[JobId]) -> Result<usize, DbError> {
    let rows: Vec<(JobId, JobState, bool)> = with!(tx.conn(), |c| {
        let awaited = jobs::table.filter(jobs::id.eq_any(on)).order(jobs::id.desc()).select((
            jobs::id,
            jobs::state,
            jobs::awaited,
        ));
        for_no_key_update(awaited).load(c).await
    })?;
    let unsaid: Vec<JobId> = rows.iter().filter(|(_, _, awaited)| !awaited).map(|(id, ..)| *id).collect();
    if !unsaid.is_empty() {
        with!(tx.conn(), |c| {
            diesel::update(jobs::table.filter(jobs::id.eq_any(&unsaid)))
                .set(jobs::awaited.eq(true))
                .execute(c)
                .await
        })?;
    }
    Ok(rows.into_iter().filter(|(_, state, _)| !state.is_final()).count())
}

/// Writes down for whom a job waits now. What it waited for before no longer counts: a cancel may have
/// ended that wait while one of them was unfinished.
pub(super) async fn record(tx: &mut Tx, waiter: JobId, on: &[JobId]) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::delete(job_waits::table.filter(job_waits::waiter.eq(waiter))).execute(c).await
    })?;
    for awaited in on {
        with!(tx.conn(), |c| {
            diesel::insert_into(job_waits::table)
                .values((job_waits::waiter.eq(waiter), job_waits::on_job.eq(awaited)))
                .on_conflict_do_nothing()
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// Makes every waiter due for which `finished` was the last unfinished job.
///
/// # Errors
/// Those of the database.
pub async fn wake_waiters(tx: &mut Tx, finished: JobId) -> Result<(), DbError> {
    let waiters: Vec<JobId> = with!(tx.conn(), |c| {
        let waiting =
            jobs::table
                .filter(jobs::state.eq(JobState::Waiting))
                .filter(jobs::id.eq_any(
                    job_waits::table.filter(job_waits::on_job.eq(finished)).select(job_waits::waiter),
                ))
                .order(jobs::id.desc())
                .select(jobs::id);
        for_update(waiting).load(c).await
    })?;
    if waiters.is_empty() {
        return Ok(());
    }
    let still_waiting: Vec<(JobId, i64)> = with!(tx.conn(), |c| {
        job_waits::table
            .inner_join(jobs::table.on(jobs::id.eq(job_waits::on_job)))
            .filter(job_waits::waiter.eq_any(&waiters))
            .filter(jobs::state.ne_all(JobState::FINAL))
            .group_by(job_waits::waiter)
            .select((job_waits::waiter, count_star()))
            .load(c)
            .await
    })?;
    show_progress(tx, &still_waiting).await?;
    let due: Vec<JobId> =
        waiters.into_iter().filter(|waiter| still_waiting.iter().all(|(other, _)| other != waiter)).collect();
    if due.is_empty() {
        return Ok(());
    }
    let woken: Vec<(JobId, i64, bool)> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(jobs::id.eq_any(&due)))
            .set((
                jobs::state.eq(JobState::Pending),
                jobs::due_at.eq(now().nullable()),
                jobs::waiting_since.eq(None::<Timestamp>),
                // It keeps its place and goes by the lane that is served first: who has begun is finished first.
                jobs::woken.eq(true),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning((jobs::id, jobs::version, jobs::has_callback))
            .get_results(c)
            .await
    })?;
    for (job, version, has_callback) in woken {
        tx.after_commit().changed(job, version);
        if has_callback {
            callbacks::status_changed(tx, job).await?;
        }
    }
    tx.after_commit().wake_relay();
    Ok(())
}

/// Takes the progress of those who wait on by the share of what is over. Their rows are locked.
async fn show_progress(tx: &mut Tx, still_waiting: &[(JobId, i64)]) -> Result<(), DbError> {
    for (waiter, unfinished) in still_waiting {
        let (stored, all): (Option<Value>, i64) = with!(tx.conn(), |c| {
            let all = job_waits::table.filter(job_waits::waiter.eq(jobs::id)).select(count_star());
            jobs::table
                .find(waiter)
                .select((jobs::progress, all.single_value().assume_not_null()))
                .first(c)
                .await
        })?;
        let progress: Option<Progress> = stored.and_then(|stored| serde_json::from_value(stored).ok());
        let Some(progress) = progress.and_then(|progress| progress.share(all - unfinished, all)) else {
            continue;
        };
        let version: i64 = with!(tx.conn(), |c| {
            diesel::update(jobs::table.find(waiter))
                .set((
                    jobs::progress.eq(progress.to_json()),
                    jobs::version.eq(jobs::version + 1),
                    jobs::updated_at.eq(now()),
                ))
                .returning(jobs::version)
                .get_result(c)
                .await
        })?;
        tx.after_commit().changed(*waiter, version);
    }
    Ok(())
}

/// How the jobs that somebody waited for ended.
///
/// # Errors
/// Those of the database.
pub async fn outcomes(
    conn: &mut Conn,
    on: &[JobId],
) -> Result<Vec<(JobId, JobState, Option<Failure>)>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table.filter(jobs::id.eq_any(on)).select((jobs::id, jobs::state, jobs::failure)).load(c).await
    })?)
}
