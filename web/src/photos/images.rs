//! `/photos/{id}/{variant}`: the pictures themselves.

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use chrono::Utc;
use futures_util::StreamExt;
use platform::BlobError;
use platform::signing::LinkError;
use shared::blobs::BlobPath;
use shared::db::photos::{self, Photo};
use shared::domain::PhotoId;
use shared::domain::photo::{ImageType, Variant};

use super::attachment::attachment;
use crate::App;
use crate::auth::customer::OptionalCustomer;
use crate::auth::link::SignedLink;
use crate::http::conditional::has_it;
use crate::http::error::ApiError;
use crate::http::problem::Problem;

/// A picture never changes under its address.
const CACHE_CONTROL: &str = "private, max-age=31536000, immutable";

/// A picture's file, as it is sent.
struct File {
    path: BlobPath,
    content_type: ImageType,
    bytes: i64,
    download_as: Option<String>,
}

/// A picture: a size of a photo, or the original as a download.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(get, path = "/photos/{id}/{variant}", operation_id = "show_picture", tag = "photos", params(
    ("id" = Uuid, Path, description = "The photo"),
    ("variant" = String, Path, description = "thumb, medium, large or original"),
    SignedLink,
), responses(
    (status = 400, description = "The query is malformed", body = Problem, content_type = "application/problem+json"),
    (status = 200, description = "The picture", content((Vec<u8> = "image/*"))),
    (status = 304, description = "The one that is known"),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "The link has expired or was changed", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, somebody else's, or not made yet", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show(
    app: Data<App>,
    request: HttpRequest,
    OptionalCustomer(customer): OptionalCustomer,
    path: Path<(String, String)>,
    link: Query<SignedLink>,
) -> Result<HttpResponse, ApiError> {
    let by_link = check_link(&app, request.path(), &link)?;
    if customer.is_none() && !by_link {
        return Err(ApiError::Unauthenticated);
    }
    let id: PhotoId = path.0.parse().map_err(|_| ApiError::NotFound("photo"))?;
    let may_see = move |photo: &Photo| by_link || customer.is_some_and(|owner| owner.id == photo.customer_id);
    let variant = path.1.clone();
    let file = app
        .db
        .run(move |db| {
            let variant = variant.clone();
            async move {
                let mut conn = db.conn().await?;
                let photo = photos::find(&mut conn, id).await?.filter(may_see);
                let photo = photo.ok_or(ApiError::NotFound("photo"))?;
                let sizes = photos::variants(&mut conn, &[id]).await?;
                find(&photo, &sizes, &variant).ok_or(ApiError::NotFound("size of this photo"))
            }
        })
        .await?;
    respond(&app, &request, id, &path.1, file).await
}

/// Whether the request comes by a link that we signed; a link that is no good any more is said to be so.
fn check_link(app: &App, path: &str, link: &SignedLink) -> Result<bool, ApiError> {
    let Some(signature) = &link.signature else { return Ok(false) };
    let expires = link.expires.unwrap_or_default();
    match app.keys.verify_path(path, expires, signature, Utc::now()) {
        Ok(()) => Ok(true),
        Err(LinkError::Expired) => Err(ApiError::Forbidden("The link has expired.")),
        Err(LinkError::Invalid) => Err(ApiError::Forbidden("The link is not valid.")),
    }
}

fn find(photo: &Photo, sizes: &[photos::PhotoVariant], name: &str) -> Option<File> {
    if name == "original" {
        let fallback = || format!("{}.{}", photo.id, photo.content_type.extension());
        return Some(File {
            path: BlobPath::Original(photo.id),
            content_type: photo.content_type,
            bytes: photo.bytes,
            download_as: Some(photo.file_name.clone().unwrap_or_else(fallback)),
        });
    }
    let variant = Variant::from_name(name)?;
    let size = sizes.iter().find(|size| size.name == variant)?;
    Some(File {
        path: BlobPath::Sized(photo.id, variant),
        content_type: size.content_type,
        bytes: size.bytes,
        download_as: None,
    })
}

async fn respond(
    app: &App,
    request: &HttpRequest,
    id: PhotoId,
    variant: &str,
    file: File,
) -> Result<HttpResponse, ApiError> {
    let etag = format!("\"{id}-{variant}-{}\"", file.bytes);
    let known = has_it(request.headers(), &etag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, etag)).insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    if known {
        return Ok(response.finish());
    }
    let blob = app.blobs.stream(file.path).await.map_err(|error| match error {
        // Deleted a moment ago.
        BlobError::Missing => ApiError::NotFound("photo"),
        other => other.into(),
    })?;
    let length = blob.meta.size;
    response.content_type(file.content_type.content_type());
    if let Some(name) = file.download_as {
        response.insert_header((header::CONTENT_DISPOSITION, attachment(&name)));
    }
    let bytes = blob
        .into_stream()
        .map(|chunk| chunk.inspect_err(|error| tracing::warn!(%error, "a picture could not be sent whole")));
    Ok(response.body(SizedStream::new(length, bytes)))
}
