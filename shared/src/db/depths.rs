//! How many jobs each queue has in which state, counted in one look over the partial indexes: what is over costs
//! nothing, however much there is of it.

use std::collections::BTreeMap;

use diesel::dsl::{case_when, count_star, sql, sum};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use diesel_async::RunQueryDsl;

use super::expressions::{first, now};
use super::jobs::UNFINISHED;
use super::schema::{dead_messages, jobs, queues};
use super::{Conn, DbError, with};
use crate::domain::Timestamp;
use crate::domain::job::JobState;

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
}

/// Every queue that exists or has a job, and what there is of it.
///
/// # Errors
/// Those of the database.
pub async fn by_queue(conn: &mut Conn) -> Result<BTreeMap<String, Depth>, DbError> {
    let mut depths: BTreeMap<String, Depth> = known(conn).await?;
    let (counted, time) = unfinished(conn).await?;
    for row in counted {
        let depth = depths.entry(row.queue).or_default();
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

/// The jobs of a queue and state.
#[derive(Queryable)]
struct Counted {
    queue: String,
    state: JobState,
    jobs: i64,
    /// Of these, the ones that are not due.
    later: i64,
    /// When the first of them was or will be due.
    first: Timestamp,
}

async fn unfinished(conn: &mut Conn) -> Result<(Vec<Counted>, Timestamp), DbError> {
    let counted = with!(conn, |c| {
        let later =
            case_when(jobs::run_at.gt(now()), 1.into_sql::<Integer>()).otherwise(0.into_sql::<Integer>());
        jobs::table
            .filter(sql::<Bool>(UNFINISHED))
            .group_by((jobs::queue, jobs::state))
            .select((
                jobs::queue,
                jobs::state,
                count_star(),
                sum(later).assume_not_null(),
                first(jobs::run_at),
            ))
            .load(c)
            .await
    })?;
    let time = with!(conn, |c| diesel::select(now()).get_result(c).await)?;
    Ok((counted, time))
}

async fn dead(conn: &mut Conn) -> Result<Vec<(String, i64)>, DbError> {
    Ok(with!(conn, |c| {
        // Spelled as the partial index `jobs_dead` is.
        jobs::table
            .filter(sql::<Bool>("failure IN ('exhausted', 'crashed')"))
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
