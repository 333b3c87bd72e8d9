//! `/api/jobs/{id}/events`: a job's changes as server-sent events (HTML §9.2).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::jobs::Job;
use actix_web::web::Data;
use actix_web::{Either, HttpRequest, HttpResponse, Responder};
use actix_web_lab::sse;
use futures_util::stream;
use model::JobId;

use super::hub::Subscription;
use super::{JobView, find_own};
use crate::App;
use crate::auth::caller::Caller;
use crate::http::conditional::last_event_id;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::problem::Problem;

/// A comment goes out so often, so that proxies keep the connection and a dead client is found.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A client whose connection was lost comes back after this time.
const RECONNECT: Duration = Duration::from_secs(2);

/// Where a stream is.
enum Stage {
    /// Send this, which the client has not seen.
    Send(Arc<Job>),
    /// The client has seen this; wait for something newer.
    Wait(Arc<Job>),
    /// The final state is out.
    Done,
}

/// The job's status at each change, until it is final. A client that has seen the final one already gets
/// 204, which tells it not to come back.
///
/// # Errors
/// 401, 404, 410.
#[utoipa::path(get, path = "/api/jobs/{id}/events", operation_id = "follow_job", tag = "jobs", security(("bearer" = []), ("session" = []), ("machine" = [])),
    params(
        ("id" = Uuid, Path, description = "The job"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last version that was seen"),
    ),
    responses(
        (status = 200, description = "Events named status; their id is the version, their data a job", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The final one was seen already"),
        (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
        (status = 410, description = "It was over long ago, and is no longer kept", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn stream(
    app: Data<App>,
    request: HttpRequest,
    caller: Caller,
    id: PathId<JobId>,
) -> Result<Either<HttpResponse, impl Responder>, ApiError> {
    // Subscribed before the row is read: no change falls between.
    let news = app.statuses.subscribe(id.0);
    let job = Arc::new(find_own(&app.db, &caller, id.0).await?);
    let seen = last_event_id(request.headers()).is_some_and(|seen| job.version <= seen);
    if seen && job.state.is_final() {
        return Ok(Either::Left(HttpResponse::NoContent().finish()));
    }
    let stage = if seen { Stage::Wait(job) } else { Stage::Send(job) };
    let events = stream::unfold((stage, news), next);
    let response = sse::Sse::from_stream(events).with_keep_alive(KEEP_ALIVE).with_retry_duration(RECONNECT);
    // nginx would gather the events otherwise.
    Ok(Either::Right(response.customize().insert_header(("X-Accel-Buffering", "no"))))
}

async fn next(
    (stage, mut news): (Stage, Subscription),
) -> Option<(Result<sse::Event, Infallible>, (Stage, Subscription))> {
    let job = match stage {
        Stage::Send(job) => job,
        Stage::Wait(known) => news.changed_from(&known).await?,
        Stage::Done => return None,
    };
    let event = event(&job)?;
    let stage = if job.state.is_final() { Stage::Done } else { Stage::Wait(job) };
    Some((Ok(event), (stage, news)))
}

fn event(job: &Job) -> Option<sse::Event> {
    let data = sse::Data::new_json(JobView::from(job)).ok()?;
    Some(data.event("status").id(job.version.to_string()).into())
}
