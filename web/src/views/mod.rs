//! What the API shows of photos, orders, products and jobs: made from rows, here and nowhere else.

use std::collections::HashMap;

use ::jobs::Job;
use chrono::{DateTime, Utc};
use database::{Conn, DbError};
use serde::Serialize;
use shared::db::also_bought;
use shared::db::orders::{Order, OrderEvent, OrderLine};
use shared::db::photos::{Photo, PhotoVariant};
use shared::db::products::{self, Product};
use utoipa::ToSchema;
use uuid::Uuid;

pub use ::jobs::view::{JobLinks, JobView, ProgressView, job_etag, job_path};

/// A photo.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PhotoView {
    /// Its id.
    pub id: Uuid,
    /// The job that makes its sizes.
    pub job_id: Uuid,
    /// `processing`, `ready` or `rejected`.
    pub status: &'static str,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// The name that the file had.
    pub file_name: Option<String>,
    /// The original's media type.
    pub content_type: &'static str,
    /// The original's size.
    pub bytes: i64,
    /// Pixels, as it is shown.
    pub width: Option<i32>,
    /// Pixels, as it is shown.
    pub height: Option<i32>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The sizes that can be fetched.
    pub variants: Vec<VariantView>,
}

/// One size of a photo.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VariantView {
    /// `thumb`, `medium` or `large`.
    pub name: &'static str,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Its path.
    pub url: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its size.
    pub bytes: i64,
}

impl PhotoView {
    /// From the photo's row and the rows of its sizes; those of other photos are left out.
    pub fn new(photo: &Photo, variants: &[PhotoVariant]) -> Self {
        let own = variants.iter().filter(|variant| variant.photo_id == photo.id);
        Self {
            id: photo.id.0,
            job_id: photo.job_id.0,
            status: photo.status.name(),
            reason: photo.reason.clone(),
            file_name: photo.file_name.clone(),
            content_type: photo.content_type.content_type(),
            bytes: photo.bytes,
            width: photo.width,
            height: photo.height,
            created_at: photo.created_at.0,
            variants: own.map(VariantView::new).collect(),
        }
    }
}

impl VariantView {
    fn new(variant: &PhotoVariant) -> Self {
        Self {
            name: variant.name.name(),
            width: variant.width,
            height: variant.height,
            url: format!("/photos/{}/{}", variant.photo_id, variant.name.name()),
            content_type: variant.content_type.content_type(),
            bytes: variant.bytes,
        }
    }
}

/// Something that can be ordered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProductView {
    /// Its id: what an order's lines name.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What one costs, in cents.
    pub price_cents: i64,
    /// How many there are.
    pub stock: i32,
    /// Ids of products that were often ordered together with it, the most frequent first.
    pub also_bought: Vec<String>,
}

impl ProductView {
    /// From the product's row; what was ordered with it is taken out of `others`.
    pub fn new(product: Product, others: &mut HashMap<String, Vec<String>>) -> Self {
        let Product { id, name, price_cents, stock } = product;
        let also_bought = others.remove(&id).unwrap_or_default();
        Self { id, name, price_cents, stock, also_bought }
    }

    /// The catalogue.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn all(conn: &mut Conn) -> Result<Vec<Self>, DbError> {
        let mut others = also_bought::all(conn).await?;
        let products = products::all(conn).await?;
        Ok(products.into_iter().map(|product| Self::new(product, &mut others)).collect())
    }
}

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
