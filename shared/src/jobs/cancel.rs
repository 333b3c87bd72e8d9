//! Cancelling a job, and what that means for its subject.

use crate::db::jobs::Job;
use crate::db::jobs::cancel::{CancelOutcome, cancel};
use crate::db::jobs::dead::{Discarded, Refusal, discard};
use crate::db::jobs::enqueue::{Options, enqueue};
use crate::db::{DbError, Tx, orders, photos};
use crate::domain::order::OrderStatus;
use model::JobId;

use super::{EmailTemplate, FulfilOrder, MakeThumbnails, SendEmail};
use model::Kind;

/// Cancels a job. If that takes effect at once, its subject is marked in the same transaction.
///
/// # Errors
/// Those of the database.
pub async fn cancel_job(tx: &mut Tx, id: JobId) -> Result<CancelOutcome, DbError> {
    let outcome = cancel(tx, id).await?;
    if let CancelOutcome::Cancelled(job) = &outcome {
        mark_subject_cancelled(tx, job).await?;
    }
    Ok(outcome)
}

/// Gives a dead job up. If that takes effect at once, its subject is marked in the same transaction.
///
/// # Errors
/// Those of [`discard`].
pub async fn discard_job(tx: &mut Tx, id: JobId) -> Result<Result<Discarded, Refusal>, DbError> {
    let outcome = discard(tx, id).await?;
    if let Ok(Discarded::Cancelled(job)) = &outcome {
        mark_subject_cancelled(tx, job).await?;
    }
    Ok(outcome)
}

/// Marks what a job was about, when it ends `cancelled` with nothing to undo, and tells the customer.
///
/// # Errors
/// Those of the database.
pub async fn mark_subject_cancelled(tx: &mut Tx, job: &Job) -> Result<(), DbError> {
    match job.kind_name() {
        MakeThumbnails::NAME => {
            if let Ok(args) = job.read_args::<MakeThumbnails>() {
                photos::set_rejected(tx, args.photo_id, "cancelled").await?;
            }
        }
        FulfilOrder::NAME => {
            if let Ok(args) = job.read_args::<FulfilOrder>() {
                orders::set_status(tx, args.order_id, OrderStatus::Cancelled, None).await?;
                let mail = SendEmail { order_id: args.order_id, template: EmailTemplate::OrderCancelled };
                let options = Options {
                    owner: job.owner,
                    traceparent: job.traceparent.clone(),
                    ordering_key: Some(SendEmail::line(args.order_id)),
                    ..Options::default()
                };
                enqueue(tx, &mail, options).await?;
            }
        }
        _ => {}
    }
    Ok(())
}
