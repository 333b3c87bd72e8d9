//! Callbacks: a change of a job's status enqueues the delivery that tells of it, in the same transaction.
//!
//! Every statement that changes a job's state calls `status_changed`, or `is_now` where it has the row. (But
//! for one: a job that a program does not know is put back for a newer one, and nobody is told of that.) A job
//! without a callback costs them nothing: the flag is in the row that they have. Whether there is something
//! to tell is decided here alone, by the status that was told last; the job's row is locked meanwhile, so no
//! two decide at once. The deliveries of one job stand in a line: they come in order. Reply queues are told here,
//! too, see [`replies`].

use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

use crate::enqueue::{Options, enqueue};
use crate::kinds::DeliverCallback;
use crate::schema::job_callbacks;
use crate::view::status_name;
use crate::{Job, replies, status};
use database::{DbError, Tx, with};
use model::JobId;
use platform::callbacks::{Callback, CallbackOn};

/// Writes down who is to be told of a job that is just enqueued.
pub async fn ask_for(tx: &mut Tx, job: &Job, callback: &Callback) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::insert_into(job_callbacks::table)
            .values((
                job_callbacks::job_id.eq(job.id),
                job_callbacks::url.eq(callback.url.as_str()),
                job_callbacks::every_change.eq(callback.on == CallbackOn::EveryChange),
                job_callbacks::last_status.eq(status_name(job.state)),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// As `is_now`, for whoever changed the row without reading it.
pub(super) async fn status_changed(tx: &mut Tx, id: JobId) -> Result<(), DbError> {
    match status::find(tx, id).await? {
        Some(job) => is_now(tx, &job).await,
        None => Ok(()),
    }
}

/// Tells whoever wants to know that a job is now as this row says. The row is locked by `tx`.
pub(super) async fn is_now(tx: &mut Tx, job: &Job) -> Result<(), DbError> {
    if !job.has_callback {
        return Ok(());
    }
    if job.state.is_final() {
        replies::finished(tx, job.id).await?;
    }
    let now = status_name(job.state);
    let to_tell = with!(tx.conn(), |c| {
        let listening = job_callbacks::table
            .filter(job_callbacks::job_id.eq(job.id))
            .filter(job_callbacks::stopped_at.is_null())
            .filter(job_callbacks::last_status.ne(now))
            .filter(job_callbacks::every_change.or(job.state.is_final().into_sql::<Bool>()));
        diesel::update(listening).set(job_callbacks::last_status.eq(now)).execute(c).await
    })?;
    if to_tell > 0 {
        let options = Options {
            owner: job.owner,
            traceparent: job.traceparent.clone(),
            express: job.express,
            ordering_key: Some(format!("callback:{}", job.id)),
            ..Options::default()
        };
        enqueue(tx, &DeliverCallback::of(job), options).await?;
    }
    Ok(())
}
