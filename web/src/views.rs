//! What the API shows of photos, orders, products and jobs: made from rows, here and nowhere else.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use shared::db::jobs::Job;
use shared::db::orders::{Order, OrderEvent, OrderLine};
use shared::db::photos::{Photo, PhotoVariant};
use shared::db::products::Product;
use shared::domain::job::{Failure, JobState};
use shared::jobs::{FulfilOrder, Kind, MakeThumbnails};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

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
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        let Product { id, name, price_cents, stock } = product;
        Self { id, name, price_cents, stock }
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
    /// What was ordered.
    pub lines: Vec<LineView>,
    /// What happened to it.
    pub timeline: Vec<EventView>,
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
    /// From the order's row, its lines and its timeline.
    pub fn new(order: &Order, lines: Vec<OrderLine>, timeline: Vec<OrderEvent>) -> Self {
        Self {
            id: order.id.0,
            job_id: order.job_id.0,
            status: order.status.name(),
            reason: order.reason.map(|reason| reason.name()),
            email: order.email.clone(),
            total_cents: order.total_cents,
            created_at: order.created_at.0,
            lines: lines.into_iter().map(LineView::from).collect(),
            timeline: timeline.into_iter().map(EventView::from).collect(),
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

/// A job: the status resource of everything that takes longer than an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    #[schema(example = "make_thumbnails")]
    pub kind: String,
    /// `scheduled`, `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`.
    pub status: &'static str,
    /// Why it failed: `discarded`, `exhausted`, `killed`.
    pub failure: Option<&'static str>,
    /// How far it is.
    pub progress: ProgressView,
    /// Failed tries since it last got on, the present one included.
    pub attempt: i32,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
    /// What it came to.
    pub result: Option<Value>,
    /// Why it failed, in words.
    pub error: Option<Problem>,
    /// Where to go from here.
    pub links: JobLinks,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProgressView {
    /// 0 to 100.
    pub percent: u64,
    /// What is being done.
    pub step: Option<String>,
}

/// Where to go from a job; all are paths.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobLinks {
    /// The job itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Its changes, as server-sent events.
    pub events: String,
    /// What it is about.
    pub result: Option<String>,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let path = job_path(job);
        Self {
            id: job.id.0,
            kind: job.kind.clone(),
            status: status_name(job.state),
            failure: job.failure.map(Failure::name),
            progress: progress(job),
            attempt: job.attempt,
            created_at: job.created_at.0,
            updated_at: job.updated_at.0,
            result: job.result.clone(),
            error: (job.state == JobState::Failed).then(|| failure_problem(job)),
            links: JobLinks { events: format!("{path}/events"), result: subject_path(job), this: path },
        }
    }
}

/// The path of a job's status.
pub fn job_path(job: &Job) -> String {
    format!("/api/jobs/{}", job.id)
}

/// The entity tag of a [`JobView`]: weak, because a byte here or there does not matter.
pub fn job_etag(job: &Job) -> String {
    format!("W/\"{}-{}\"", job.version, status_name(job.state))
}

/// To the outside, work that is yet to come is `scheduled`.
fn status_name(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "scheduled",
        state => state.name(),
    }
}

fn progress(job: &Job) -> ProgressView {
    let stored = |name: &str| job.progress.as_ref().and_then(|progress| progress.get(name));
    let percent = match job.state {
        JobState::Succeeded => 100,
        _ => stored("percent").and_then(Value::as_u64).unwrap_or(0),
    };
    ProgressView { percent, step: stored("step").and_then(Value::as_str).map(str::to_owned) }
}

/// What the job is about, by its arguments; `None` for kinds that nobody can look at.
fn subject_path(job: &Job) -> Option<String> {
    let argument = |name: &str| job.args.get(name).and_then(Value::as_str);
    match job.kind.as_str() {
        MakeThumbnails::NAME => argument("photo_id").map(|id| format!("/api/photos/{id}")),
        FulfilOrder::NAME => argument("order_id").map(|id| format!("/api/orders/{id}")),
        _ => None,
    }
}

/// Discarded means that the request could not be done; everything else, that we could not do it.
fn failure_problem(job: &Job) -> Problem {
    let (kind, title, status) = match job.failure {
        Some(Failure::Discarded) => ("job-discarded", "This can't be done", 422),
        Some(Failure::Killed) => ("job-killed", "This broke every worker that tried it", 500),
        Some(Failure::Exhausted) | None => ("job-exhausted", "Every attempt failed", 500),
    };
    let last = job.error_log().pop().map(|entry| entry.message);
    Problem {
        kind: format!("urn:problem:{kind}"),
        title: title.into(),
        status,
        detail: last.unwrap_or_else(|| title.into()),
        instance: Some(job_path(job)),
        request_id: None,
        errors: Vec::new(),
    }
}
