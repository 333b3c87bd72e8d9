use std::time::Duration;

use super::queues::MAIL;
use serde::{Deserialize, Serialize};

use crate::domain::OrderId;
use model::{Kind, Queue};

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
    /// How are the prints? A day after they went out.
    ReviewRequest,
}

impl SendEmail {
    /// The line in which the mails about an order's fulfilment stand, so that they go out in order. What is
    /// sent much later stands in none: it would keep those behind it waiting.
    pub fn line(order: OrderId) -> String {
        format!("mail:{order}")
    }
}

impl Kind for SendEmail {
    const NAME: &'static str = "send_email";
    const QUEUE: Queue = MAIL;
    const TIMEOUT: Duration = Duration::from_secs(60);
}
