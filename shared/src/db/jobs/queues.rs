//! The queues that exist, so that a worker on `*` learns of one that was named after it started, and which of them
//! are paused.
//!
//! A paused queue hands nothing to the broker: its jobs stay `pending`. Workers give their subscriptions back and
//! finish what they run. Messages that were out already stay in the broker, where nobody takes them.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::expressions::{coalesce, for_update, now};
use crate::db::schema::queues;
use crate::db::{Conn, DbError, Tx, with};
use crate::domain::Timestamp;
use crate::jobs::Queue;

/// Writes down that these queues exist.
///
/// # Errors
/// Those of the database.
pub async fn register(conn: &mut Conn, names: &[Queue]) -> Result<(), DbError> {
    for queue in names {
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

/// A queue's row, if it is paused.
#[diesel::dsl::auto_type]
pub(super) fn is_paused(queue: Queue) -> _ {
    let name: &'static str = queue.name();
    queues::table.filter(queues::name.eq(name)).filter(queues::paused_at.is_not_null())
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
    tx.after_commit().wake_relay();
    Ok(Some(before.is_some()))
}

/// The row is locked until the transaction ends.
async fn paused_since(tx: &mut Tx, queue: &str) -> Result<Option<Option<Timestamp>>, DbError> {
    let rows: Vec<Option<Timestamp>> = with!(tx.conn(), |c| {
        for_update(queues::table.find(queue).select(queues::paused_at)).load(c).await
    })?;
    Ok(rows.into_iter().next())
}
