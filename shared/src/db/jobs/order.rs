//! Lines of jobs: of those with one ordering key, one at a time, in the order in which they were enqueued.
//!
//! A place in the line is taken in the enqueuing transaction, from a row that stays locked until it
//! commits: whoever commits first has the smaller place. A job's turn comes when no unfinished one has a
//! smaller place. So a job in backoff keeps those behind it waiting, which is what an order is for: use
//! keys that are as narrow as what must be in order (one order's mails, not a customer's).
//!
//! Such a job is never born `queued`. The relay alone moves it, when it is its turn.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::ordering_keys;
use crate::db::{DbError, Tx, with};

/// Takes the next place in a line.
pub(super) async fn take_place(tx: &mut Tx, key: &str) -> Result<i64, DbError> {
    Ok(with!(tx.conn(), |c| {
        diesel::insert_into(ordering_keys::table)
            .values((ordering_keys::key.eq(key), ordering_keys::last_seq.eq(1)))
            .on_conflict(ordering_keys::key)
            .do_update()
            .set(ordering_keys::last_seq.eq(ordering_keys::last_seq + 1))
            .returning(ordering_keys::last_seq)
            .get_result(c)
            .await
    })?)
}
