//! What is left to do: for a worker that is to end when there is nothing.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::UNFINISHED;
use crate::queues::NOT_PAUSED;
use crate::schema::jobs;
use database::expressions::now_plus;
use database::{Conn, DbError, with};
use model::Queue;
use model::job::QUARANTINED_LAPSES;

/// Unfinished jobs of some queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Queued, running, or due: soon and next in their lines, or above their owner's share. Those of a paused
    /// queue are not.
    pub now: i64,
    /// All others: for later, in backoff, waiting for other jobs, or in a paused queue.
    pub later: i64,
}

/// Counts what is left of these queues; what is due within `soon` counts as due.
///
/// # Errors
/// Those of the database.
pub async fn remaining(conn: &mut Conn, queues: &[Queue], soon: Duration) -> Result<Remaining, DbError> {
    let names: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
    // Whoever works on the quarantine does what is in it, of whatever queue it is.
    let quarantine = queues.contains(&Queue::QUARANTINE);
    let theirs = || {
        let suspected = jobs::lapses.ge(QUARANTINED_LAPSES);
        let own = jobs::queue.eq_any(names.clone()).and(jobs::lapses.lt(QUARANTINED_LAPSES));
        own.or(suspected.and(quarantine.into_sql::<Bool>()))
    };
    let all: i64 = with!(conn, |c| {
        jobs::table.filter(sql::<Bool>(UNFINISHED)).filter(theirs()).count().get_result(c).await
    })?;
    // After the other: what ends meanwhile may be counted as later, but nothing is overlooked.
    let now: i64 = with!(conn, |c| {
        // What stands behind another in its line has no time at all.
        let in_time = jobs::due_at.is_not_null().and(jobs::due_at.le(now_plus(soon).nullable()));
        let due = in_time.or(jobs::parked.is_not_null());
        let under_way = sql::<Bool>("state IN ('queued', 'running')");
        jobs::table
            .filter(sql::<Bool>(UNFINISHED))
            .filter(theirs())
            .filter(sql::<Bool>(NOT_PAUSED))
            .filter(under_way.or(sql::<Bool>("state = 'pending'").and(due)))
            .count()
            .get_result(c)
            .await
    })?;
    Ok(Remaining { now, later: (all - now).max(0) })
}
