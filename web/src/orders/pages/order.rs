//! One order as it is fulfilled: for its owner, or for whoever has the mailed link.

use std::collections::HashMap;

use ::jobs::{Job, status};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, Utc};
use model::job::JobState;
use shared::db::orders as rows;
use shared::db::orders::Order;
use shared::domain::OrderId;
use shared::domain::order::{OrderStatus, RejectReason};
use uuid::Uuid;

use super::callback::{OrderCallback, callback};
use super::load;
use super::status::{Badge, Step, badge, sentence_case, short_id, steps};
use crate::App;
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::auth::link::SignedLink;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::jobs::deliveries::{self, DeliveriesView};
use crate::orders;
use crate::orders::view::OrderView;
use crate::pages::{Section, Shell, format, html, html_with, see_other};
use crate::photos::picture::{Picture, photo_label, pictures, unsigned};
use crate::photos::view::PhotoView;

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
    pub lines: Vec<PrintRow>,
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
pub struct PrintRow {
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

impl PrintRow {
    /// What to call the photo.
    pub fn label(&self) -> &str {
        photo_label(&self.photo_name)
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

    /// The end of the id.
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }

    /// The steps of a good life.
    pub fn steps(&self) -> Vec<Step> {
        let happened: Vec<&str> = self.timeline.iter().map(|entry| entry.event.as_str()).collect();
        steps(self.status, &happened)
    }
}

/// `GET /orders/{id}`: by the owner's session, or read-only by a signed link.
pub async fn show(
    app: Data<App>,
    request: HttpRequest,
    OptionalCustomer(customer): OptionalCustomer,
    id: PathId<OrderId>,
    signature: Query<SignedLink>,
) -> Result<HttpResponse, ApiError> {
    let read = read(&app, id.0).await?;
    let owner = customer.filter(|customer| customer.id == read.order.customer_id);
    if owner.is_some() {
        return html(&page(&app, &read, owner, None));
    }
    let SignedLink { expires: Some(expires), signature: Some(signature) } = signature.into_inner() else {
        return Err(ApiError::NotFound("order"));
    };
    app.keys
        .verify_path(request.path(), expires, &signature, Utc::now())
        .map_err(|_| ApiError::Forbidden("The link has been altered, or it has expired."))?;
    let expires_at = DateTime::from_timestamp(expires, 0).ok_or(ApiError::NotFound("order"))?;
    html(&page(&app, &read, None, Some(expires_at)))
}

/// `POST /orders/{id}/cancel`
pub async fn cancel(
    app: Data<App>,
    customer: Customer,
    id: PathId<OrderId>,
) -> Result<HttpResponse, ApiError> {
    match orders::cancel(&app, customer.id, id.0).await {
        Ok(_) => Ok(see_other(&format!("/orders/{}", id.0))),
        Err(ApiError::Conflict(why)) => {
            let read = read(&app, id.0).await?;
            let mut page = page(&app, &read, Some(customer), None);
            page.problem = Some(why.to_owned());
            html_with(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error),
    }
}

struct Read {
    order: Order,
    view: OrderView,
    photos: HashMap<Uuid, PhotoView>,
    job: Option<Job>,
    deliveries: DeliveriesView,
}

async fn read(app: &App, id: OrderId) -> Result<Read, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let order = rows::find(&mut conn, id).await?.ok_or(ApiError::NotFound("order"))?;
            let job = status::find(&mut conn, order.job_id).await?;
            let deliveries = deliveries::read(&mut conn, order.job_id).await?;
            let mut shown = load(&mut conn, vec![order]).await?;
            let (order, view) = shown.orders.pop().ok_or(ApiError::NotFound("order"))?;
            Ok(Read { order, view, photos: shown.photos, job, deliveries })
        })
        .await
}

/// `signed_until` makes the read-only page, on which each picture's address is signed as well.
fn page(app: &App, read: &Read, owner: Option<Customer>, signed_until: Option<DateTime<Utc>>) -> OrderPage {
    let Read { order, view, photos, job, deliveries } = read;
    let read_only = signed_until.is_some();
    let section = if read_only { Section::Elsewhere } else { Section::Orders };
    let asked = job.as_ref().is_some_and(|job| job.cancel_requested_at.is_some());
    let lines = view.lines.iter().map(|line| {
        let photo = photos.get(&line.photo_id);
        let mut thumb = photo.and_then(|photo| pictures(photo).into_iter().next());
        if let (Some(thumb), Some(until)) = (&mut thumb, signed_until) {
            thumb.url = app.keys.sign_path(&thumb.url, until);
        }
        PrintRow {
            photo_name: photo.and_then(|photo| photo.file_name.clone()).unwrap_or_default(),
            photo_url: photo.filter(|_| !read_only).map(|photo| format!("/photos/{}", photo.id)),
            thumb,
            product: line.product_name.clone(),
            quantity: unsigned(line.quantity),
            price_cents: line.price_cents,
        }
    });
    let under_way = view.progress.as_ref().filter(|_| !order.status.is_final());
    let timeline = view.timeline.iter().map(|event| TimelineEntry {
        at: event.at.to_rfc3339(),
        event: event.event.clone(),
        detail: event.detail.clone().unwrap_or_default(),
    });
    OrderPage {
        shell: Shell::of(app, owner, section),
        id: order.id.to_string(),
        job_id: order.job_id.to_string(),
        status: order.status,
        reason: order.reason,
        held: job.as_ref().is_some_and(|job| job.state == JobState::Failed),
        email: order.email.clone(),
        placed_at: order.created_at.rfc3339(),
        lines: lines.collect(),
        total_cents: order.total_cents,
        timeline: timeline.collect(),
        progress: under_way.map(|it| (it.percent, it.step.clone().unwrap_or_default())),
        callback: if read_only { None } else { callback(deliveries) },
        can_cancel: !read_only && !asked && !order.status.is_final(),
        cancel_asked: asked && !order.status.is_final(),
        read_only,
        problem: None,
    }
}
