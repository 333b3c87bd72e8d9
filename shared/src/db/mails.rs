//! Which mails go to whom: the limit per recipient counts them, and a mail that was handed over is not
//! handed over again.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::{for_update, now, now_minus};
use super::schema::{mail_recipients, mails};
use super::{Conn, DbError, Tx, with};
use crate::domain::{EmailAddress, JobId};

/// Whether a mail may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has a place within the limit.
    Taken,
    /// It has one since an earlier try, which neither gave it back nor wrote down that the mail was
    /// sent: the mail may have gone.
    PerhapsSent,
    /// It was handed over by an earlier try.
    Sent,
    /// The recipient got as many as they may.
    Full,
}

/// Takes a place for this job's mail, if the recipient got fewer than `limit` within the last `window`.
///
/// The recipient's row is locked for it, so that mails which are sent at the same time count each other.
///
/// # Errors
/// Those of the database.
pub async fn take_place(
    tx: &mut Tx,
    job: JobId,
    recipient: &EmailAddress,
    limit: i64,
    window: Duration,
) -> Result<Place, DbError> {
    let recipient = recipient.as_str().to_lowercase();
    loop {
        with!(tx.conn(), |c| {
            diesel::insert_into(mail_recipients::table)
                .values(mail_recipients::recipient.eq(&recipient))
                .on_conflict_do_nothing()
                .execute(c)
                .await
        })?;
        let locked: Vec<String> = with!(tx.conn(), |c| {
            let row = mail_recipients::table.filter(mail_recipients::recipient.eq(&recipient));
            for_update(row.select(mail_recipients::recipient)).load(c).await
        })?;
        // None: one that was unused was removed between the two statements.
        if !locked.is_empty() {
            break;
        }
    }
    let known: Option<bool> =
        with!(tx.conn(), |c| mails::table.find(job).select(mails::sent).first(c).await.optional())?;
    match known {
        Some(true) => return Ok(Place::Sent),
        Some(false) => return Ok(Place::PerhapsSent),
        None => {}
    }
    let recent: i64 = with!(tx.conn(), |c| {
        let recent =
            mails::table.filter(mails::recipient.eq(&recipient)).filter(mails::at.gt(now_minus(window)));
        recent.count().get_result(c).await
    })?;
    if recent >= limit {
        return Ok(Place::Full);
    }
    with!(tx.conn(), |c| {
        diesel::insert_into(mails::table)
            .values((
                mails::job_id.eq(job),
                mails::recipient.eq(&recipient),
                mails::at.eq(now()),
                mails::sent.eq(false),
            ))
            .execute(c)
            .await
    })?;
    Ok(Place::Taken)
}

/// Gives the place of a mail back that was certainly not sent: what is left unsent in the table may
/// have gone.
///
/// # Errors
/// Those of the database.
pub async fn give_place_back(tx: &mut Tx, job: JobId) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::delete(mails::table.find(job).filter(mails::sent.eq(false))).execute(c).await
    })?;
    Ok(())
}

/// Writes down that this job's mail was handed over.
///
/// # Errors
/// Those of the database.
pub async fn mark_sent(conn: &mut Conn, job: JobId) -> Result<(), DbError> {
    with!(conn, |c| diesel::update(mails::table.find(job)).set(mails::sent.eq(true)).execute(c).await)?;
    Ok(())
}
