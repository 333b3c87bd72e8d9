//! The answer "accepted": 202 with the new thing, its job, and where to look.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::db::idempotency::Key;
use shared::db::jobs::Job;

use super::error::ApiError;
use crate::jobs::{JobView, job_path};
use shared::intake::hex;

/// How soon a look at the job is worth it, in seconds.
pub const RETRY_AFTER: &str = "1";

/// An answer, as it is sent and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The job's path.
    pub location: String,
    /// JSON.
    pub body: String,
    /// Whether it was given before.
    pub replayed: bool,
}

impl Accepted {
    /// A first answer.
    pub fn new(job: &Job, body: String) -> Self {
        Self { location: job_path(job), body, replayed: false }
    }

    /// The answer under a key that is not new.
    ///
    /// # Errors
    /// 422 when it was another request's; 409 while it is being given.
    pub fn again(key: Key) -> Result<Self, ApiError> {
        match key {
            Key::Answered(answer) => {
                Ok(Self { location: answer.location, body: answer.body, replayed: true })
            }
            Key::Misused => Err(ApiError::KeyMisused),
            Key::Busy => Err(ApiError::Conflict(
                "The same request is being answered right now. Ask again in a moment for its answer.",
            )),
            Key::New => Err(ApiError::Internal("a new key has no answer yet".into())),
        }
    }

    /// Says in the log which job the request left: its trace leads from here to the worker's log. To be
    /// called after the commit, within the request.
    pub fn log(&self) {
        if !self.replayed {
            tracing::info!(job = self.location, "accepted");
        }
    }

    /// The response.
    pub fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::Accepted();
        response
            .content_type("application/json")
            .insert_header((header::LOCATION, self.location))
            .insert_header((header::RETRY_AFTER, RETRY_AFTER));
        if self.replayed {
            response.insert_header(("Idempotent-Replayed", "true"));
        }
        response.body(self.body)
    }
}

/// The body `{"photo"|"order": …, "job": …}`.
///
/// # Errors
/// None that can happen: views are plain.
pub fn accepted_json(name: &str, subject: &impl Serialize, job: &Job) -> Result<String, ApiError> {
    let broken = |error: serde_json::Error| ApiError::Internal(format!("an answer is not JSON: {error}"));
    let subject = serde_json::to_value(subject).map_err(broken)?;
    serde_json::to_string(&json!({name: subject, "job": JobView::from(job)})).map_err(broken)
}

/// What a key belongs to: method, path and body, as SHA-256 in hexadecimal.
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}
