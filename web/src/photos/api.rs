//! `/api/photos`: uploads, and what became of them.

use actix_web::web::{Data, Json, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use shared::db::idempotency::KeyedRequest;
use shared::domain::PhotoId;
use utoipa::ToSchema;

use crate::App;
use crate::auth::caller::Unproven;
use crate::auth::customer::Customer;
use crate::http::accepted;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::idempotency::{Answered, IdempotencyKey, fingerprint};
use crate::http::paging::Paging;
use crate::http::problem::Problem;
use crate::http::trace::TraceContext;
use crate::photos::view::{AcceptedPhoto, PhotoView};
use crate::photos::{self, AcceptPhoto, upload};

/// A page of photos.
#[derive(Debug, Serialize, ToSchema)]
pub struct PhotoList {
    /// The newest first.
    pub photos: Vec<PhotoView>,
    /// The path of the next page.
    pub next: Option<String>,
}

/// Uploads a photo; its sizes are made afterwards.
///
/// # Errors
/// 400, 401, 409, 413, 415, 422, 429.
#[utoipa::path(post, path = "/api/photos", operation_id = "upload_photo", tag = "photos",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes it safe to send again, within 24 h", max_length = 255)),
    request_body(description = "The picture: JPEG, PNG, GIF or WebP", content(
        (upload::PhotoForm = "multipart/form-data"), (Vec<u8> = "image/*"),
    )),
    responses(
        (status = 202, description = "Accepted; the job tells how it goes on", body = AcceptedPhoto,
            headers(("Location" = String, description = "The job"), ("Retry-After" = i64, description = "Seconds"))),
        (status = 400, description = "Malformed, empty, no file or two", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The same key is being answered", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Not a picture that we take", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Too many pixels, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many uploads, or too many unfinished jobs", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many unfinished jobs in all", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn create(
    app: Data<App>,
    request: HttpRequest,
    sender: Unproven,
    IdempotencyKey(key): IdempotencyKey,
    trace: TraceContext,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let token_hash = sender.token_hash().ok_or(ApiError::Unauthenticated)?;
    let customer = photos::admit_by_token(&app, token_hash).await?;
    let received = upload::receive(&app, &request, payload).await?;
    let keyed = key.map(|key| {
        let hash = fingerprint("POST", "/api/photos", received.sha256.as_bytes());
        KeyedRequest { customer, key, hash }
    });
    let traceparent = trace.to_string();
    match photos::accept(&app, AcceptPhoto { customer, received, keyed, traceparent }).await? {
        Answered::New(new) => accepted::first(&new.job, &new),
        Answered::Before(answer) => Ok(accepted::again(answer)),
    }
}

/// One's own photos, the newest first.
///
/// # Errors
/// 400, 401.
#[utoipa::path(get, path = "/api/photos", operation_id = "list_photos", tag = "photos", params(Paging), responses(
    (status = 200, description = "A page of photos", body = PhotoList),
    (status = 400, description = "Not a page", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(
    app: Data<App>,
    customer: Customer,
    paging: Query<Paging>,
) -> Result<Json<PhotoList>, ApiError> {
    let limit = paging.limit()?;
    let before = paging.before.map(PhotoId);
    let mut photos = photos::page(&app, customer.id, before, limit + 1).await?;
    let next = paging.cut("/api/photos", limit, &mut photos, |photo| photo.id);
    Ok(Json(PhotoList { photos, next }))
}

/// One photo.
///
/// # Errors
/// 401, 404.
#[utoipa::path(get, path = "/api/photos/{id}", operation_id = "show_photo", tag = "photos", params(("id" = Uuid, Path, description = "The photo")), responses(
    (status = 200, description = "The photo", body = PhotoView),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    app: Data<App>,
    customer: Customer,
    id: PathId<PhotoId>,
) -> Result<Json<PhotoView>, ApiError> {
    Ok(Json(photos::show(&app, customer.id, id.0).await?))
}

/// Deletes a photo and all its sizes.
///
/// # Errors
/// 401, 404, 409.
#[utoipa::path(delete, path = "/api/photos/{id}", operation_id = "delete_photo", tag = "photos", params(("id" = Uuid, Path, description = "The photo")), responses(
    (status = 204, description = "Deleted"),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
    (status = 409, description = "An unfinished order uses it", body = Problem, content_type = "application/problem+json"),
))]
pub async fn delete(
    app: Data<App>,
    customer: Customer,
    id: PathId<PhotoId>,
) -> Result<HttpResponse, ApiError> {
    photos::delete(&app, customer.id, id.0).await?;
    Ok(HttpResponse::NoContent().finish())
}
