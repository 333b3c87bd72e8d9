//! Lines of jobs: of those with one ordering key, one at a time, in the order in which they were enqueued.
//!
//! A place in the line is taken in the enqueuing transaction, from a row that stays locked until it
//! commits: whoever commits first has the smaller place. Only the first of a line, its head, is due; those behind it
//! have no `due_at`. So a job in backoff keeps those behind it waiting, which is what an order is for: use
//! keys that are as narrow as what must be in order (the mails about one thing, not all of an owner).
//!
//! Whoever ends a job of a line locks the key's row after the job's, and in a *next* statement makes the one that is
//! first now due: a statement that waited for the key would not see who came meanwhile. It leaves out a row that
//! somebody holds (waiting for it deadlocks with whoever cancels it, who waits for the key), and a sweep mends lines
//! that were left without a head. Whoever holds a key's row waits for no job's row.
//!
//! The place is taken before the job is written, so the statement that writes it knows who stands in the line: one that is
//! its first goes out as any other job does.

use diesel::dsl::{case_when, sql};
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use diesel_async::RunQueryDsl;

use crate::schema::{jobs, ordering_keys};
use database::expressions::{for_update, for_update_skip_locked, is_one_of, now};
use database::{Conn, Db, DbError, Tx, with};
use model::JobId;
use model::job::JobState;
use model::sql_types::Id;

/// Begins the question whether somebody stands in a line: its key comes next, and a bracket.
pub(super) const SOMEBODY_IS_IN_LINE: &str = "EXISTS (SELECT 1 FROM jobs AS open WHERE open.ordering_open = ";

/// Takes the next place in a line. The key's row stays locked until the transaction ends.
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

/// Makes the first of a line due, if it is not under way. The row of the job that left the line is written by now.
pub(super) async fn pass_on_turn(tx: &mut Tx, key: &str) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        for_update(ordering_keys::table.find(key).select(ordering_keys::key)).load::<String>(c).await
    })?;
    let next: Vec<JobId> = with!(tx.conn(), |c| {
        let first = sql::<Nullable<Id>>("(SELECT head.id FROM jobs AS head WHERE head.ordering_open = ")
            .bind::<Text, _>(key)
            .sql(" ORDER BY head.ordering_seq LIMIT 1)");
        let idle = jobs::table
            .filter(jobs::id.nullable().eq(first))
            .filter(jobs::state.eq(JobState::Pending))
            .filter(jobs::due_at.is_null())
            .filter(jobs::parked.is_null())
            .select(jobs::id);
        for_update_skip_locked(idle).load(c).await
    })?;
    if next.is_empty() {
        return Ok(());
    }
    with!(tx.conn(), |c| {
        let at = case_when(jobs::cancel_requested_at.is_null(), jobs::run_at).otherwise(now());
        diesel::update(jobs::table.filter(is_one_of(&next)))
            .set(jobs::due_at.eq(at.nullable()))
            .execute(c)
            .await
    })?;
    tx.after_commit().wake_relay();
    Ok(())
}

/// Gives every line a head that has none: its first was locked when its turn came. Returns how many.
pub(super) async fn mend_lines(db: &Db) -> Result<usize, DbError> {
    let headless = headless(&mut db.conn().await?).await?;
    let mut mended = 0;
    for key in &headless {
        let passed_on = async {
            let mut tx = db.begin().await?;
            pass_on_turn(&mut tx, key).await?;
            tx.commit().await
        };
        match passed_on.await {
            Ok(()) => mended += 1,
            Err(error) if error.may_pass() => return Err(error),
            Err(error) => tracing::error!(key, %error, "a line has no head, and could not be given one"),
        }
    }
    Ok(mended)
}

async fn headless(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    const FIRST: &str = "NOT EXISTS (SELECT 1 FROM jobs AS earlier WHERE earlier.ordering_open = jobs.ordering_open \
                         AND earlier.ordering_seq < jobs.ordering_seq)";
    Ok(with!(conn, |c| {
        jobs::table
            .filter(jobs::ordering_open.is_not_null())
            .filter(jobs::state.eq(JobState::Pending))
            .filter(jobs::due_at.is_null())
            .filter(jobs::parked.is_null())
            .filter(sql::<Bool>(FIRST))
            .select(jobs::ordering_open.assume_not_null())
            .load(c)
            .await
    })?)
}
