//! How many jobs each queue has in which state, counted in one look over the indexes of what is unfinished:
//! what is over costs nothing there, however much there is of it.
//!
//! A job counts where it runs: one that is suspected of killing its process is the quarantine's, whatever its own
//! queue.

use std::collections::BTreeMap;

use diesel::dsl::{case_when, count_star, sql, sum};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use diesel_async::RunQueryDsl;

use crate::UNFINISHED;
use crate::dead::DEAD;
use crate::schema::{dead_messages, jobs, queues};
use database::expressions::{first, now};
use database::{Conn, DbError, with};
use model::job::{JobState, MAX_LAPSES, QUARANTINED_LAPSES};
use model::{JobId, Timestamp};
use model::{KindInfo, Queue};

/// What there is of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Due: with the broker, or about to be.
    pub due: i64,
    /// For later: delayed, or in backoff.
    pub scheduled: i64,
    /// At a worker.
    pub running: i64,
    /// Until other jobs are over.
    pub waiting: i64,
    /// Exhausted, or crashed: to be decided on.
    pub dead: i64,
    /// For how long the oldest that is due has been so.
    pub oldest_seconds: Option<u64>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Of all these, jobs whose undo crashed so often that anything else would have failed.
    pub crashing: i64,
    /// Of all these, jobs of a kind that this program does not know.
    pub unknown: i64,
}

/// Every queue that exists or has a job, and what there is of it.
///
/// # Errors
/// Those of the database.
pub async fn by_queue(conn: &mut Conn) -> Result<BTreeMap<String, Depth>, DbError> {
    let mut depths: BTreeMap<String, Depth> = known(conn).await?;
    let counted = unfinished(conn).await?;
    let time: Timestamp = with!(conn, |c| diesel::select(now()).get_result(c).await)?;
    for row in counted {
        let depth = depths.entry(row.queue().to_owned()).or_default();
        match row.state {
            JobState::Pending => {
                depth.scheduled += row.later;
                depth.due += row.jobs - row.later;
            }
            JobState::Queued => depth.due += row.jobs,
            JobState::Running => depth.running += row.jobs,
            JobState::Waiting => depth.waiting += row.jobs,
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => {}
        }
        let waits = matches!(row.state, JobState::Pending | JobState::Queued);
        if waits && row.first <= time {
            depth.oldest_seconds = depth.oldest_seconds.max(Some(time.since(row.first).as_secs()));
        }
        if row.undoing && row.lapses >= MAX_LAPSES {
            depth.crashing += row.jobs;
        }
        if KindInfo::find(&row.kind).is_none() {
            depth.unknown += row.jobs;
        }
    }
    for (queue, dead) in dead(conn).await? {
        depths.entry(queue).or_default().dead = dead;
    }
    Ok(depths)
}

async fn known(conn: &mut Conn) -> Result<BTreeMap<String, Depth>, DbError> {
    let known: Vec<(String, Option<Timestamp>)> =
        with!(conn, |c| queues::table.select((queues::name, queues::paused_at)).load(c).await)?;
    let empty = |paused_at| Depth { paused_at, ..Depth::default() };
    Ok(known.into_iter().map(|(name, paused_at)| (name, empty(paused_at))).collect())
}

/// How many unfinished jobs each queue has in each state.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_by_queue(conn: &mut Conn) -> Result<BTreeMap<(String, JobState), i64>, DbError> {
    let mut counts = BTreeMap::new();
    for row in unfinished(conn).await? {
        *counts.entry((row.queue().to_owned(), row.state)).or_default() += row.jobs;
    }
    Ok(counts)
}

/// Jobs that have all of this in common.
#[derive(Queryable)]
struct Counted {
    own_queue: String,
    kind: String,
    state: JobState,
    lapses: i32,
    undoing: bool,
    jobs: i64,
    /// Of these, the ones that are not due.
    later: i64,
    /// When the first of them was or will be due.
    first: Timestamp,
}

impl Counted {
    /// Where they run.
    fn queue(&self) -> &str {
        if self.lapses >= QUARANTINED_LAPSES { Queue::QUARANTINE.name() } else { &self.own_queue }
    }
}

async fn unfinished(conn: &mut Conn) -> Result<Vec<Counted>, DbError> {
    Ok(with!(conn, |c| {
        let later =
            case_when(jobs::run_at.gt(now()), 1.into_sql::<Integer>()).otherwise(0.into_sql::<Integer>());
        jobs::table
            .filter(sql::<Bool>(UNFINISHED))
            .group_by((jobs::queue, jobs::kind, jobs::state, jobs::lapses, jobs::undoing))
            .select((
                jobs::queue,
                jobs::kind,
                jobs::state,
                jobs::lapses,
                jobs::undoing,
                count_star(),
                sum(later).assume_not_null(),
                // Who was woken keeps the time at which it went to sleep, for its place; it is due since it was woken.
                first(case_when(jobs::woken, jobs::updated_at).otherwise(jobs::run_at)),
            ))
            .load(c)
            .await
    })?)
}

/// Some of the jobs that [`Depth::crashing`] counts.
///
/// # Errors
/// Those of the database.
pub async fn crashing_undos(conn: &mut Conn, limit: i64) -> Result<Vec<JobId>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>(UNFINISHED))
            .filter(jobs::undoing.and(jobs::lapses.ge(MAX_LAPSES)))
            .order(jobs::id)
            .limit(limit)
            .select(jobs::id)
            .load(c)
            .await
    })?)
}

async fn dead(conn: &mut Conn) -> Result<Vec<(String, i64)>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>(DEAD))
            .group_by(jobs::queue)
            .select((jobs::queue, count_star()))
            .load(c)
            .await
    })?)
}

/// How many messages were put aside that are no job.
///
/// # Errors
/// Those of the database.
pub async fn dead_messages(conn: &mut Conn) -> Result<i64, DbError> {
    Ok(with!(conn, |c| dead_messages::table.count().get_result(c).await)?)
}
