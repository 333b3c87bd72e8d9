//! What is left of jobs that are no longer kept: enough to tell those who may know.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::schema::expired_jobs;
use database::{Conn, DbError, with};
use model::JobId;
use model::OwnerId;

/// A job that there was.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct ExpiredJob {
    /// The customer who might see it.
    pub owner: Option<OwnerId>,
    /// The machine that started it.
    pub source: Option<String>,
}

/// What is left of a job, if it was removed and not too long ago.
///
/// # Errors
/// Those of the database.
pub async fn find(conn: &mut Conn, id: JobId) -> Result<Option<ExpiredJob>, DbError> {
    Ok(with!(conn, |c| {
        expired_jobs::table
            .find(id)
            .select((expired_jobs::owner, expired_jobs::source))
            .first(c)
            .await
            .optional()
    })?)
}
