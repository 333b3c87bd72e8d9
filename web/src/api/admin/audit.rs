//! `/api/admin/audit`: who did what.

use actix_web::web::{Data, Json, Query};
use operations::audit::{self, AuditPage};
use operations::ids::AuditId;

use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::paging::Paging;
use crate::http::problem::Problem;

/// What operators did, the newest first.
///
/// # Errors
/// 400, 401.
#[utoipa::path(get, path = "/api/admin/audit", operation_id = "admin_list_audit", tag = "admin", params(Paging),
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "A page of them", body = AuditPage),
    (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(app: Data<App>, _: Operator, paging: Query<Paging>) -> Result<Json<AuditPage>, ApiError> {
    let (before, limit) = (paging.before.map(AuditId), paging.limit()?);
    Ok(Json(app.db.run(move |db| async move { audit::page(&db, before, limit).await }).await?))
}
