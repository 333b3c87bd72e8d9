//! What others may see of a job: the status resource.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;

use super::{Job, UNFINISHED};
use crate::db::expressions::now_minus;
use crate::db::schema::jobs;
use crate::db::sql_types::Id;
use crate::db::{Conn, DbError, with};
use crate::domain::job::{Failure, JobState};
use crate::domain::{CustomerId, JobId};
use crate::jobs::{Queue, names_of};

/// A job's row.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<Job>, DbError> {
    Ok(with!(conn, |c| jobs::table.find(id).select(Job::as_select()).first(c).await.optional())?)
}

/// Several rows in one look.
///
/// # Errors
/// Those of the database.
pub async fn find_many(conn: &mut Conn, ids: &[JobId]) -> Result<Vec<Job>, DbError> {
    Ok(with!(conn, |c| jobs::table.filter(jobs::id.eq_any(ids)).select(Job::as_select()).load(c).await)?)
}

/// The parts of a job that are not over, newest first.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_children(conn: &mut Conn, parent: JobId) -> Result<Vec<JobId>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(jobs::parent.eq(parent))
            .filter(jobs::state.ne_all(JobState::FINAL))
            .order(jobs::id.desc())
            .select(jobs::id)
            .load(c)
            .await
    })?)
}

/// The parts of a job that are of one kind, with where each is in its life, in the order of their making.
///
/// # Errors
/// Those of the database.
pub async fn children(
    conn: &mut Conn,
    parent: JobId,
    kind: &str,
) -> Result<Vec<(JobId, JobState, Option<Failure>)>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(jobs::parent.eq(parent))
            .filter(jobs::kind.eq_any(names_of(kind)))
            .order(jobs::id)
            .select((jobs::id, jobs::state, jobs::failure))
            .load(c)
            .await
    })?)
}

/// Work that is there, as opposed to what is planned for later: a review request that goes out tomorrow is
/// nobody's queue today.
const NOT_PLANNED: &str = "NOT (state = 'pending' AND started_at IS NULL AND run_at > created_at)";

/// How many unfinished jobs a customer has, up to `limit`. Callbacks are left out: that a receiver is away must
/// not keep its owner from ordering.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_of(conn: &mut Conn, owner: CustomerId, limit: i64) -> Result<i64, DbError> {
    // Diesel has no subselect to count from, and to fetch the ids in order to count them costs both sides.
    let some = sql::<BigInt>("(SELECT count(*) FROM (SELECT 1 FROM jobs WHERE ")
        .sql(UNFINISHED)
        .sql(" AND ")
        .sql(NOT_PLANNED)
        .sql(" AND owner = ")
        .bind::<Id, _>(owner)
        .sql(" AND queue <> ")
        .bind::<Text, _>(Queue::CALLBACKS.name())
        .sql(" LIMIT ")
        .bind::<BigInt, _>(limit)
        .sql(") AS counted)");
    with!(conn, |c| diesel::select(some).get_result(c).await)
}

/// How many jobs are unfinished, and how many ended within the last `window`.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_and_ended(conn: &mut Conn, window: Duration) -> Result<(i64, i64), DbError> {
    let unfinished = with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>(UNFINISHED))
            .filter(sql::<Bool>(NOT_PLANNED))
            .count()
            .get_result(c)
            .await
    })?;
    let ended = with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>("state IN ('succeeded', 'failed', 'cancelled')"))
            .filter(jobs::updated_at.gt(now_minus(window)))
            .count()
            .get_result(c)
            .await
    })?;
    Ok((unfinished, ended))
}
