//! What others may see of a job: the status resource.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::Job;
use crate::db::schema::jobs;
use crate::db::{Conn, DbError, with};
use crate::domain::JobId;
use crate::domain::job::{Failure, JobState};

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
            .filter(jobs::kind.eq(kind))
            .order(jobs::id)
            .select((jobs::id, jobs::state, jobs::failure))
            .load(c)
            .await
    })?)
}

/// How many jobs are in each state, by queue: for metrics. Final states are left out: they only grow.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_by_queue(conn: &mut Conn) -> Result<Vec<(String, JobState, i64)>, DbError> {
    use diesel::dsl::{count_star, sql};
    use diesel::sql_types::Bool;
    Ok(with!(conn, |c| {
        jobs::table
            .filter(sql::<Bool>("state IN ('pending', 'queued', 'running', 'waiting')"))
            .group_by((jobs::queue, jobs::state))
            .select((jobs::queue, jobs::state, count_star()))
            .load(c)
            .await
    })?)
}
