//! Enqueue: the job's row is written in the transaction of the business rows that it is about, so
//! that there is never one without the other.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::Job;
use super::relay::{FIRST_REPUBLISH, publication};
use crate::db::expressions::{now, now_plus};
use crate::db::schema::jobs;
use crate::db::{DbError, Tx, with};
use crate::domain::job::JobState;
use crate::domain::{CustomerId, JobId};
use crate::jobs::Kind;

/// What may differ between two jobs of one kind.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The row's id, where the caller needs it before the row exists.
    pub id: Option<JobId>,
    /// Who may see and cancel it.
    pub owner: Option<CustomerId>,
    /// Not before so long from now.
    pub delay: Duration,
    /// W3C Trace Context of the request that caused it.
    pub traceparent: Option<String>,
}

/// Writes a job that exists if and only if the transaction commits.
///
/// A job that is due at once is born `queued`, and the relay of this process publishes it after the
/// commit; should that be lost, the row is published again in 15 s by any process.
///
/// # Errors
/// Those of the database.
pub async fn enqueue<K: Kind>(tx: &mut Tx, args: &K, options: Options) -> Result<Job, DbError> {
    let id = options.id.unwrap_or_else(JobId::new);
    let args = serde_json::to_value(args)
        .map_err(|e| DbError::Other(diesel::result::Error::SerializationError(e.into())))?;
    let due = options.delay.is_zero();
    let state = if due { JobState::Queued } else { JobState::Pending };
    let republish_at = due.then(|| now_plus(FIRST_REPUBLISH));
    let job: Job = with!(tx.conn(), |c| {
        diesel::insert_into(jobs::table)
            .values((
                (
                    jobs::id.eq(id),
                    jobs::kind.eq(K::NAME),
                    jobs::queue.eq(K::QUEUE.name()),
                    jobs::args.eq(&args),
                    jobs::state.eq(state),
                    jobs::max_attempts.eq(K::MAX_ATTEMPTS),
                    jobs::errors.eq(json!([])),
                ),
                (
                    jobs::run_at.eq(now_plus(options.delay)),
                    jobs::owner.eq(options.owner),
                    jobs::traceparent.eq(options.traceparent.as_deref()),
                    jobs::created_at.eq(now()),
                    jobs::updated_at.eq(now()),
                ),
                republish_at.map(|at| jobs::republish_at.eq(at.nullable())),
            ))
            .returning(Job::as_returning())
            .get_result(c)
            .await
    })?;
    match publication(&job) {
        Some(publication) if due => tx.after_commit().publish(publication),
        _ => tx.after_commit().wake_relay(),
    }
    Ok(job)
}
