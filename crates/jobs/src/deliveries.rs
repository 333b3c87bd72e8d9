//! Who is told of a job, and the log of each call that was made. When there is something to tell:
//! [`crate::callbacks`].

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::schema::{job_callbacks, webhook_deliveries};
use database::expressions::now;
use database::{Conn, DbError, Tx, with};
use model::{JobId, StoredText, Timestamp};

/// The receiver of a job's changes.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = job_callbacks)]
pub struct Receiver {
    /// Where it listens.
    pub url: String,
    /// Whether it is told each change, and not only the end.
    pub every_change: bool,
    /// When it asked not to be called any more.
    pub stopped_at: Option<Timestamp>,
}

/// A call that was made.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = webhook_deliveries)]
pub struct Delivery {
    /// The job that made it: the message's id.
    pub delivery_id: JobId,
    /// The status that it told.
    pub told: String,
    /// Which attempt it was.
    pub attempt: i32,
    /// When it was over.
    pub at: Timestamp,
    /// What the receiver answered.
    pub status: Option<i32>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

/// A call that was just made.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The job that made it.
    pub delivery_id: JobId,
    /// Its fence.
    pub fence: i64,
    /// Which attempt it was.
    pub attempt: i32,
    /// The job that it is about.
    pub job_id: JobId,
    /// The status that it told.
    pub told: &'a str,
    /// The receiver's status, or why there is none.
    pub answer: Result<u16, &'a str>,
    /// How long it took.
    pub took: Duration,
}

/// Who is told of a job.
///
/// # Errors
/// Those of the database.
pub async fn receiver(conn: &mut Conn, job: JobId) -> Result<Option<Receiver>, DbError> {
    Ok(with!(conn, |c| {
        job_callbacks::table.find(job).select(Receiver::as_select()).first(c).await.optional()
    })?)
}

/// The last `limit` calls about a job, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn of_job(conn: &mut Conn, job: JobId, limit: i64) -> Result<Vec<Delivery>, DbError> {
    Ok(with!(conn, |c| {
        webhook_deliveries::table
            .filter(webhook_deliveries::job_id.eq(job))
            .order((webhook_deliveries::at.desc(), webhook_deliveries::delivery_id.desc()))
            .limit(limit)
            .select(Delivery::as_select())
            .load(c)
            .await
    })?)
}

/// Writes a call down; `stop` also writes that the receiver wants no more.
///
/// # Errors
/// Those of the database.
pub async fn record(tx: &mut Tx, call: Call<'_>, stop: bool) -> Result<(), DbError> {
    let (status, error) = match call.answer {
        Ok(status) => (Some(i32::from(status)), None),
        Err(error) => (None, Some(StoredText::from(error))),
    };
    with!(tx.conn(), |c| {
        diesel::insert_into(webhook_deliveries::table)
            .values((
                webhook_deliveries::delivery_id.eq(call.delivery_id),
                webhook_deliveries::fence.eq(call.fence),
                webhook_deliveries::job_id.eq(call.job_id),
                webhook_deliveries::told.eq(call.told),
                webhook_deliveries::attempt.eq(call.attempt),
                webhook_deliveries::at.eq(now()),
                webhook_deliveries::status.eq(status),
                webhook_deliveries::error.eq(error.as_deref()),
                webhook_deliveries::duration_ms.eq(i64::try_from(call.took.as_millis()).unwrap_or(i64::MAX)),
            ))
            .execute(c)
            .await
    })?;
    if stop {
        with!(tx.conn(), |c| {
            diesel::update(job_callbacks::table.find(call.job_id))
                .set(job_callbacks::stopped_at.eq(now().nullable()))
                .execute(c)
                .await
        })?;
    }
    Ok(())
}
