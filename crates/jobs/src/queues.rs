//! The queues that exist, so that a worker on `*` learns of one that was named after it started, and which of them
//! are paused.
//!
//! A paused queue hands nothing to the broker: its jobs stay `pending`, put off to a far time once they are
//! due. Workers give their subscriptions back and finish what they run. Messages that were out already stay
//! in the broker, where nobody takes them.

use std::collections::HashSet;

use diesel::dsl::{case_when, sql};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::relay::due::FAR;
use crate::schema::{jobs, queues};
use database::expressions::{coalesce, for_update, for_update_skip_locked, now};
use database::{Conn, DbError, Tx, with};
use model::Queue;
use model::job::JobState;
use model::{JobId, Timestamp};

/// Writes down that these queues exist.
///
/// # Errors
/// Those of the database.
pub async fn register(conn: &mut Conn, all: impl IntoIterator<Item = Queue>) -> Result<(), DbError> {
    for queue in all {
        with!(conn, |c| {
            diesel::insert_into(queues::table)
                .values(queues::name.eq(queue.name()))
                .on_conflict_do_nothing()
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

/// The names of the paused queues.
pub(super) async fn paused(conn: &mut Conn) -> Result<HashSet<String>, DbError> {
    let names: Vec<String> = with!(conn, |c| {
        queues::table.filter(queues::paused_at.is_not_null()).select(queues::name).load(c).await
    })?;
    Ok(names.into_iter().collect())
}

/// Every queue that exists, with the time since when it is paused.
///
/// # Errors
/// Those of the database.
pub async fn with_pauses(conn: &mut Conn) -> Result<Vec<(Queue, Option<Timestamp>)>, DbError> {
    let rows: Vec<(String, Option<Timestamp>)> = with!(conn, |c| queues::table
        .order(queues::name)
        .select((queues::name, queues::paused_at))
        .load(c)
        .await)?;
    Ok(rows.into_iter().filter_map(|(name, since)| Some((Queue::named(&name)?, since))).collect())
}

/// Since when a queue is paused, if it is.
///
/// # Errors
/// Those of the database.
pub async fn paused_at(conn: &mut Conn, queue: &str) -> Result<Option<Timestamp>, DbError> {
    let paused_at: Option<Option<Timestamp>> =
        with!(conn, |c| queues::table.find(queue).select(queues::paused_at).first(c).await.optional())?;
    Ok(paused_at.flatten())
}

/// Pauses a queue; one that is paused stays so since when it was. `None`: there is none of that name; else
/// whether this changed anything.
///
/// # Errors
/// Those of the database.
pub async fn pause(tx: &mut Tx, queue: &str) -> Result<Option<bool>, DbError> {
    let Some(before) = paused_since(tx, queue).await? else { return Ok(None) };
    with!(tx.conn(), |c| {
        diesel::update(queues::table.find(queue))
            .set(queues::paused_at.eq(coalesce(queues::paused_at, now()).nullable()))
            .execute(c)
            .await
    })?;
    Ok(Some(before.is_none()))
}

/// Ends a pause. Answers as [`pause`].
///
/// # Errors
/// Those of the database.
pub async fn resume(tx: &mut Tx, queue: &str) -> Result<Option<bool>, DbError> {
    let Some(before) = paused_since(tx, queue).await? else { return Ok(None) };
    with!(tx.conn(), |c| {
        diesel::update(queues::table.find(queue))
            .set(queues::paused_at.eq(None::<Timestamp>))
            .execute(c)
            .await
    })?;
    bring_back(tx).await?;
    Ok(Some(before.is_some()))
}

/// What is brought back in one transaction.
const AT_ONCE: i64 = 1000;

/// Makes due what was put off because its queue was paused, and runs again: some of it. Returns how many; 0 when none
/// is left.
///
/// The end of a pause begins with it, and a sweep goes on: a look that read the pause may be committed after its end. An
/// operator's resume does not wait for the sweep.
pub(super) async fn bring_back(tx: &mut Tx) -> Result<usize, DbError> {
    let put_off: Vec<JobId> = with!(tx.conn(), |c| {
        let back = jobs::table
            .filter(sql::<Bool>(ANY_LANE))
            .filter(jobs::due_at.is_not_null())
            .filter(jobs::due_at.ge(FAR))
            .filter(sql::<Bool>(NOT_PAUSED))
            .limit(AT_ONCE)
            .select(jobs::id);
        for_update_skip_locked(back).load(c).await
    })?;
    if put_off.is_empty() {
        return Ok(0);
    }
    let back = with!(tx.conn(), |c| {
        // In the order that they had.
        let at = case_when(jobs::state.eq(JobState::Pending), jobs::run_at).otherwise(now());
        diesel::update(jobs::table.filter(jobs::id.eq_any(&put_off)))
            .set(jobs::due_at.eq(at.nullable()))
            .execute(c)
            .await
    })?;
    tx.after_commit().wake_relay();
    Ok(back)
}

/// So the index of what is due finds those that are due last: it has the lane first.
const ANY_LANE: &str = "(CASE WHEN jobs.express OR jobs.woken THEN 0 ELSE 1 END) IN (0, 1)";

/// What is in quarantine is held by a pause of that, too.
pub(super) const NOT_PAUSED: &str = "jobs.queue NOT IN (SELECT name FROM queues WHERE paused_at IS NOT NULL) \
                                     AND (jobs.lapses < 2 OR 'quarantine' NOT IN \
                                     (SELECT name FROM queues WHERE paused_at IS NOT NULL))";

/// The row is locked until the transaction ends.
async fn paused_since(tx: &mut Tx, queue: &str) -> Result<Option<Option<Timestamp>>, DbError> {
    let rows: Vec<Option<Timestamp>> = with!(tx.conn(), |c| {
        for_update(queues::table.find(queue).select(queues::paused_at)).load(c).await
    })?;
    Ok(rows.into_iter().next())
}
