//! Dead letters: jobs that failed for good through no fault of the business. Their effects are held until a person
//! decides: [`redrive`] has them tried again from where they were, [`discard`] gives them up and undoes.
//!
//! Both write nothing unless the job is dead, so that a second try does nothing more.

use std::time::Duration;

use diesel::dsl::{case_when, count_star, not, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::filter::JobFilter;
use crate::schema::{job_waits, jobs};
use crate::{Job, callbacks, listing, order, status, waits};
use database::expressions::{first, for_update, last, now, now_plus};
use database::{Conn, DbError, Tx, with};
use model::KindInfo;
use model::job::{Failure, JobState, MAX_LAPSES};
use model::{JobId, Timestamp};

/// Why a job is left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none of that id.
    #[error("there is no such job")]
    Unknown,
    /// It did not fail, or was redriven or discarded meanwhile.
    #[error("it is {}", .0.name())]
    NotDead(JobState),
    /// Its handler gave it up.
    #[error("its handler said that no retry can help")]
    Hopeless,
    /// Another job has its unique key by now.
    #[error("superseded by {0}, which is unfinished")]
    Superseded(JobId),
}

/// A job that was redriven.
#[derive(Debug)]
pub struct Redriven {
    /// Its row now.
    pub job: Job,
    /// The dead jobs that it needs: they were redriven before it.
    pub needed: Vec<JobId>,
}

/// What became of a job that was discarded.
#[derive(Debug)]
pub enum Discarded {
    /// It is cancelled.
    Cancelled(Box<Job>),
    /// What it did will be undone; then it is cancelled.
    Undoing(Box<Job>),
}

/// Has a dead job tried again, `delay` from now: from its checkpoint, in the direction that it had, with all its
/// attempts, at the end of its line. What it needs and is dead as well comes first.
///
/// A job that is `crashed` gets one more chance, in the quarantine queue: its lapses are kept, but for the last.
///
/// # Errors
/// Those of the database. [`DbError::Duplicate`]: somebody enqueued another of its unique key just now; asked again,
/// it is refused.
pub async fn redrive(tx: &mut Tx, id: JobId, delay: Duration) -> Result<Result<Redriven, Refusal>, DbError> {
    let mut levels = vec![vec![id]];
    while let Some(needed) = dead_needs(tx, levels.last().map_or(&[], Vec::as_slice)).await? {
        levels.push(needed);
    }
    // Awaited jobs before their waiters, newest id first: the order of all.
    let mut dead: Vec<Job> = Vec::new();
    for level in levels.iter().rev() {
        for job in lock(tx, level).await? {
            if dead.iter().all(|known| known.id != job.id) {
                dead.push(job);
            }
        }
    }
    if !dead.iter().any(|job| job.id == id) {
        return Ok(Err(why_not(tx, id).await?));
    }
    for job in &dead {
        if let Some(other) = superseded_by(tx, job.id).await? {
            return Ok(Err(Refusal::Superseded(other)));
        }
    }
    let mut needed = Vec::new();
    let mut redriven = None;
    for job in &dead {
        let revived = revive(tx, job, delay, false).await?;
        if job.id == id {
            redriven = Some(revived);
        } else {
            needed.push(job.id);
        }
    }
    Ok(redriven.map(|job| Redriven { job, needed }).ok_or(Refusal::Unknown))
}

