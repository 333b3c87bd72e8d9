use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Kind, Queue};
use crate::domain::OrderId;

/// Sends one e-mail about an order. Delivery is at least once: the `Message-ID` is the job's id, so
/// that a mail sent twice is known for what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendEmail {
    /// The order that it is about.
    pub order_id: OrderId,
    /// What it says.
    pub template: EmailTemplate,
}

/// The mails that the shop sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmailTemplate {
    /// The order is on its way.
    OrderConfirmed,
    /// The shop said no, and why.
    OrderRejected,
    /// The customer said no.
    OrderCancelled,
}

impl Kind for SendEmail {
    const NAME: &'static str = "send_email";
    const QUEUE: Queue = Queue::MAIL;
    const TIMEOUT: Duration = Duration::from_secs(60);
}
