//! Messages that are no envelope of ours: kept for a person to look at, then acknowledged.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use super::expressions::now;
use super::schema::dead_messages;
use super::{Conn, DbError, with};
use crate::domain::JobId;

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
                // A message may repeat what it could not read, and PostgreSQL's texts hold no such character.
                dead_messages::error.eq(error.replace('\0', "\u{fffd}")),
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
