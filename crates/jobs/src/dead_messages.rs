//! Messages that are no envelope of ours: kept for a person to look at, then acknowledged.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::schema::dead_messages;
use database::expressions::{last, now};
use database::{Conn, DbError, with};
use model::{JobId, StoredText, Timestamp};

/// Keeps the bytes of a message and why they could not be read.
///
/// # Errors
/// Those of the database; then the message must not be acknowledged.
pub async fn keep(conn: &mut Conn, queue: &str, body: &[u8], error: &str) -> Result<(), DbError> {
    with!(conn, |c| {
        diesel::insert_into(dead_messages::table)
            .values((
                dead_messages::id.eq(JobId(Uuid::now_v7())),
                dead_messages::queue.eq(queue),
                dead_messages::body.eq(body),
                // It may repeat what could not be read.
                dead_messages::error.eq(StoredText::from(error).as_str()),
                dead_messages::at.eq(now()),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// How many are kept.
///
/// # Errors
/// Those of the database.
pub async fn count(conn: &mut Conn) -> Result<i64, DbError> {
    Ok(with!(conn, |c| dead_messages::table.count().get_result(c).await)?)
}

/// A message that is kept.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = dead_messages)]
pub struct DeadMessage {
    /// In the order of time.
    pub id: JobId,
    /// Where it came.
    pub queue: String,
    /// Its bytes.
    pub body: Vec<u8>,
    /// Why it could not be read.
    pub error: String,
    /// When it came.
    pub at: Timestamp,
}

/// How many there are of each queue and error, and when the newest came; the largest groups first.
///
/// # Errors
/// Those of the database.
pub async fn groups(conn: &mut Conn, limit: i64) -> Result<Vec<(String, String, i64, Timestamp)>, DbError> {
    Ok(with!(conn, |c| {
        dead_messages::table
            .group_by((dead_messages::queue, dead_messages::error))
            .order((count_star().desc(), dead_messages::queue, dead_messages::error))
            .limit(limit)
            .select((dead_messages::queue, dead_messages::error, count_star(), last(dead_messages::at)))
            .load(c)
            .await
    })?)
}

/// The newest, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn page(conn: &mut Conn, before: Option<JobId>, limit: i64) -> Result<Vec<DeadMessage>, DbError> {
    Ok(with!(conn, |c| {
        let mut kept = dead_messages::table
            .order(dead_messages::id.desc())
            .limit(limit)
            .select(DeadMessage::as_select())
            .into_boxed();
        if let Some(before) = before {
            kept = kept.filter(dead_messages::id.lt(before));
        }
        kept.load(c).await
    })?)
}

/// Removes those of a queue and an error. Returns how many.
///
/// # Errors
/// Those of the database.
pub async fn remove(conn: &mut Conn, queue: &str, error: &str) -> Result<usize, DbError> {
    Ok(with!(conn, |c| {
        let of = dead_messages::table
            .filter(dead_messages::queue.eq(queue))
            .filter(dead_messages::error.eq(error));
        diesel::delete(of).execute(c).await
    })?)
}
