//! `/api/tasks`: starting one.

use ::jobs::triggers::Trigger;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use model::KindInfo;
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::auth::machine::Machine;
use crate::http::accepted;
use crate::http::error::ApiError;
use crate::http::extract::JsonBody;
use crate::http::idempotency::IdempotencyKey;
use crate::http::problem::{FieldError, Problem};
use crate::http::trace::TraceContext;
use crate::jobs::JobView;

/// A task that was started.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedTask<'a> {
    /// Its job.
    pub job: &'a JobView,
}

/// Starts a task; its job can be followed, and cancelled, with the same machine token.
///
/// # Errors
/// 400, 401, 403, 404, 415, 422, 429.
#[utoipa::path(post, path = "/api/tasks/{name}", operation_id = "start_task", tag = "tasks", security(("machine" = [])),
    params(
        ("name" = String, Path, description = "The kind of job", example = "remake_thumbnails"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send again: the same key is the same job", max_length = 255),
    ),
    request_body(description = "The arguments", content((Object = "application/json"))),
    responses(
        (status = 202, description = "Accepted; the job tells how it goes on", body = AcceptedTask,
            headers(("Location" = String, description = "The job"), ("Retry-After" = i64, description = "Seconds"))),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No machine token", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "A customer's token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No task of that name", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Wrong arguments, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn start(
    app: Data<App>,
    machine: Machine,
    name: Path<String>,
    IdempotencyKey(key): IdempotencyKey,
    trace: TraceContext,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    app.rates.tasks(&machine.name)?;
    let kind = KindInfo::task(&name).map_err(|_| ApiError::NotFound("task"))?;
    let args = (kind.read_args)(&body.value)
        .map_err(|wrong| ApiError::Invalid(vec![FieldError::new(wrong.field, wrong.message)]))?;
    let source = machine.name.clone();
    let trigger = Trigger { source, key, kind, args, traceparent: Some(trace.to_string()) };
    let (job, replayed) = super::start(&app, trigger).await?;
    // Who started what, for those who ask later.
    tracing::info!(machine = machine.name, task = kind.name, job = %job.id, replayed, "a machine started a task");
    let job = JobView::from(&job);
    let response = accepted::first(&job, &AcceptedTask { job: &job })?;
    Ok(if replayed { accepted::replayed(response) } else { response })
}
