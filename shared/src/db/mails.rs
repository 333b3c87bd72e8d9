//! Which mails went to whom: the limit per recipient counts them.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::{now, now_minus};
use super::schema::mails_sent;
use super::{Conn, DbError, with};
use crate::domain::{EmailAddress, JobId};

/// How many mails this recipient got within the last `window`.
///
/// # Errors
/// Those of the database.
pub async fn sent_within(
    conn: &mut Conn,
    recipient: &EmailAddress,
    window: Duration,
) -> Result<i64, DbError> {
    Ok(with!(conn, |c| {
        mails_sent::table
            .filter(mails_sent::recipient.eq(recipient.as_str().to_lowercase()))
            .filter(mails_sent::at.gt(now_minus(window)))
            .count()
            .get_result(c)
            .await
    })?)
}

/// Whether this job's mail was handed over by an earlier run of it.
///
/// # Errors
/// Those of the database.
pub async fn was_sent(conn: &mut Conn, job: JobId) -> Result<bool, DbError> {
    let count: i64 = with!(conn, |c| {
        mails_sent::table.filter(mails_sent::job_id.eq(job)).count().get_result(c).await
    })?;
    Ok(count > 0)
}

/// Writes down that this job's mail was handed over.
///
/// # Errors
/// Those of the database.
pub async fn record(conn: &mut Conn, job: JobId, recipient: &EmailAddress) -> Result<(), DbError> {
    with!(conn, |c| {
        diesel::insert_into(mails_sent::table)
            .values((
                mails_sent::job_id.eq(job),
                mails_sent::recipient.eq(recipient.as_str().to_lowercase()),
                mails_sent::at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    Ok(())
}
