//! `/api/admin/jobs`: jobs of everybody, what is to be known of each, and what can be done to it.

use ::jobs::filter::{FilterInput, JobFilter};
use actix_web::web::{Data, Json, Query};
use actix_web::{HttpRequest, HttpResponse};
use database::Db;
use model::JobId;
use operations::OperationError;
use operations::act::{self, Acted};
use operations::jobs::{self, JobPage, JobStory, MOST};
use operations::operator::{Actor, Via};
use serde_json::{Map, Value};
use utoipa::IntoParams;

use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::problem::{FieldError, Problem};

/// How many a page has unless asked otherwise.
const DEFAULT: i64 = 20;

/// Where a page begins, and how long it is; beside the filter's fields.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct JobPaging {
    /// Only those that are older than the job of this id: the last page's `next`.
    #[param(value_type = Option<Uuid>)]
    pub before: Option<JobId>,
    /// How many, 1 to 100; 20 if not said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}

/// What a query string asks for. A name that means nothing is refused: it may be a filter with a slip of the pen,
/// and would fit every job.
#[derive(Debug, Default)]
pub struct Asked {
    /// The filter as it was typed.
    pub input: FilterInput,
    /// Which page.
    pub paging: JobPaging,
}

impl Asked {
    /// Reads it.
    ///
    /// # Errors
    /// [`ApiError::Invalid`], naming the field.
    pub fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let wrong = |field: &str, message: &str| ApiError::Invalid(vec![FieldError::new(field, message)]);
        let pairs = Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|_| ApiError::Malformed("The query can't be read.".into()))?;
        let (mut asked, mut filter) = (Self::default(), Map::new());
        for (name, value) in pairs.into_inner() {
            match name.as_str() {
                _ if value.is_empty() => {}
                "before" => {
                    asked.paging.before = Some(value.parse().map_err(|_| wrong("before", "is no id"))?)
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    asked.paging.limit = Some(limit.ok_or_else(|| wrong("limit", "is 1 to 100"))?);
                }
                _ => _ = filter.insert(name, Value::String(value)),
            }
        }
        let unknown = |error: serde_json::Error| {
            let message = error.to_string();
            let name = message.split('`').nth(1).unwrap_or("query").to_owned();
            ApiError::Invalid(vec![FieldError::new(name, "is not a filter")])
        };
        asked.input = serde_json::from_value(Value::Object(filter)).map_err(unknown)?;
        Ok(asked)
    }
}

/// Jobs of everybody, by a filter.
///
/// # Errors
/// 401, 422.
#[utoipa::path(get, path = "/api/admin/jobs", operation_id = "admin_list_jobs", tag = "operation", security(("operator" = []), ("login" = [])),
    params(FilterInput, JobPaging),
    responses(
        (status = 200, description = "The newest first", body = JobPage),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A filter that can't be meant", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(app: Data<App>, _: Operator, request: HttpRequest) -> Result<Json<JobPage>, ApiError> {
    let asked = Asked::of(&request)?;
    let filter = JobFilter::try_from(asked.input).map_err(OperationError::from)?;
    let (before, limit) = (asked.paging.before, asked.paging.limit.unwrap_or(DEFAULT));
    let page = app.db.run(move |db| {
        let filter = filter.clone();
        async move { jobs::list(&db, &filter, before, limit).await }
    });
    Ok(Json(page.await?))
}

/// Everything about one job.
///
/// # Errors
/// 401, 404.
#[utoipa::path(get, path = "/api/admin/jobs/{id}", operation_id = "admin_show_job", tag = "operation", security(("operator" = []), ("login" = [])),
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 200, description = "The job; secrets are hidden", body = JobStory),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or no longer kept", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn show(app: Data<App>, _: Operator, id: PathId<JobId>) -> Result<Json<JobStory>, ApiError> {
    Ok(Json(app.db.run(move |db| async move { jobs::show(&db, id.0).await }).await?))
}

/// What can be done to one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// See [`act::retry`].
    Retry,
    /// See [`act::cancel`].
    Cancel,
    /// See [`act::run`].
    Run,
}

impl Act {
    /// Does it.
    ///
    /// # Errors
    /// Those of the operation.
    pub async fn on(self, db: &Db, actor: Actor, id: JobId) -> Result<Acted, ApiError> {
        let done = db.run(move |db| {
            let actor = actor.clone();
            async move {
                match self {
                    Self::Retry => act::retry(&db, &actor, id).await,
                    Self::Cancel => act::cancel(&db, &actor, id).await,
                    Self::Run => act::run(&db, &actor, id).await,
                }
            }
        });
        Ok(done.await?)
    }
}

async fn answer(
    act: Act,
    app: &App,
    operator: &Operator,
    id: PathId<JobId>,
) -> Result<HttpResponse, ApiError> {
    let acted = act.on(&app.db, operator.actor(Via::Api), id.0).await?;
    Ok(HttpResponse::Accepted().json(acted))
}

/// Tries a job again: one that failed for good, from where it was, or one in backoff, at once.
///
/// # Errors
/// 401, 403, 404, 409.
#[utoipa::path(post, path = "/api/admin/jobs/{id}/retry", operation_id = "admin_retry_job", tag = "operation", security(("operator" = []), ("login" = [])),
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 202, description = "It is due", body = Acted),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or no longer kept", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It did not fail, or another is unfinished in its place", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn retry(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    answer(Act::Retry, &app, &operator, id).await
}

/// Calls a job off: at once if it never ran, else what it did is undone. One that failed for good is discarded.
///
/// # Errors
/// 401, 403, 404, 409.
#[utoipa::path(post, path = "/api/admin/jobs/{id}/cancel", operation_id = "admin_cancel_job", tag = "operation", security(("operator" = []), ("login" = [])),
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 202, description = "Asked; what was done is undone", body = Acted),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or no longer kept", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is over, or was asked before", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn cancel(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    answer(Act::Cancel, &app, &operator, id).await
}

/// Runs a job now that waits for its time.
///
/// # Errors
/// 401, 403, 404, 409.
#[utoipa::path(post, path = "/api/admin/jobs/{id}/run", operation_id = "admin_run_job", tag = "operation", security(("operator" = []), ("login" = [])),
    params(("id" = Uuid, Path, description = "The job")),
    responses(
        (status = 202, description = "It is due", body = Acted),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or no longer kept", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not wait for its time, or its queue is paused", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn run(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    answer(Act::Run, &app, &operator, id).await
}
