//! `/api/admin/dead`: dead letters by reason, and what is to become of them.

use ::jobs::filter::FilterInput;
use actix_web::HttpResponse;
use actix_web::web::{Data, Json, Query};
use model::JobId;
use operations::dead::{self, DeadLetters, How, MESSAGES_A_PAGE, MessageView, Report, Which};
use operations::operator::Via;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::extract::JsonBody;
use crate::http::problem::{FieldError, Problem};

/// Which dead jobs, and how.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// These, at most 500; or
    jobs: Vec<Uuid>,
    /// those that this fits; or
    filter: FilterInput,
    /// all.
    all: bool,
    /// Change nothing, and say what would be done.
    dry_run: bool,
    /// Let so many a second become due, 1 to 10000; all at once if not said.
    per_second: Option<u32>,
    /// Of a filter or all, go on after this job: the last report's `next`.
    after: Option<Uuid>,
    /// How many were done before: what the reports before say in `done`, together.
    already: usize,
}

/// Unreadable messages of one reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageSelection {
    /// The queue where they came.
    queue: String,
    /// Why they could not be read, as the groups say it.
    reason: String,
}

/// Where a page begins.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessagePaging {
    /// Only those that are older than the message of this id: the last page's `next`.
    pub before: Option<Uuid>,
}

/// A page of messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessagePage {
    /// The newest first.
    pub items: Vec<MessageView>,
    /// Where the next page begins; `null` if this is the last.
    pub next: Option<Uuid>,
}

/// How many were removed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Removed {
    /// How many.
    done: usize,
}

/// The most that become due in a second.
pub const MOST_PER_SECOND: u32 = 10_000;

/// Dead letters by reason: jobs whose tries are used up or whose leases lapsed too often, and unreadable messages.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/admin/dead", operation_id = "admin_list_dead", tag = "operation", security(("operator" = []), ("login" = [])),
    responses(
        (status = 200, description = "The largest groups first", body = DeadLetters),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn list(app: Data<App>, _: Operator) -> Result<Json<DeadLetters>, ApiError> {
    Ok(Json(app.db.run(|db| async move { dead::letters(&db).await }).await?))
}

/// Has dead jobs tried again from where they were, with what they need and is dead, too.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(post, path = "/api/admin/dead/redrive", operation_id = "admin_redrive", tag = "operation", security(("operator" = []), ("login" = [])),
    request_body = Selection,
    responses(
        (status = 200, description = "What was done; go on while `next` is not null", body = Report),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not clear which are meant", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn redrive(app: Data<App>, operator: Operator, body: JsonBody) -> Result<Json<Report>, ApiError> {
    let (which, how) = read(&body)?;
    let actor = operator.actor(Via::Api);
    let db = app.db.patient();
    let done = db.run(move |db| {
        let (actor, which) = (actor.clone(), which.clone());
        async move { dead::redrive(&db, &actor, which, how).await }
    });
    Ok(Json(done.await?))
}

/// Gives dead jobs up: what they did is undone.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(post, path = "/api/admin/dead/discard", operation_id = "admin_discard", tag = "operation", security(("operator" = []), ("login" = [])),
    request_body = Selection,
    responses(
        (status = 200, description = "What was done; go on while `next` is not null", body = Report),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Not clear which are meant", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn discard(app: Data<App>, operator: Operator, body: JsonBody) -> Result<Json<Report>, ApiError> {
    let (which, how) = read(&body)?;
    let actor = operator.actor(Via::Api);
    let db = app.db.patient();
    let done = db.run(move |db| {
        let (actor, which) = (actor.clone(), which.clone());
        async move { dead::discard(&db, &actor, which, how.dry_run).await }
    });
    Ok(Json(done.await?))
}

/// Messages that could not be read.
///
/// # Errors
/// 400, 401.
#[utoipa::path(get, path = "/api/admin/dead/messages", operation_id = "admin_list_dead_messages", tag = "operation", security(("operator" = []), ("login" = [])),
    params(MessagePaging),
    responses(
        (status = 200, description = "The newest first", body = MessagePage),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn messages(
    app: Data<App>,
    _: Operator,
    paging: Query<MessagePaging>,
) -> Result<Json<MessagePage>, ApiError> {
    Ok(Json(page(&app, paging.before).await?))
}

/// A page of messages.
///
/// # Errors
/// Those of the database.
pub async fn page(app: &App, before: Option<Uuid>) -> Result<MessagePage, ApiError> {
    let items = app.db.run(move |db| async move { dead::messages(&db, before).await }).await?;
    let is_full = i64::try_from(items.len()).is_ok_and(|count| count >= MESSAGES_A_PAGE);
    let next = items.last().filter(|_| is_full).map(|message| message.id);
    Ok(MessagePage { items, next })
}

/// Removes the unreadable messages of one reason.
///
/// # Errors
/// 401, 403, 422.
#[utoipa::path(post, path = "/api/admin/dead/messages/discard", operation_id = "admin_discard_messages", tag = "operation", security(("operator" = []), ("login" = [])),
    request_body = MessageSelection,
    responses(
        (status = 200, description = "How many were removed", body = Removed),
        (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "Not an operator", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "May look, but change nothing", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A field is missing", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn discard_messages(
    app: Data<App>,
    operator: Operator,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let MessageSelection { queue, reason } = body.parse()?;
    let actor = operator.actor(Via::Api);
    let db = app.db.patient();
    let done = db.run(move |db| {
        let (actor, queue, reason) = (actor.clone(), queue.clone(), reason.clone());
        async move { dead::discard_messages(&db, &actor, &queue, &reason).await }
    });
    Ok(HttpResponse::Ok().json(json!({ "done": done.await? })))
}

fn read(body: &JsonBody) -> Result<(Which, How), ApiError> {
    let Selection { jobs, filter, all, dry_run, per_second, after, already } = body.parse()?;
    if per_second.is_some_and(|rate| !(1..=MOST_PER_SECOND).contains(&rate)) {
        let message = format!("is 1 to {MOST_PER_SECOND}");
        return Err(ApiError::Invalid(vec![FieldError::new("per_second", message)]));
    }
    let jobs = jobs.into_iter().map(JobId).collect();
    let which = Which::asked(jobs, filter, all, after.map(JobId))?;
    Ok((which, How { dry_run, per_second, already }))
}
