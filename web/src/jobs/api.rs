//! `/api/jobs`: how work goes on, and calling it off.

use std::sync::Arc;

use ::jobs::Job;
use actix_web::http::header;
use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use model::JobId;
use tokio::time::timeout;

use super::deliveries::{self, DeliveriesView};
use super::hub::Subscription;
use super::{Cancellation, JobView, find_own, job_etag};
use crate::App;
use crate::auth::caller::{Caller, Unproven};
use crate::auth::customer::Customer;
use crate::http::accepted::RETRY_AFTER;
use crate::http::conditional::{has_it, preferred_wait};
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::problem::Problem;

/// A job's status, now or (with `Prefer: wait=N`) as soon as there is news.
///
/// # Errors
/// 401, 404, 410.
#[utoipa::path(get, path = "/api/jobs/{id}", operation_id = "show_job", tag = "jobs", security(("bearer" = []), ("session" = []), ("machine" = [])),
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("Prefer" = Option<String>, Header, description = "wait=N: wait up to N seconds (at most 30) for a change, if If-None-Match says what is known, else for the end", example = "wait=10"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of what is known"),
    ),
    responses(
        (status = 200, description = "The status. A failed job is not a failed request", body = JobView,
            headers(("ETag" = String, description = "Weak"), ("Retry-After" = i64, description = "Seconds, until it is final"), ("Preference-Applied" = String, description = "The wait that was granted"))),
        (status = 304, description = "Nothing new"),
        (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It was over long ago, and is no longer kept", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn show(
    app: Data<App>,
    request: HttpRequest,
    caller: Unproven,
    id: PathId<JobId>,
) -> Result<HttpResponse, ApiError> {
    let wait = preferred_wait(request.headers());
    if wait.is_none()
        && let Some(answer) = poll(&app, &request, &caller, id.0).await?
    {
        return Ok(answer);
    }
    let caller = caller.prove().await?;
    let conditional = request.headers().contains_key(header::IF_NONE_MATCH);
    // Subscribed before the row is read: no change falls between.
    let mut news = wait.map(|_| app.statuses.subscribe(id.0));
    let mut job = Arc::new(find_own(&app.db, &caller, id.0).await?);
    if let (Some(wait), Some(news)) = (wait, &mut news) {
        let enough =
            |job: &Job| job.state.is_final() || (conditional && !has_it(request.headers(), &job_etag(job)));
        let _ = timeout(wait, wait_until(news, &mut job, enough)).await;
    }
    let known = has_it(request.headers(), &job_etag(&job));
    let mut response = answer(known, &job);
    if let Some(wait) = wait {
        response.insert_header(("Preference-Applied", format!("wait={}", wait.as_secs())));
    }
    Ok(if known { response.finish() } else { response.json(JobView::from(&*job)) })
}

/// The usual case, in one statement: a customer asks for an own job. `None`: it is anything else.
async fn poll(
    app: &App,
    request: &HttpRequest,
    caller: &Unproven,
    id: JobId,
) -> Result<Option<HttpResponse>, ApiError> {
    let Some(token_hash) = caller.token_hash().map(Arc::<str>::from) else { return Ok(None) };
    let Some(job) = app.reads.job(id, token_hash).await? else { return Ok(None) };
    let known = has_it(request.headers(), &job_etag(&job));
    let mut response = answer(known, &job);
    Ok(Some(if known { response.finish() } else { response.json(JobView::from(&job)) }))
}

/// The head of an answer; `known`: the client has what it would say.
fn answer(known: bool, job: &Job) -> HttpResponseBuilder {
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, job_etag(job)))
        .insert_header((header::VARY, "Authorization, Cookie, Prefer"));
    if !job.state.is_final() {
        response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
    }
    response
}

async fn wait_until(news: &mut Subscription, job: &mut Arc<Job>, enough: impl Fn(&Job) -> bool) {
    while !enough(job) {
        match news.changed_from(job).await {
            Some(newer) => *job = newer,
            None => return,
        }
    }
}

/// Asks for a job's cancellation.
///
/// # Errors
/// 401, 404, 409, 410.
#[utoipa::path(delete, path = "/api/jobs/{id}", operation_id = "cancel_job", tag = "jobs", security(("bearer" = []), ("session" = []), ("machine" = [])), params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 202, description = "Asked; what was done is undone. It may still succeed before", body = JobView),
    (status = 200, description = "It is cancelled already", body = JobView),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
    (status = 410, description = "It was over long ago, and is no longer kept", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "It is finished", body = Problem, content_type = "application/problem+json"),
))]
pub async fn cancel(app: Data<App>, caller: Caller, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    Ok(match super::cancel(&app.db, &caller, id.0).await? {
        Cancellation::Asked(job) => HttpResponse::Accepted()
            .insert_header((header::RETRY_AFTER, RETRY_AFTER))
            .json(JobView::from(&*job)),
        Cancellation::Known(job) => HttpResponse::Ok().json(JobView::from(&*job)),
    })
}

/// Who is told of a job, and what became of it.
///
/// # Errors
/// 401, 404, 410.
#[utoipa::path(get, path = "/api/jobs/{id}/deliveries", operation_id = "list_deliveries", tag = "jobs", params(("id" = Uuid, Path, description = "The job")), responses(
    (status = 200, description = "Its callbacks", body = DeliveriesView),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
    (status = 410, description = "It was over long ago, and is no longer kept", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list_deliveries(
    app: Data<App>,
    customer: Customer,
    id: PathId<JobId>,
) -> Result<Json<DeliveriesView>, ApiError> {
    let job = find_own(&app.db, &Caller::Customer(customer), id.0).await?;
    let view = app.db.run(move |db| async move {
        Ok::<_, ApiError>(deliveries::read(&mut db.conn().await?, job.id).await?)
    });
    Ok(Json(view.await?))
}
