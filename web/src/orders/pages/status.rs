//! An order's status, as it is read.

use shared::domain::order::OrderStatus;

/// A status as a coloured word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Badge {
    /// What is read.
    pub label: &'static str,
    /// The colour, a class of the style sheet: `wait`, `work`, `done`, `no`, `off`.
    pub tone: &'static str,
    /// A sentence about it.
    pub sentence: &'static str,
}

/// How a status looks.
pub fn badge(status: OrderStatus) -> Badge {
    let (label, tone, sentence) = match status {
        OrderStatus::Received => ("Received", "wait", "We have your order and start on it shortly."),
        OrderStatus::AwaitingPhotos => {
            ("Waiting for photos", "wait", "The photos of this order are still being developed.")
        }
        OrderStatus::Reserved => ("Paper reserved", "work", "The paper for your prints is put aside."),
        OrderStatus::Paid => ("Paid", "work", "Your card was charged."),
        OrderStatus::Rendering => ("Printing", "work", "Your prints are being made."),
        OrderStatus::Confirmed => ("Confirmed", "done", "All done. A confirmation is on its way to you."),
        OrderStatus::Rejected => ("Rejected", "no", "We could not take this order. You pay nothing."),
        OrderStatus::Cancelled => ("Cancelled", "off", "This order was cancelled. You pay nothing."),
    };
    Badge { label, tone, sentence }
}

/// One step of a good order's life, as drawn above its timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is read.
    pub label: &'static str,
    /// `done`, `current` or `ahead`.
    pub state: &'static str,
}

/// The steps of a good order's life with the present one marked; none for an order that left this way. `happened`
/// are the names of its events.
pub fn steps(present: OrderStatus, happened: &[&str]) -> Vec<Step> {
    if matches!(present, OrderStatus::Rejected | OrderStatus::Cancelled) {
        return Vec::new();
    }
    let mut reached = false;
    // An order may skip a step: its photos were ready. What did not happen is not shown as done.
    let past = |status: OrderStatus| status.position() < present.position();
    let good = OrderStatus::ALL
        .into_iter()
        .filter(|status| !matches!(status, OrderStatus::Rejected | OrderStatus::Cancelled))
        .filter(|status| !past(*status) || happened.contains(&status.name()));
    good.map(|status| {
        let here = status == present;
        reached |= here;
        let state = match (here, reached) {
            (true, _) if status.is_final() => "done",
            (true, _) => "current",
            (false, true) => "ahead",
            (false, false) => "done",
        };
        Step { label: badge(status).label, state }
    })
    .collect()
}

/// `refund_made` becomes `Refund made`.
pub fn sentence_case(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut characters = spaced.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// The end of an id: enough to tell one's own orders apart. (The beginning of a UUIDv7 is its time.)
pub fn short_id(id: &str) -> &str {
    id.char_indices().rev().nth(7).and_then(|(start, _)| id.get(start..)).unwrap_or(id)
}
