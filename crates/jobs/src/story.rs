//! What is written down about one job, for whoever looks into it: the parts of its row that its run does not
//! need, and its relations. Of many, only the first are read.

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::schema::{job_replies, job_waits, jobs};
use database::{Conn, DbError, with};
use model::job::{Failure, JobState};
use model::{JobId, Timestamp};

/// What [`crate::Job`] leaves out.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct Rest {
    /// When somebody looks at it, or looks again. None of what waits, is over, is parked or stands behind
    /// another in its line.
    pub due_at: Option<Timestamp>,
    /// The lane of which it is above its owner's share.
    pub parked: Option<String>,
    /// Its place in its line.
    pub ordering_seq: Option<i64>,
    /// Of this key one job at a time is unfinished.
    pub unique_key: Option<String>,
}

/// A job that has to do with another.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = jobs)]
pub struct Relative {
    /// Its id.
    pub id: JobId,
    /// See [`model::Kind::NAME`].
    pub kind: String,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it is `failed`.
    pub failure: Option<Failure>,
}

/// The first of a job's relatives, and how many there are.
#[derive(Debug, Clone, Default)]
pub struct Relatives {
    /// The first, by id.
    pub first: Vec<Relative>,
    /// All of them.
    pub count: i64,
}

/// What [`crate::Job`] leaves out of a job's row.
///
/// # Errors
/// Those of the database.
pub async fn rest(conn: &mut Conn, id: JobId) -> Result<Option<Rest>, DbError> {
    Ok(with!(conn, |c| jobs::table.find(id).select(Rest::as_select()).first(c).await.optional())?)
}

/// One job, as another sees it.
///
/// # Errors
/// Those of the database.
pub async fn relative(conn: &mut Conn, id: JobId) -> Result<Option<Relative>, DbError> {
    Ok(with!(conn, |c| jobs::table.find(id).select(Relative::as_select()).first(c).await.optional())?)
}

/// The parts of a job.
///
/// # Errors
/// Those of the database.
pub async fn children(conn: &mut Conn, parent: JobId, limit: i64) -> Result<Relatives, DbError> {
    let first = with!(conn, |c| {
        let parts = jobs::table.filter(jobs::parent.eq(parent)).order(jobs::id);
        parts.limit(limit).select(Relative::as_select()).load(c).await
    })?;
    let count =
        with!(conn, |c| jobs::table.filter(jobs::parent.eq(parent)).select(count_star()).first(c).await)?;
    Ok(Relatives { first, count })
}

/// What a job waits for, or waited for last.
///
/// # Errors
/// Those of the database.
pub async fn waits_for(conn: &mut Conn, waiter: JobId, limit: i64) -> Result<Relatives, DbError> {
    let first = with!(conn, |c| {
        job_waits::table
            .inner_join(jobs::table.on(jobs::id.eq(job_waits::on_job)))
            .filter(job_waits::waiter.eq(waiter))
            .order(job_waits::on_job)
            .limit(limit)
            .select(Relative::as_select())
            .load(c)
            .await
    })?;
    let count = with!(conn, |c| {
        job_waits::table.filter(job_waits::waiter.eq(waiter)).select(count_star()).first(c).await
    })?;
    Ok(Relatives { first, count })
}

/// Who waits for a job, or did last.
///
/// # Errors
/// Those of the database.
pub async fn awaited_by(conn: &mut Conn, awaited: JobId, limit: i64) -> Result<Relatives, DbError> {
    let first = with!(conn, |c| {
        job_waits::table
            .inner_join(jobs::table.on(jobs::id.eq(job_waits::waiter)))
            .filter(job_waits::on_job.eq(awaited))
            .order(job_waits::waiter)
            .limit(limit)
            .select(Relative::as_select())
            .load(c)
            .await
    })?;
    let count = with!(conn, |c| {
        job_waits::table.filter(job_waits::on_job.eq(awaited)).select(count_star()).first(c).await
    })?;
    Ok(Relatives { first, count })
}

/// The reply queues that are told of a job's end when it comes.
///
/// # Errors
/// Those of the database.
pub async fn reply_queues(conn: &mut Conn, job: JobId, limit: i64) -> Result<Vec<String>, DbError> {
    Ok(with!(conn, |c| {
        let asked = job_replies::table.filter(job_replies::job_id.eq(job)).order(job_replies::reply_to);
        asked.limit(limit).select(job_replies::reply_to).load(c).await
    })?)
}
