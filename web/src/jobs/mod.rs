//! Jobs, as those may see them for whom they are done.
//!
//! - [`hub`]: who waits for which job; [`reads`]: polls.
//! - [`pressure`]: how much may be unfinished.
//! - [`deliveries`]: the callbacks of a job.

pub mod api;
pub mod deliveries;
pub mod events;
pub mod hub;
pub mod pressure;
pub mod reads;
#[cfg(test)]
mod tests;

use ::jobs::cancel::CancelOutcome;
use ::jobs::subject::cancel_job;
use ::jobs::{Job, status};
use ::jobs::{expired_jobs, triggers};
use database::{Conn, Db};
use model::JobId;
use model::job::JobState;

pub use ::jobs::view::{JobLinks, JobView, ProgressView, job_etag};

use crate::auth::caller::Caller;
use crate::http::error::ApiError;
use crate::http::extract::Noun;

impl Noun for JobId {
    const NOUN: &'static str = "job";
}

/// Says in the log which job a request left: its trace leads from here to the worker's log. To be called after the
/// commit, within the request.
pub fn log_accepted(job: &JobView) {
    tracing::info!(job = job.links.this, "accepted");
}

/// What came of a wish to cancel a job.
#[derive(Debug)]
pub enum Cancellation {
    /// It was asked: what was done is undone. The job may still succeed before.
    Asked(Box<Job>),
    /// It is cancelled already.
    Known(Box<Job>),
}

/// Asks for a job's cancellation.
///
/// # Errors
/// Those of [`find_own`]; [`ApiError::Conflict`] when it is finished.
pub async fn cancel(db: &Db, caller: &Caller, id: JobId) -> Result<Cancellation, ApiError> {
    let known = find_own(db, caller, id).await?;
    let outcome = db
        .run(move |db| async move {
            let mut tx = db.begin().await?;
            let outcome = cancel_job(&mut tx, id).await?;
            tx.commit().await?;
            Ok::<_, ApiError>(outcome)
        })
        .await?;
    match outcome {
        CancelOutcome::Cancelled(job) | CancelOutcome::Requested(job) => Ok(Cancellation::Asked(job)),
        CancelOutcome::Over(JobState::Cancelled) => {
            let job = if known.state.is_final() { known } else { find_own(db, caller, id).await? };
            Ok(Cancellation::Known(Box::new(job)))
        }
        CancelOutcome::Over(_) => {
            Err(ApiError::Conflict("The job is finished: it can't be cancelled any more."))
        }
        CancelOutcome::Unknown => Err(ApiError::NotFound("job")),
    }
}

/// A job of this customer's, or of this machine's.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's or nobody's; [`ApiError::Gone`].
pub async fn find_own(db: &Db, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let caller = caller.clone();
    db.run(move |db| {
        let caller = caller.clone();
        async move {
            let mut conn = db.conn().await?;
            let Some(job) = status::find(&mut conn, id).await? else {
                return Err(absent(&mut conn, &caller, id).await?);
            };
            let may = match caller {
                Caller::Customer(customer) => job.owner == Some(customer.id),
                Caller::Machine(machine) => triggers::source_of(&mut conn, id).await? == Some(machine.name),
            };
            if may { Ok(job) } else { Err(ApiError::NotFound("job")) }
        }
    })
    .await
}

/// Why there is no job: there was one of this caller's, or none that they may know of.
async fn absent(conn: &mut Conn, caller: &Caller, id: JobId) -> Result<ApiError, ApiError> {
    let expired = expired_jobs::find(conn, id).await?;
    let may = expired.is_some_and(|expired| match caller {
        Caller::Customer(customer) => expired.owner == Some(customer.id),
        Caller::Machine(machine) => expired.source.as_ref() == Some(&machine.name),
    });
    Ok(if may { ApiError::Gone("job") } else { ApiError::NotFound("job") })
}
