use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Job;
use crate::view::JobView;
use model::JobId;
use model::{Kind, Queue};

/// Tells a customer's own address of a change of their job. Delivery is at least once: the `webhook-id` is the
/// id of this job, so that a message sent twice is known for what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverCallback {
    /// The job that changed.
    pub job_id: JobId,
    /// What is told. Data, against the habit of arguments: it is how the job was then, and what is sent again
    /// must be the same to the byte.
    pub event: Value,
}

impl DeliverCallback {
    /// What there is to tell of a job as it is now.
    pub fn of(job: &Job) -> Self {
        let view = JobView::from(job);
        let event = json!({"type": "job.status_changed", "timestamp": view.updated_at, "data": view});
        Self { job_id: job.id, event }
    }

    /// The status that it tells.
    pub fn told(&self) -> &str {
        self.event.pointer("/data/status").and_then(Value::as_str).unwrap_or_default()
    }
}

impl Kind for DeliverCallback {
    const NAME: &'static str = "deliver_callback";
    const QUEUE: Queue = Queue::CALLBACKS;
    /// A bit more than an hour of trying: what comes later for the same job waits behind it.
    const MAX_ATTEMPTS: i32 = 15;
    const TIMEOUT: Duration = Duration::from_secs(30);
}
