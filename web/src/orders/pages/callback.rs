//! The callback of an order, as its owner is shown it.

use crate::jobs::deliveries::DeliveriesView;
use crate::pages::format;

/// The callback of an order.
#[derive(Debug, Clone)]
pub struct OrderCallback {
    /// Where to.
    pub url: String,
    /// Whether the receiver asked not to be called any more.
    pub stopped: bool,
    /// The calls that were made, newest first.
    pub calls: Vec<CallEntry>,
}

/// A call that was made.
#[derive(Debug, Clone)]
pub struct CallEntry {
    /// When (RFC 3339).
    pub at: String,
    /// The job's status that it told.
    pub told: String,
    /// What the receiver answered, or why it did not.
    pub answer: String,
    /// How long it took.
    pub duration_ms: i64,
}

impl CallEntry {
    /// When, readable.
    pub fn time(&self) -> String {
        format::readable_time(&self.at)
    }
}

/// Who is told how an order goes on, if anybody is.
pub fn callback(view: &DeliveriesView) -> Option<OrderCallback> {
    let receiver = view.callback.as_ref()?;
    let calls = view.deliveries.iter().map(|call| CallEntry {
        at: call.at.to_rfc3339(),
        told: call.told.clone(),
        answer: match (call.status, &call.error) {
            (Some(status), _) => format!("answered {status}"),
            (None, error) => error.clone().unwrap_or_default(),
        },
        duration_ms: call.duration_ms,
    });
    let stopped = receiver.stopped_at.is_some();
    Some(OrderCallback { url: receiver.url.clone(), stopped, calls: calls.collect() })
}
