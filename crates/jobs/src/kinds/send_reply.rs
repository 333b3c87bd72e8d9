use std::time::Duration;

use serde::{Deserialize, Serialize};

use model::JobId;
use model::{Kind, Queue};

/// Answers a program that submitted a job by AMQP, on the queue that it named. Delivery is at least once:
/// the program matches answers by `correlation_id`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendReply {
    /// The queue.
    pub reply_to: String,
    /// As the program sent it.
    pub correlation_id: Option<String>,
    /// What is answered.
    pub about: Reply,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// This job is over.
    Job(JobId),
    /// There is no job.
    Refused(Refusal),
}

/// Why a submission was refused, in the words of HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The status that `POST /api/tasks/{name}` would answer with.
    pub status: u16,
    /// What happened.
    pub detail: String,
}

impl Kind for SendReply {
    const NAME: &'static str = "send_reply";
    const QUEUE: Queue = Queue::CALLBACKS;
    const TIMEOUT: Duration = Duration::from_secs(30);
}
