//! The answer "accepted": 202 with the new thing, its job, and where to look.

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use shared::db::idempotency::StoredAnswer;

use super::error::ApiError;
use super::idempotency::text;
use ::jobs::view::JobView;

/// How soon a look at the job is worth it, in seconds.
pub const RETRY_AFTER: &str = "1";

/// A first answer, which names this job.
///
/// # Errors
/// Those of [`text`].
pub fn first(job: &JobView, answer: &impl Serialize) -> Result<HttpResponse, ApiError> {
    Ok(respond(&job.links.this, text(answer)?))
}

/// The answer that was given before, as it was then.
pub fn again(answer: StoredAnswer) -> HttpResponse {
    replayed(respond(&answer.location, answer.body))
}

/// Tells that the request was done before.
pub fn replayed(mut response: HttpResponse) -> HttpResponse {
    let name = HeaderName::from_static("idempotent-replayed");
    response.headers_mut().insert(name, HeaderValue::from_static("true"));
    response
}

fn respond(location: &str, body: String) -> HttpResponse {
    HttpResponse::Accepted()
        .content_type("application/json")
        .insert_header((header::LOCATION, location))
        .insert_header((header::RETRY_AFTER, RETRY_AFTER))
        .body(body)
}
