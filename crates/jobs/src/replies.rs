//! Who is told when a job is over: reply queues. The telling is a job of its own, enqueued in the
//! transaction that ends the first one, so that no end goes untold.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::enqueue::{Options, enqueue};
use crate::kinds::{Reply, SendReply};
use crate::schema::{job_replies, jobs};
use database::{DbError, Tx, with};
use model::JobId;
use model::job::JobState;

/// Has the end of a job told to a reply queue; at once, if it is over already.
///
/// # Errors
/// Those of the database.
pub async fn when_over(
    tx: &mut Tx,
    job: JobId,
    reply_to: &str,
    correlation_id: Option<&str>,
) -> Result<(), DbError> {
    // Whoever ends the job locks this row first: its end comes wholly before or wholly after this look.
    let state: Option<JobState> = with!(tx.conn(), |c| {
        diesel::update(jobs::table.find(job))
            .set(jobs::has_callback.eq(true))
            .returning(jobs::state)
            .get_result(c)
            .await
            .optional()
    })?;
    let Some(state) = state else { return Ok(()) };
    if state.is_final() {
        return tell(tx, job, reply_to, correlation_id).await;
    }
    with!(tx.conn(), |c| {
        diesel::insert_into(job_replies::table)
            .values((
                job_replies::job_id.eq(job),
                job_replies::reply_to.eq(reply_to),
                job_replies::correlation_id.eq(correlation_id.unwrap_or_default()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    Ok(())
}

/// Tells everybody who asked. The job's row is locked and final.
pub(super) async fn finished(tx: &mut Tx, job: JobId) -> Result<(), DbError> {
    let asked: Vec<(String, String)> = with!(tx.conn(), |c| {
        diesel::delete(job_replies::table.filter(job_replies::job_id.eq(job)))
            .returning((job_replies::reply_to, job_replies::correlation_id))
            .get_results(c)
            .await
    })?;
    for (reply_to, correlation_id) in asked {
        let correlation_id = Some(correlation_id).filter(|id| !id.is_empty());
        tell(tx, job, &reply_to, correlation_id.as_deref()).await?;
    }
    Ok(())
}

async fn tell(tx: &mut Tx, job: JobId, reply_to: &str, correlation_id: Option<&str>) -> Result<(), DbError> {
    let reply = SendReply {
        reply_to: reply_to.to_owned(),
        correlation_id: correlation_id.map(str::to_owned),
        about: Reply::Job(job),
    };
    enqueue(tx, &reply, Options::default()).await?;
    Ok(())
}
