//! The list of orders, and one order: for its owner, or for whoever has the mailed link.

use std::collections::HashMap;

use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use shared::db::jobs::{Job, status};
use shared::db::orders as rows;
use shared::db::orders::Order;
use shared::db::photos as photo_rows;
use shared::domain::job::JobState;
use shared::domain::{OrderId, PhotoId};
use uuid::Uuid;

use super::{Shop, html, pictures, render, see_other, shell, unsigned};
use crate::App;
use crate::api::deliveries::{self, DeliveriesView};
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::Section;
use crate::pages::orders::{
    CallEntry, OrderCallback, OrderLine, OrderPage, OrderRow, OrdersPage, TimelineEntry,
};
use crate::views::{OrderView, PhotoView};
use crate::{orders, photos};

/// Orders on one page of the list.
const PAGE: usize = 20;

/// Small pictures beside an order in the list.
const THUMBS: usize = 4;

/// `?before=` of the list.
#[derive(Deserialize)]
pub struct Cursor {
    before: Option<String>,
}

/// The signature of a mailed link.
#[derive(Deserialize)]
pub struct Signature {
    expires: Option<i64>,
    signature: Option<String>,
}

/// Orders with the photos of their lines.
struct Shown {
    orders: Vec<(Order, OrderView)>,
    photos: HashMap<Uuid, PhotoView>,
}

/// `GET /orders`
pub async fn list(
    app: Shop,
    OptionalCustomer(customer): OptionalCustomer,
    query: Query<Cursor>,
) -> Result<HttpResponse, ApiError> {
    let before: Option<OrderId> = query.before.as_deref().and_then(|text| text.parse().ok());
    let mut shown = match customer {
        Some(customer) => own_page(&app, customer, before).await?,
        None => Shown { orders: Vec::new(), photos: HashMap::new() },
    };
    let more = shown.orders.len() > PAGE;
    shown.orders.truncate(PAGE);
    let last = shown.orders.last().filter(|_| more);
    let older_url = last.map(|(order, _)| format!("/orders?before={}", order.id));
    html(&OrdersPage {
        shell: shell(&app, customer, Section::Orders),
        orders: shown.orders.iter().map(|(order, view)| row(order, view, &shown.photos)).collect(),
        older_url,
    })
}

async fn own_page(app: &App, customer: Customer, before: Option<OrderId>) -> Result<Shown, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let list = rows::page(&mut conn, customer.id, before, PAGE as i64 + 1).await?;
            show(&mut conn, list).await
        })
        .await
}

async fn show(conn: &mut shared::db::Conn, list: Vec<Order>) -> Result<Shown, ApiError> {
    let views = orders::views(conn, &list).await?;
    let mut ids: Vec<PhotoId> =
        views.iter().flat_map(|view| view.lines.iter().map(|line| PhotoId(line.photo_id))).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = photo_rows::find_many(conn, &ids).await?;
    let photos = photos::views(conn, &found).await?.into_iter().map(|photo| (photo.id, photo)).collect();
    Ok(Shown { orders: list.into_iter().zip(views).collect(), photos })
}

fn row(order: &Order, view: &OrderView, photos: &HashMap<Uuid, PhotoView>) -> OrderRow {
    let mut seen = Vec::new();
    for line in &view.lines {
        if !seen.contains(&line.photo_id) {
            seen.push(line.photo_id);
        }
    }
    let thumbs =
        seen.iter().filter_map(|id| photos.get(id)).filter_map(|photo| pictures(photo).into_iter().next());
    OrderRow {
        id: order.id.to_string(),
        status: order.status,
        placed_at: order.created_at.rfc3339(),
        total_cents: order.total_cents,
        prints: view.lines.iter().map(|line| u64::from(unsigned(line.quantity))).sum(),
        thumbs: thumbs.take(THUMBS).collect(),
    }
}

/// `GET /orders/{id}`: by the owner's session, or read-only by a signed link.
pub async fn order(
    app: Shop,
    request: HttpRequest,
    OptionalCustomer(customer): OptionalCustomer,
    id: PathId<OrderId>,
    signature: Query<Signature>,
) -> Result<HttpResponse, ApiError> {
    let read = read(&app, id.0).await?;
    let owner = customer.filter(|customer| customer.id == read.order.customer_id);
    if owner.is_some() {
        return html(&page(&app, &read, owner, None));
    }
    let Signature { expires: Some(expires), signature: Some(signature) } = signature.into_inner() else {
        return Err(ApiError::NotFound("order"));
    };
    app.keys
        .verify_path(request.path(), expires, &signature, Utc::now())
        .map_err(|_| ApiError::Forbidden("The link has been altered, or it has expired."))?;
    let expires_at = DateTime::from_timestamp(expires, 0).ok_or(ApiError::NotFound("order"))?;
    html(&page(&app, &read, None, Some(expires_at)))
}

/// `POST /orders/{id}/cancel`
pub async fn cancel(app: Shop, customer: Customer, id: PathId<OrderId>) -> Result<HttpResponse, ApiError> {
    match orders::cancel(&app, customer.id, id.0).await {
        Ok(_) => Ok(see_other(&format!("/orders/{}", id.0))),
        Err(ApiError::Conflict(why)) => {
            let read = read(&app, id.0).await?;
            let mut page = page(&app, &read, Some(customer), None);
            page.problem = Some(why.to_owned());
            Ok(HttpResponse::Conflict().content_type("text/html; charset=utf-8").body(render(&page)?))
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
            let mut shown = show(&mut conn, vec![order]).await?;
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
        OrderLine {
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
        shell: shell(app, owner, section),
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

fn callback(view: &DeliveriesView) -> Option<OrderCallback> {
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
