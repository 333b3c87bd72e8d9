//! `/api/admin/queues`: how full each is, and pausing it.

use actix_web::web::{Data, Json, Path};
use operations::operator::Via;
use operations::queues::{self, QueueView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::admin::queues as pages;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::problem::Problem;

/// Every queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueList {
    /// By name.
    pub items: Vec<QueueView>,
    /// Always null: there are few.
    #[schema(value_type = Option<String>)]
    pub next: Option<()>,
}

/// What came of pausing a queue, or of ending its pause.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueChange {
    /// Whether it changed anything.
    pub changed: bool,
}

/// Every queue, by name.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/admin/queues", operation_id = "admin_list_queues", tag = "admin",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "All of them", body = QueueList),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(app: Data<App>, _: Operator) -> Result<Json<QueueList>, ApiError> {
    let items = app.db.run(|db| async move { queues::list(&db).await }).await?;
    Ok(Json(QueueList { items, next: None }))
}

/// Pauses a queue: workers finish what they run of it, and take nothing more.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(post, path = "/api/admin/queues/{name}/pause", operation_id = "admin_pause_queue", tag = "admin",
    security(("operator" = []), ("login" = [])), params(("name" = String, Path, description = "The queue")), responses(
    (status = 200, description = "It is paused", body = QueueChange),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "One that may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown", body = Problem, content_type = "application/problem+json"),
))]
pub async fn pause(
    app: Data<App>,
    operator: Operator,
    name: Path<String>,
) -> Result<Json<QueueChange>, ApiError> {
    let changed = pages::change(&app, operator, Via::Api, name.into_inner(), true).await?;
    Ok(Json(QueueChange { changed }))
}

/// Ends the pause of a queue.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(post, path = "/api/admin/queues/{name}/resume", operation_id = "admin_resume_queue", tag = "admin",
    security(("operator" = []), ("login" = [])), params(("name" = String, Path, description = "The queue")), responses(
    (status = 200, description = "It is not paused", body = QueueChange),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "One that may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown", body = Problem, content_type = "application/problem+json"),
))]
pub async fn resume(
    app: Data<App>,
    operator: Operator,
    name: Path<String>,
) -> Result<Json<QueueChange>, ApiError> {
    let changed = pages::change(&app, operator, Via::Api, name.into_inner(), false).await?;
    Ok(Json(QueueChange { changed }))
}
