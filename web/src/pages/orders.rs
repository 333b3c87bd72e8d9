//! The list of orders, and one order as it is fulfilled. The form for a new one is in
//! [`order_form`](super::order_form).

use askama::Template;
use shared::domain::order::{OrderStatus, RejectReason};

use super::{Picture, Shell, format};

/// `GET /orders`: the visitor's own orders, newest first.
#[derive(Debug, Template)]
#[template(path = "orders.html")]
pub struct OrdersPage {
    /// Around the content.
    pub shell: Shell,
    /// This page of the list.
    pub orders: Vec<OrderRow>,
    /// The page of older orders, with its cursor.
    pub older_url: Option<String>,
}

/// One order in the list.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// The order's id.
    pub id: String,
    /// Where it is in its fulfilment.
    pub status: OrderStatus,
    /// When it was placed (RFC 3339).
    pub placed_at: String,
    /// The price of all lines together, in cents.
    pub total_cents: i64,
    /// How many prints it has.
    pub prints: u64,
    /// Small pictures of some of its photos.
    pub thumbs: Vec<Picture>,
}

impl OrderRow {
    /// The status, as a badge.
    pub fn badge(&self) -> Badge {
        badge(self.status)
    }

    /// The total, readable.
    pub fn total(&self) -> String {
        format::money(self.total_cents)
    }

    /// `3 prints`.
    pub fn prints_text(&self) -> String {
        format::count(self.prints, "print")
    }

    /// When it was placed, readable.
    pub fn placed(&self) -> String {
        format::readable_time(&self.placed_at)
    }
}

/// `GET /orders/{id}`: one order; also as the signed page that the mailed link leads to.
///
/// Scripts fetch the page again at every status event of its job and exchange the part `#order`.
#[derive(Debug, Template)]
#[template(path = "order.html")]
pub struct OrderPage {
    /// Around the content.
    pub shell: Shell,
    /// The order's id.
    pub id: String,
    /// The job that fulfils it.
    pub job_id: String,
    /// Where it is in its fulfilment.
    pub status: OrderStatus,
    /// Why the shop said no.
    pub reason: Option<RejectReason>,
    /// Whether its job failed: its effects are held until an operator looks at it.
    pub held: bool,
    /// Where the mail goes.
    pub email: String,
    /// When it was placed (RFC 3339).
    pub placed_at: String,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// The price of all lines together, in cents.
    pub total_cents: i64,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// How far its job is, and with what, while it is under way.
    pub progress: Option<(u64, String)>,
    /// Who is told how it goes on, and what became of it; shown to its owner alone.
    pub callback: Option<OrderCallback>,
    /// Whether it may still be cancelled: shows the button (`POST /orders/{id}/cancel`).
    pub can_cancel: bool,
    /// Whether it was asked to be cancelled and has not come to rest yet.
    pub cancel_asked: bool,
    /// Whether it is read by the mailed link, without a session: nothing can be done, picture URLs are
    /// signed, and scripts look again at the page instead of listening to the job.
    pub read_only: bool,
    /// Why it could not be cancelled just now: a sentence.
    pub problem: Option<String>,
}

/// One line of an order.
#[derive(Debug, Clone)]
pub struct OrderLine {
    /// The photo's file name; may be empty.
    pub photo_name: String,
    /// The photo's page; none on the mailed link's page, and when the photo was deleted.
    pub photo_url: Option<String>,
    /// A small picture of it, once there is one.
    pub thumb: Option<Picture>,
    /// The product's name.
    pub product: String,
    /// How many prints.
    pub quantity: u32,
    /// The price of one print, in cents, as it was when the order was placed.
    pub price_cents: i64,
}

impl OrderLine {
    /// What to call the photo.
    pub fn label(&self) -> &str {
        super::photo_label(&self.photo_name)
    }

    /// The price of one print, readable.
    pub fn price(&self) -> String {
        format::money(self.price_cents)
    }

    /// The price of the line, readable.
    pub fn subtotal(&self) -> String {
        format::money(self.price_cents.saturating_mul(i64::from(self.quantity)))
    }
}

/// One thing that happened to an order.
#[derive(Debug, Clone)]
pub struct TimelineEntry {
    /// When (RFC 3339).
    pub at: String,
    /// The event's name, as in the API: a status, or a word with underscores.
    pub event: String,
    /// More about it; may be empty.
    pub detail: String,
}

impl TimelineEntry {
    /// The event, readable.
    pub fn label(&self) -> String {
        match OrderStatus::from_name(&self.event) {
            Some(status) => badge(status).label.to_owned(),
            None => sentence_case(&self.event),
        }
    }

    /// When, readable.
    pub fn time(&self) -> String {
        format::readable_time(&self.at)
    }
}

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

/// `refund_made` becomes `Refund made`.
fn sentence_case(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut characters = spaced.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// One step of a good order's life, as drawn above its timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is read.
    pub label: &'static str,
    /// `done`, `current` or `ahead`.
    pub state: &'static str,
}

impl OrderPage {
    /// The status, as a badge.
    pub fn badge(&self) -> Badge {
        badge(self.status)
    }

    /// Whether the page changes by itself.
    pub fn is_live(&self) -> bool {
        !self.status.is_final() && !self.held
    }

    /// The total, readable.
    pub fn total(&self) -> String {
        format::money(self.total_cents)
    }

    /// When it was placed, readable.
    pub fn placed(&self) -> String {
        format::readable_time(&self.placed_at)
    }

    /// The end of the id: enough to tell one's own orders apart. (The beginning of a UUIDv7 is its time.)
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// The steps of a good life with the present one marked; none for an order that left this way.
    pub fn steps(&self) -> Vec<Step> {
        if matches!(self.status, OrderStatus::Rejected | OrderStatus::Cancelled) {
            return Vec::new();
        }
        let mut reached = false;
        // An order may skip a step: its photos were ready. What did not happen is not shown as done.
        let happened = |status: OrderStatus| self.timeline.iter().any(|entry| entry.event == status.name());
        let past = |status: OrderStatus| status.position() < self.status.position();
        let good = OrderStatus::ALL
            .into_iter()
            .filter(|status| !matches!(status, OrderStatus::Rejected | OrderStatus::Cancelled))
            .filter(|status| !past(*status) || happened(*status));
        good.map(|status| {
            let here = status == self.status;
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
}

impl OrderRow {
    /// As [`OrderPage::short_id`].
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }
}

fn short_id(id: &str) -> &str {
    id.char_indices().rev().nth(7).and_then(|(start, _)| id.get(start..)).unwrap_or(id)
}

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
