//! `/api/admin/schedule`: what happens at set times, and doing it now.

use actix_web::web::{Data, Json, Path};
use operations::operator::Via;
use operations::schedule::{self, Run, ScheduleView};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::admin::schedule as pages;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::problem::Problem;

/// The schedule.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    /// In its order.
    pub items: Vec<ScheduleView>,
    /// Always null: there are few.
    #[schema(value_type = Option<String>)]
    pub next: Option<()>,
}

/// What happens at set times.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/admin/schedule", operation_id = "admin_list_schedule", tag = "admin",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "All of it", body = ScheduleList),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(app: Data<App>, _: Operator) -> Result<Json<ScheduleList>, ApiError> {
    let items = app.db.run(|db| async move { schedule::list(&db).await }).await?;
    Ok(Json(ScheduleList { items, next: None }))
}

/// Runs an entry now; its next tick stays when it is. While the job of the run before is unfinished, nothing is
/// started, and that job is the answer.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(post, path = "/api/admin/schedule/{name}/run", operation_id = "admin_run_schedule", tag = "admin",
    security(("operator" = []), ("login" = [])), params(("name" = String, Path, description = "The entry")), responses(
    (status = 200, description = "Its job", body = Run),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "One that may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown", body = Problem, content_type = "application/problem+json"),
))]
pub async fn run(app: Data<App>, operator: Operator, name: Path<String>) -> Result<Json<Run>, ApiError> {
    Ok(Json(pages::start(&app, operator, Via::Api, name.into_inner()).await?))
}