/// Gives a dead job up. One whose kind undoes is made due to undo what it did; any other is cancelled.
///
/// # Errors
/// As [`redrive`].
pub async fn discard(tx: &mut Tx, id: JobId) -> Result<Result<Discarded, Refusal>, DbError> {
    let Some(job) = lock(tx, &[id]).await?.pop() else {
        return Ok(Err(why_not(tx, id).await?));
    };
    // A kind that this program doesn't know is a newer one's to discard; cancelled, it would be undone by nobody.
    let undoes = KindInfo::find(&job.kind).is_none_or(|kind| kind.undoes);
    if undoes && job.started_at.is_some() {
        if let Some(other) = superseded_by(tx, id).await? {
            return Ok(Err(Refusal::Superseded(other)));
        }
        let job = revive(tx, &job, Duration::ZERO, true).await?;
        return Ok(Ok(Discarded::Undoing(Box::new(job))));
    }
    let job: Job = with!(tx.conn(), |c| {
        diesel::update(jobs::table.find(id))
            .set((
                jobs::state.eq(JobState::Cancelled),
                jobs::failure.eq(None::<Failure>),
                (jobs::dead_at.eq(None::<Timestamp>), jobs::dead_reason.eq(None::<String>)),
                jobs::cancel_requested_at.eq(now().nullable()),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
    })?;
    tx.after_commit().changed(job.id, job.version);
    callbacks::is_now(tx, &job).await?;
    waits::wake_waiters(tx, id).await?;
    Ok(Ok(Discarded::Cancelled(Box::new(job))))
}

/// The dead jobs that these need; `None` if there are none. (Waits have no cycle: this ends.)
async fn dead_needs(tx: &mut Tx, of: &[JobId]) -> Result<Option<Vec<JobId>>, DbError> {
    let needed: Vec<JobId> = with!(tx.conn(), |c| {
        let awaited = job_waits::table.filter(job_waits::waiter.eq_any(of)).select(job_waits::on_job);
        jobs::table.filter(jobs::id.eq_any(awaited)).filter(sql::<Bool>(DEAD)).select(jobs::id).load(c).await
    })?;
    Ok((!needed.is_empty()).then_some(needed))
}

/// Dead letters, as the partial index spells it.
pub const DEAD: &str = "jobs.dead_at IS NOT NULL";

/// Those of these jobs that are dead, locked, newest first.
async fn lock(tx: &mut Tx, ids: &[JobId]) -> Result<Vec<Job>, DbError> {
    Ok(with!(tx.conn(), |c| {
        let dead = jobs::table
            .filter(jobs::id.eq_any(ids))
            .filter(sql::<Bool>(DEAD))
            .order(jobs::id.desc())
            .select(Job::as_select());
        for_update(dead).load(c).await
    })?)
}

async fn why_not(tx: &mut Tx, id: JobId) -> Result<Refusal, DbError> {
    Ok(match status::find(tx, id).await? {
        None => Refusal::Unknown,
        Some(job) if job.failure == Some(Failure::Discarded) => Refusal::Hopeless,
        Some(job) => Refusal::NotDead(job.state),
    })
}

/// The unfinished job that has this one's unique key.
async fn superseded_by(tx: &mut Tx, id: JobId) -> Result<Option<JobId>, DbError> {
    let key: Option<String> =
        with!(tx.conn(), |c| jobs::table.find(id).select(jobs::unique_key).first(c).await)?;
    let Some(key) = key else { return Ok(None) };
    Ok(with!(tx.conn(), |c| {
        jobs::table.filter(jobs::unique_open.eq(key)).select(jobs::id).first(c).await.optional()
    })?)
}

/// Makes a dead job due. Its row is locked.
async fn revive(tx: &mut Tx, job: &Job, delay: Duration, to_undo: bool) -> Result<Job, DbError> {
    let place = match &job.ordering_key {
        Some(key) => Some(order::take_place(tx, key).await?),
        None => None,
    };
    let job: Job = with!(tx.conn(), |c| {
        // In the statement after the key's row was locked.
        let behind =
            sql::<Bool>(order::SOMEBODY_IS_IN_LINE).bind::<Nullable<Text>, _>(&job.ordering_key).sql(")");
        diesel::update(jobs::table.find(job.id))
            .set((
                jobs::state.eq(JobState::Pending),
                jobs::failure.eq(None::<Failure>),
                (jobs::dead_at.eq(None::<Timestamp>), jobs::dead_reason.eq(None::<String>)),
                jobs::attempt.eq(0),
                jobs::lapses.eq(job.lapses.min(MAX_LAPSES - 1)),
                (
                    jobs::run_at.eq(now_plus(delay)),
                    jobs::due_at.eq(case_when(not(behind), now_plus(delay).nullable())),
                ),
                (jobs::unique_open.eq(jobs::unique_key), jobs::ordering_open.eq(jobs::ordering_key)),
                place.map(|place| jobs::ordering_seq.eq(place)),
                jobs::unavailable_since.eq(None::<Timestamp>),
                to_undo.then(|| jobs::cancel_requested_at.eq(now().nullable())),
                jobs::version.eq(jobs::version + 1),
                jobs::updated_at.eq(now()),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
    })?;
    tx.after_commit().changed(job.id, job.version);
    callbacks::is_now(tx, &job).await?;
    tx.after_commit().wake_relay();
    Ok(job)
}

/// Jobs that died in the same way.
#[derive(Debug, Clone, Queryable)]
pub struct Group {
    /// See [`model::Kind::NAME`].
    pub kind: String,
    /// Exhausted or crashed.
    pub failure: Failure,
    /// See [`model::job::dead_reason`]; `None` when a former version wrote the end.
    pub reason: Option<String>,
    /// How many.
    pub jobs: i64,
    /// When the oldest of them was enqueued.
    pub oldest: Timestamp,
    /// When the newest of them was enqueued.
    pub newest: Timestamp,
}

/// Dead jobs by kind and reason, the largest groups first.
///
/// # Errors
/// Those of the database.
pub async fn groups(conn: &mut Conn, limit: i64) -> Result<Vec<Group>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>(DEAD))
            .group_by((jobs::kind, jobs::failure, jobs::dead_reason))
            .order((count_star().desc(), jobs::kind, jobs::dead_reason))
            .limit(limit)
            .select((
                jobs::kind,
                jobs::failure.assume_not_null(),
                jobs::dead_reason,
                count_star(),
                first(jobs::created_at),
                last(jobs::created_at),
            ))
            .load(c)
            .await
    })?)
}

/// The dead jobs that a filter fits, the oldest first, or those after one.
///
/// # Errors
/// Those of the database.
pub async fn matching(
    conn: &mut Conn,
    filter: &JobFilter,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobId>, DbError> {
    Ok(with!(conn, |c| {
        let mut dead = jobs::table
            .filter(sql::<Bool>(DEAD))
            .filter(listing::matches(filter))
            .order(jobs::id)
            .limit(limit)
            .select(jobs::id)
            .into_boxed();
        if let Some(after) = after {
            dead = dead.filter(jobs::id.gt(after));
        }
        dead.load(c).await
    })?)
}
