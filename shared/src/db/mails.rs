//! Which mails go to whom: the limit per recipient counts them, and a mail that was handed over is not
//! handed over again.

use std::time::Duration;

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::{mail_recipients, mails};
use database::expressions::{now, now_minus};
use database::{Conn, DbError, Tx, with};
use database::{commit_with, together};
use model::JobId;
use platform::EmailAddress;

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

/// Takes a place for this job's mail, if the recipient got fewer than `limit` within the last `window`, and commits.
///
/// The recipient's row is locked for it, so that mails which are sent at the same time count each other.
///
/// # Errors
/// Those of the database.
pub async fn take_place(
    mut tx: Tx,
    job: JobId,
    recipient: &EmailAddress,
    limit: i64,
    window: Duration,
) -> Result<Place, DbError> {
    let recipient = recipient.as_str().to_lowercase();
    let (_, (sent, recent)) = together!(
        tx.conn(),
        // A row that is there is locked, and nothing of it is written: no recipient differs from itself.
        locked = |c| diesel::query_dsl::methods::FilterDsl::filter(
            diesel::insert_into(mail_recipients::table)
                .values(mail_recipients::recipient.eq(&recipient))
                .on_conflict(mail_recipients::recipient)
                .do_update()
                .set(mail_recipients::recipient.eq(excluded(mail_recipients::recipient))),
            mail_recipients::recipient.ne(excluded(mail_recipients::recipient)),
        )
        .execute(c),
        // In a statement after the lock, it sees the mails of those whom the lock waited for.
        found = |c| diesel::select((
            mails::table.find(job).select(mails::sent).single_value(),
            mails::table
                .filter(mails::recipient.eq(&recipient))
                .filter(mails::at.gt(now_minus(window)))
                .count()
                .single_value()
                .assume_not_null(),
        ))
        .get_result::<(Option<bool>, i64)>(c),
    )?;
    let place = match sent {
        Some(true) => Place::Sent,
        Some(false) => Place::PerhapsSent,
        None if recent >= limit => Place::Full,
        None => Place::Taken,
    };
    if place != Place::Taken {
        tx.commit().await?;
        return Ok(place);
    }
    commit_with!(
        tx,
        taken = |c| diesel::insert_into(mails::table)
            .values((
                mails::job_id.eq(job),
                mails::recipient.eq(&recipient),
                mails::at.eq(now()),
                mails::sent.eq(false),
            ))
            .execute(c),
    )?;
    Ok(place)
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
