//! `/api/admin/overview`, `/api/admin/history`, `/api/admin/processes`: how it all is.

use actix_web::HttpResponse;
use actix_web::web::Data;
use operations::overview::{Overview, ProcessOverview, QueueHistory};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::problem::Problem;

/// How it all is: computed at most once in two seconds, however many ask.
///
/// # Errors
/// 401, 503.
#[utoipa::path(get, path = "/api/admin/overview", operation_id = "show_overview", tag = "operation",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "Queues, processes, circuit breakers", body = Overview),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(app: Data<App>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let overview = app.overview.overview(&app.db, &app.broker).await?;
    Ok(HttpResponse::Ok().json(&*overview))
}

/// Every queue's last day.
#[derive(Debug, Serialize, ToSchema)]
pub struct Histories<'a> {
    /// By queue.
    pub items: &'a [QueueHistory],
    /// There are no more pages.
    pub next: Option<String>,
}

/// How every queue fared in the last 24 hours, ten minutes a point.
///
/// # Errors
/// 401, 503.
#[utoipa::path(get, path = "/api/admin/history", operation_id = "show_history", tag = "operation",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "By queue", body = Histories),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
))]
pub async fn history(app: Data<App>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let history = app.overview.history(&app.db).await?;
    Ok(HttpResponse::Ok().json(Histories { items: &history, next: None }))
}

/// The processes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Processes<'a> {
    /// In the order of their programs and starts.
    pub items: &'a [ProcessOverview],
    /// There are no more pages.
    pub next: Option<String>,
}

/// Every process of which there was a sign of life in the last day.
///
/// # Errors
/// 401, 503.
#[utoipa::path(get, path = "/api/admin/processes", operation_id = "list_processes", tag = "operation",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "What each runs, and when it was last seen", body = Processes),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database is away", body = Problem, content_type = "application/problem+json"),
))]
pub async fn processes(app: Data<App>, _operator: Operator) -> Result<HttpResponse, ApiError> {
    let overview = app.overview.overview(&app.db, &app.broker).await?;
    Ok(HttpResponse::Ok().json(Processes { items: &overview.processes, next: None }))
}
