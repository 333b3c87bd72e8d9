//! Waiting for other jobs: one mechanism for the parts of a job and for what others do.
//!
//! On PostgreSQL each step is a statement of its own: a statement that waited for a lock sees, for
//! everything but the locked row, the table as it was when the statement began. So: first the own row
//! becomes final; the *next* statement locks the waiters; the *next* counts what each still waits for.

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::schema::{job_waits, jobs};
use crate::settle::{self, Progress};
use crate::{Claim, FencedError, Job, LostLease, callbacks};
use database::expressions::{for_no_key_update, for_update, is_one_of, now};
use database::together;
use database::{Conn, DbError, Tx, with};
use model::job::{Failure, JobState};
use model::sql_types::Id;
use model::{JobId, Timestamp};

/// Of those that there are.
macro_rules! recording {
    ($waiter:expr, $on:expr) => {
        jobs::table
            .filter(is_one_of($on))
            .select(($waiter.into_sql::<Id>(), jobs::id))
            .insert_into(job_waits::table)
            .into_columns((job_waits::waiter, job_waits::on_job))
    };
}

/// Begins to wait: locks the awaited jobs, newest id first, against becoming final, then the waiter's own row, and writes
/// down for whom it waits. Of each awaited one it says so in its row: whoever ends it must look for waiters. That is
/// never taken back; what is said for nothing costs a look.
///
/// Returns how many of them are unfinished, and the waiter's row. What is gone is final.
///
/// # Errors
/// [`FencedError::LostLease`].
pub(super) async fn begin(tx: &mut Tx, claim: Claim, on: &[JobId]) -> Result<(usize, Job), FencedError> {
    let waiter = claim.job;
    let (awaited, own, ..) = together!(
        tx.conn(),
        awaited = |c| for_no_key_update(jobs::table.filter(is_one_of(on)).order(jobs::id.desc()).select((
            jobs::id,
            jobs::state,
            jobs::awaited
        )))
        .load::<(JobId, JobState, bool)>(c),
        own = |c| for_update(settle::own(claim).select(Job::as_select())).load::<Job>(c),
        forgotten = |c| diesel::delete(waits_of(waiter)).execute(c),
        recorded = |c| recording!(waiter, on).execute(c),
    )?;
    let own = own.into_iter().next().ok_or(LostLease)?;
    let unsaid: Vec<JobId> = awaited.iter().filter(|(_, _, awaited)| !awaited).map(|(id, ..)| *id).collect();
    if !unsaid.is_empty() {
        with!(tx.conn(), |c| {
            diesel::update(jobs::table.filter(is_one_of(&unsaid)))
                .set(jobs::awaited.eq(true))
                .execute(c)
                .await
        })?;
    }
    let unfinished = awaited.into_iter().filter(|(_, state, _)| !state.is_final()).count();
    Ok((unfinished, own))
}

/// Writes down for whom a job waits now; they are awaited by birth.
pub(super) async fn record(tx: &mut Tx, waiter: JobId, on: &[JobId]) -> Result<(), DbError> {
    together!(
        tx.conn(),
        forgotten = |c| diesel::delete(waits_of(waiter)).execute(c),
        recorded = |c| recording!(waiter, on).execute(c),
    )?;
    Ok(())
}

/// What it waited for before no longer counts: a cancel may have ended that wait while one of them was unfinished.
#[diesel::dsl::auto_type]
fn waits_of(waiter: JobId) -> _ {
    job_waits::table.filter(job_waits::waiter.eq(waiter))
}

/// The unfinished ones of those that the row's job waits for.
const UNFINISHED: &str = "FROM job_waits JOIN jobs AS awaited ON awaited.id = job_waits.on_job \
                          WHERE job_waits.waiter = jobs.id \
                          AND awaited.state NOT IN ('succeeded', 'failed', 'cancelled')";

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
    // Their rows are locked, so this statement sees who else is over.
    let nobody = sql::<Bool>("NOT EXISTS (SELECT 1 ").sql(UNFINISHED).sql(")");
    let woken: Vec<(JobId, i64, bool)> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.filter(is_one_of(&waiters)).filter(nobody))
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
    let asleep: Vec<JobId> =
        waiters.into_iter().filter(|waiter| woken.iter().all(|(other, ..)| other != waiter)).collect();
    if !asleep.is_empty() {
        show_progress(tx, &asleep).await?;
    }
    if woken.is_empty() {
        return Ok(());
    }
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
async fn show_progress(tx: &mut Tx, asleep: &[JobId]) -> Result<(), DbError> {
    let so_far: Vec<(JobId, Option<Value>, i64, i64)> = with!(tx.conn(), |c| {
        let all = job_waits::table.filter(job_waits::waiter.eq(jobs::id)).select(count_star());
        jobs::table
            .filter(is_one_of(asleep))
            .select((
                jobs::id,
                jobs::progress,
                all.single_value().assume_not_null(),
                sql::<BigInt>("(SELECT count(*) ").sql(UNFINISHED).sql(")"),
            ))
            .load(c)
            .await
    })?;
    for (waiter, stored, all, unfinished) in so_far {
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
        tx.after_commit().changed(waiter, version);
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
        jobs::table.filter(is_one_of(on)).select((jobs::id, jobs::state, jobs::failure)).load(c).await
    })?)
}
