//! An order as the API shows it: made from rows, here and nowhere else.

use ::jobs::Job;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared::db::orders::{Order, OrderEvent, OrderLine};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::idempotency::Answered;
use crate::jobs::{JobView, ProgressView};

/// An order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderView {
    /// Its id.
    pub id: Uuid,
    /// The job that fulfils it.
    pub job_id: Uuid,
    /// `received`, `awaiting_photos`, `reserved`, `paid`, `rendering`, `confirmed`, `rejected`, `cancelled`.
    pub status: &'static str,
    /// Why it was rejected: `out_of_stock`, `declined`, `photo_rejected`.
    pub reason: Option<&'static str>,
    /// Where the confirmation goes.
    pub email: String,
    /// What it costs, in cents.
    pub total_cents: i64,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// Whether it overtakes ordinary orders.
    pub express: bool,
    /// What was ordered.
    pub lines: Vec<LineView>,
    /// What happened to it.
    pub timeline: Vec<EventView>,
    /// How far its fulfilment is.
    pub progress: Option<ProgressView>,
}

/// A line of an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LineView {
    /// Which photo.
    pub photo_id: Uuid,
    /// The product's id.
    pub product: String,
    /// The product's name.
    pub product_name: String,
    /// How many prints.
    pub quantity: i32,
    /// What one cost when it was ordered, in cents.
    pub price_cents: i64,
}

/// Something that happened to an order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventView {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: String,
    /// More about it.
    pub detail: Option<String>,
}

impl OrderView {
    /// From the rows of the order, its lines, its timeline and its job, if that is still there.
    pub fn new(order: &Order, lines: Vec<OrderLine>, timeline: Vec<OrderEvent>, job: Option<&Job>) -> Self {
        Self {
            id: order.id.0,
            job_id: order.job_id.0,
            status: order.status.name(),
            reason: order.reason.map(|reason| reason.name()),
            email: order.email.clone(),
            total_cents: order.total_cents,
            created_at: order.created_at.0,
            express: order.express,
            lines: lines.into_iter().map(LineView::from).collect(),
            timeline: timeline.into_iter().map(EventView::from).collect(),
            progress: job.map(ProgressView::from),
        }
    }
}

impl From<OrderLine> for LineView {
    fn from(line: OrderLine) -> Self {
        Self {
            photo_id: line.photo_id.0,
            product: line.product_id,
            product_name: line.product_name,
            quantity: line.quantity,
            price_cents: line.price_cents,
        }
    }
}

impl From<OrderEvent> for EventView {
    fn from(event: OrderEvent) -> Self {
        Self { at: event.at.0, event: event.event, detail: event.detail }
    }
}

/// An order that was accepted, and the job that fulfils it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedOrder {
    /// The order.
    pub order: OrderView,
    /// The job.
    pub job: JobView,
}

impl Answered<AcceptedOrder> {
    /// The order, whose page is shown to whoever sent it; `None` where an answer that was kept names none.
    pub fn order_id(&self) -> Option<Uuid> {
        match self {
            Self::New(accepted) => Some(accepted.order.id),
            Self::Before(answer) => Some(serde_json::from_str::<Kept>(&answer.body).ok()?.order.id),
        }
    }
}

/// What is read of an [`AcceptedOrder`] that was kept.
#[derive(Deserialize)]
struct Kept {
    order: KeptOrder,
}

#[derive(Deserialize)]
struct KeptOrder {
    id: Uuid,
}
