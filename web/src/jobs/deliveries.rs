//! The callbacks of a job, as they were made.

use ::jobs::deliveries::{self, Delivery, Receiver};
use chrono::{DateTime, Utc};
use database::{Conn, DbError};
use model::JobId;
use platform::callbacks::CallbackOn;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many calls are shown.
const SHOWN: i64 = 100;

/// Who is told of a job, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveriesView {
    /// Who is told; `null` when nobody is.
    pub callback: Option<CallbackView>,
    /// The calls that were made, the newest first; of many, the last 100.
    pub deliveries: Vec<DeliveryView>,
}

/// Who is told of a job.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallbackView {
    /// Where it listens.
    pub url: String,
    /// `every_change` or `end`.
    pub on: &'static str,
    /// When it answered 410: since then it is told nothing.
    pub stopped_at: Option<DateTime<Utc>>,
}

/// A call that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    /// Its `webhook-id`: the same for every attempt.
    pub id: Uuid,
    /// The job's status that it told.
    pub told: String,
    /// Which attempt it was.
    pub attempt: i32,
    /// When it was over.
    pub at: DateTime<Utc>,
    /// What the receiver answered.
    pub status: Option<i32>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

impl From<Receiver> for CallbackView {
    fn from(receiver: Receiver) -> Self {
        let on = if receiver.every_change { CallbackOn::EveryChange } else { CallbackOn::End };
        let stopped_at = receiver.stopped_at.map(|at| at.0);
        Self { url: receiver.url, on: on.name(), stopped_at }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.delivery_id.0,
            told: delivery.told,
            attempt: delivery.attempt,
            at: delivery.at.0,
            status: delivery.status,
            error: delivery.error,
            duration_ms: delivery.duration_ms,
        }
    }
}

/// A job's callback and its deliveries.
///
/// # Errors
/// Those of the database.
pub async fn read(conn: &mut Conn, job: JobId) -> Result<DeliveriesView, DbError> {
    let callback = deliveries::receiver(conn, job).await?.map(CallbackView::from);
    let made = deliveries::of_job(conn, job, SHOWN).await?;
    Ok(DeliveriesView { callback, deliveries: made.into_iter().map(DeliveryView::from).collect() })
}
