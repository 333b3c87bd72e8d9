//! `/api/orders`: placing, looking, cancelling.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query};
use serde::Serialize;
use shared::db::idempotency::KeyedRequest;
use shared::db::orders as rows;
use shared::domain::OrderId;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::App;
use crate::auth::customer::Customer;
use crate::http::accepted::{Accepted, accepted_json, fingerprint};
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, JsonBody, PathId};
use crate::http::mistakes::Mistakes;
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::trace::TraceContext;
use crate::orders::{self, Draft, PlaceOrder};
use crate::views::{JobView, OrderView, job_path};

/// An order, as it is sent.
#[derive(Debug, ToSchema)]
#[schema(title = "OrderRequest")]
pub struct OrderRequest {
    /// Where the confirmation goes.
    #[schema(example = "ada@example.org", format = "email", max_length = 254)]
    pub email: String,
    /// What is ordered.
    #[schema(min_items = 1, max_items = 50)]
    pub lines: Vec<LineRequest>,
    /// By which card; the sandbox knows `tok_ok`, `tok_declined`, `tok_flaky`, `tok_slow`.
    #[schema(example = "tok_ok")]
    pub payment_token: String,
    /// Not offered yet: `false`.
    pub express: Option<bool>,
    /// An address of your own that is told how the order's job goes on, by https. See `webhook_secret` of
    /// `POST /api/tokens`.
    #[schema(example = "https://shop.example/hooks", format = "uri", max_length = 2000)]
    pub callback_url: Option<String>,
    /// What it is told: `end` (the default), or `every_change` of the job's status.
    #[schema(example = "end")]
    pub callback_on: Option<String>,
}

/// A line of an order, as it is sent.
#[derive(Debug, ToSchema)]
pub struct LineRequest {
    /// A photo of one's own.
    pub photo_id: Uuid,
    /// A product's id.
    #[schema(example = "print-10x15")]
    pub product: String,
    /// How many prints.
    #[schema(minimum = 1, maximum = 100)]
    pub quantity: i32,
}

/// An order that was accepted, and the job that fulfils it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedOrder {
    /// The order.
    pub order: OrderView,
    /// The job.
    pub job: JobView,
}

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
    let draft = Draft::read(&body.value, app.config.sandbox_payments, app.config.callbacks, &mut mistakes);
    let hash = fingerprint("POST", "/api/orders", &body.bytes);
    let keyed = KeyedRequest { customer: customer.id, key, hash };
    let request = PlaceOrder { customer: customer.id, draft, keyed, traceparent: trace.to_string() };
    Ok(orders::place(&app, request, mistakes).await?.respond())
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
    let mut orders = app
        .db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let page = rows::page(&mut conn, customer.id, before, limit + 1).await?;
            orders::views(&mut conn, &page).await
        })
        .await?;
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
    let view = app
        .db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let order = orders::find_own(&mut conn, customer.id, id.0).await?;
            orders::view(&mut conn, &order).await
        })
        .await?;
    Ok(Json(view))
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
    let (order, job) = orders::cancel(&app, customer.id, id.0).await?;
    let body = accepted_json("order", &order, &job)?;
    Ok(Accepted { location: job_path(&job), body, replayed: false }.respond())
}
