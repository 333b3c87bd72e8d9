//! `/api/orders`: placing, looking, cancelling.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query};
use serde::Serialize;
use shared::db::idempotency::KeyedRequest;
use shared::domain::OrderId;
use utoipa::ToSchema;

use crate::App;
use crate::auth::customer::Customer;
use crate::http::accepted;
use crate::http::error::ApiError;
use crate::http::extract::{JsonBody, PathId};
use crate::http::field::Mistakes;
use crate::http::idempotency::{Answered, IdempotencyKey, fingerprint};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::trace::TraceContext;
use crate::orders::request::OrderRequest;
use crate::orders::view::{AcceptedOrder, OrderView};
use crate::orders::{self, PlaceOrder};

/// A page of orders.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderList {
    /// The newest first.
    pub orders: Vec<OrderView>,
    /// The path of the next page.
    pub next: Option<String>,
}

/// Places an order; it is fulfilled afterwards.
///
/// # Errors
/// 400, 401, 409, 413, 415, 422, 429.
#[utoipa::path(post, path = "/api/orders", operation_id = "place_order", tag = "orders",
    params(("Idempotency-Key" = String, Header, description = "Makes it safe to send again, within 24 h", max_length = 255)),
    request_body = OrderRequest,
    responses(
        (status = 202, description = "Accepted; the job tells how it goes on", body = AcceptedOrder,
            headers(("Location" = String, description = "The job"), ("Retry-After" = i64, description = "Seconds"))),
        (status = 400, description = "No JSON, or no key", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The same key is being answered", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON by its type", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not a valid order, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many orders, or too many unfinished jobs", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many unfinished jobs in all", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    app: Data<App>,
    customer: Customer,
    key: IdempotencyKey,
    trace: TraceContext,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let key = key.required()?;
    let mut mistakes = Mistakes::default();
    let order = OrderRequest::read(&body.value, &mut mistakes);
    let (sandbox, callbacks) = (app.config.sandbox_payments, app.config.callbacks);
    let draft = order.map(|order| order.check(sandbox, callbacks, &mut mistakes)).unwrap_or_default();
    let hash = fingerprint("POST", "/api/orders", &body.bytes);
    let keyed = KeyedRequest { customer: customer.id, key, hash };
    let request = PlaceOrder { customer: customer.id, draft, keyed, traceparent: trace.to_string() };
    match orders::place(&app, request, mistakes).await? {
        Answered::New(new) => accepted::first(&new.job, &new),
        Answered::Before(answer) => Ok(accepted::again(answer)),
    }
}

/// One's own orders, the newest first.
///
/// # Errors
/// 400, 401.
#[utoipa::path(get, path = "/api/orders", operation_id = "list_orders", tag = "orders", params(Paging), responses(
    (status = 200, description = "A page of orders", body = OrderList),
    (status = 400, description = "Not a page", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    app: Data<App>,
    customer: Customer,
    paging: Query<Paging>,
) -> Result<Json<OrderList>, ApiError> {
    let limit = paging.limit()?;
    let before = paging.before.map(OrderId);
    let mut orders = orders::page(&app, customer.id, before, limit + 1).await?;
    let next = paging.cut("/api/orders", limit, &mut orders, |order| order.id);
    Ok(Json(OrderList { orders, next }))
}

/// One order.
///
/// # Errors
/// 401, 404.
#[utoipa::path(get, path = "/api/orders/{id}", operation_id = "show_order", tag = "orders", params(("id" = Uuid, Path, description = "The order")), responses(
    (status = 200, description = "The order", body = OrderView),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    app: Data<App>,
    customer: Customer,
    id: PathId<OrderId>,
) -> Result<Json<OrderView>, ApiError> {
    Ok(Json(orders::show(&app, customer.id, id.0).await?))
}

/// Asks for an order's cancellation; what was done for it is undone afterwards.
///
/// # Errors
/// 401, 404, 409.
#[utoipa::path(post, path = "/api/orders/{id}/cancel", operation_id = "cancel_order", tag = "orders", params(("id" = Uuid, Path, description = "The order")), responses(
    (status = 202, description = "Asked; the order may still be confirmed before", body = AcceptedOrder,
        headers(("Location" = String, description = "The job"), ("Retry-After" = i64, description = "Seconds"))),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "Confirmed or over", body = Problem, content_type = "application/problem+json"),
))]
pub async fn cancel(
    app: Data<App>,
    customer: Customer,
    id: PathId<OrderId>,
) -> Result<HttpResponse, ApiError> {
    let asked = orders::cancel(&app, customer.id, id.0).await?;
    accepted::first(&asked.job, &asked)
}
