//! `/api/jobs`: how work goes on, and calling it off.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use shared::db::jobs::cancel::CancelOutcome;
use shared::db::jobs::{Job, status};
use shared::db::{Conn, Db, expired_jobs, triggers};
use shared::domain::JobId;
use shared::domain::job::JobState;
use shared::jobs::cancel_job;
use tokio::time::timeout;

use crate::App;
use crate::auth::caller::{Caller, Unproven};
use crate::http::accepted::RETRY_AFTER;
use crate::http::conditional::{has_it, preferred_wait};
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::problem::Problem;
use crate::status::Subscription;
use crate::views::{JobView, job_etag};

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
    let known = find_own(&app.db, &caller, id.0).await?;
    let outcome = app
        .db
        .run(move |db| async move {
            let mut tx = db.begin().await?;
            let outcome = cancel_job(&mut tx, id.0).await?;
            tx.commit().await?;
            Ok::<_, ApiError>(outcome)
        })
        .await?;
    match outcome {
        CancelOutcome::Cancelled(job) | CancelOutcome::Requested(job) => Ok(HttpResponse::Accepted()
            .insert_header((header::RETRY_AFTER, RETRY_AFTER))
            .json(JobView::from(&*job))),
        CancelOutcome::Over(JobState::Cancelled) => {
            let job = if known.state.is_final() { known } else { find_own(&app.db, &caller, id.0).await? };
            Ok(HttpResponse::Ok().json(JobView::from(&job)))
        }
        CancelOutcome::Over(_) => {
            Err(ApiError::Conflict("The job is finished: it can't be cancelled any more."))
        }
        CancelOutcome::Unknown => Err(ApiError::NotFound("job")),
    }
}

/// A job of this customer's, or of this machine's.
///
/// # Errors
/// [`ApiError::NotFound`], also when it is somebody else's or nobody's; [`ApiError::Gone`].
pub async fn find_own(db: &Db, caller: &Caller, id: JobId) -> Result<Job, ApiError> {
    let caller = caller.clone();
    db.run(move |db| {
        let caller = caller.clone();
        async move {
            let mut conn = db.conn().await?;
            let Some(job) = status::find(&mut conn, id).await? else {
                return Err(absent(&mut conn, &caller, id).await?);
            };
            let may = match caller {
                Caller::Customer(customer) => job.owner == Some(customer.id),
                Caller::Machine(machine) => triggers::source_of(&mut conn, id).await? == Some(machine.name),
            };
            if may { Ok(job) } else { Err(ApiError::NotFound("job")) }
        }
    })
    .await
}

/// Why there is no job: there was one of this caller's, or none that they may know of.
async fn absent(conn: &mut Conn, caller: &Caller, id: JobId) -> Result<ApiError, ApiError> {
    let expired = expired_jobs::find(conn, id).await?;
    let may = expired.is_some_and(|expired| match caller {
        Caller::Customer(customer) => expired.owner == Some(customer.id),
        Caller::Machine(machine) => expired.source.as_ref() == Some(&machine.name),
    });
    Ok(if may { ApiError::Gone("job") } else { ApiError::NotFound("job") })
}
