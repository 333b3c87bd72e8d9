//! Uploads: from the request straight into the blob store, whatever their size.
//!
//! The two forms of a request, and what happens to the rest of a refused one. Type, size and dimensions are
//! checked while the bytes go by, see [`shared::intake`].

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use shared::blobs::BlobPath;
use shared::domain::file_name;
use shared::intake::{Intake, IntakeLimits, Received};
use tokio::time::timeout;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

use super::delete_blobs;
use crate::App;
use crate::http::error::ApiError;

/// The name of the multipart field that holds the picture.
const FIELD: &str = "file";

/// The form of an upload, for the description alone: it is read field by field as it comes, and is never a whole.
pub struct PhotoForm;

impl PartialSchema for PhotoForm {
    fn schema() -> RefOr<Schema> {
        let file = ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .description(Some("The picture."));
        ObjectBuilder::new()
            .property(FIELD, file)
            .required(FIELD)
            .description(Some("The form of an upload."))
            .into()
    }
}

impl ToSchema for PhotoForm {}

/// The multipart form around the file, with other fields, may have so many bytes more.
const FORM_OVERHEAD: u64 = 64 * 1024;

/// Who sends nothing for so long has gone.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of a refused upload so much is read, so that the client reads our answer instead of a broken
/// connection.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// The request's body, so that what is left of it can be read after the multipart reader is gone.
#[derive(Clone)]
struct Body(Rc<RefCell<Payload>>);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(cx)
    }
}

enum Form {
    Multipart,
    Raw,
}

/// Takes the one picture of a request. Whatever goes wrong, no blob stays behind.
///
/// # Errors
/// 400 malformed, empty, no field `file`, or two; 408; 413; 415 by type or by content; 422 dimensions.
pub async fn receive(app: &App, request: &HttpRequest, payload: Payload) -> Result<Received, ApiError> {
    let form = form(request)?;
    let limit = app.config.max_upload_bytes;
    let overhead = if matches!(form, Form::Multipart) { FORM_OVERHEAD } else { 0 };
    if content_length(request).is_some_and(|length| length > limit + overhead) {
        return Err(ApiError::TooLarge(limit));
    }
    let mut body = Body(Rc::new(RefCell::new(payload)));
    let received = match form {
        Form::Multipart => take_form(app, request, body.clone()).await,
        Form::Raw => take_file(intake(app), body.clone(), |_| BROKEN).await,
    };
    if received.is_err() {
        // In time or not, in full or not: the answer is the same.
        let _ = timeout(DRAIN_TIME, drain(&mut body)).await;
    }
    received
}

fn intake(app: &App) -> Intake {
    let limits = IntakeLimits { bytes: app.config.max_upload_bytes, pictures: app.config.picture_limits };
    Intake::new(app.blobs.clone(), limits)
}

const BROKEN: ApiError =
    ApiError::Malformed(std::borrow::Cow::Borrowed("The upload broke off or is malformed."));

fn form(request: &HttpRequest) -> Result<Form, ApiError> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = value.unwrap_or_default().trim_start().to_ascii_lowercase();
    if content_type.starts_with("multipart/form-data") {
        Ok(Form::Multipart)
    } else if content_type.starts_with("image/") {
        Ok(Form::Raw)
    } else {
        let detail = "Send the picture as multipart/form-data with a field \"file\", or as an image/* body.";
        Err(ApiError::UnsupportedMediaType(detail))
    }
}

fn content_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What became of one file of a page's form, with the name that it had.
pub type FormFile = (String, Result<Received, ApiError>);

/// The most files that a page's form may bring at once.
const FORM_FILES: u64 = 20;

/// Takes the pictures of a page's form: any number of fields `file`. Each is taken or refused on its own;
/// one without a name and without content is what a browser sends when nothing was chosen.
///
/// # Errors
/// 400 and 408 when the form itself breaks off, 413 when it is too large as a whole. What was taken until
/// then is given up.
pub async fn receive_form(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
) -> Result<Vec<FormFile>, ApiError> {
    let limit = app.config.max_upload_bytes.saturating_mul(FORM_FILES);
    if content_length(request).is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge(limit));
    }
    let mut form = Multipart::new(request.headers(), payload);
    let mut files: Vec<FormFile> = Vec::new();
    let outcome = take_files(app, &mut form, &mut files).await;
    if outcome.is_err() {
        let taken = files.iter().filter_map(|(_, received)| received.as_ref().ok());
        let blobs: Vec<_> = taken.map(|received| BlobPath::Original(received.id)).collect();
        delete_blobs(&app.blobs, &blobs).await;
    }
    outcome.map(|()| files)
}

async fn take_files(app: &App, form: &mut Multipart, files: &mut Vec<FormFile>) -> Result<(), ApiError> {
    let mut rest = 0;
    while let Some(field) = next(form).await? {
        let field = field.map_err(|_| BROKEN)?;
        let name = field.content_disposition().and_then(|disposition| disposition.get_filename());
        let name = name.and_then(file_name::sanitise);
        if field.name() != Some(FIELD) || name.is_none() {
            skip(field, &mut rest).await?;
            continue;
        }
        // A field must not be asked again after its end.
        let mut field = field.fuse();
        let mut received = take_file(intake(app), &mut field, |_: MultipartError| BROKEN).await;
        if let Ok(received) = &mut received {
            received.file_name.clone_from(&name);
        }
        // The next file begins where this one ends, taken or not.
        let mut surplus = 0;
        while let Some(chunk) = next(&mut field).await? {
            surplus += chunk.map_err(|_| BROKEN)?.len() as u64;
            if surplus > DRAIN_BYTES {
                return Err(ApiError::TooLarge(app.config.max_upload_bytes));
            }
        }
        files.push((name.unwrap_or_default(), received));
        if files.len() as u64 > FORM_FILES {
            return Err(ApiError::Malformed(format!("At most {FORM_FILES} files at once.").into()));
        }
    }
    if files.is_empty() {
        return Err(ApiError::Malformed("No file was chosen.".into()));
    }
    Ok(())
}

/// Takes the field `file`; others are read and forgotten, up to a limit.
async fn take_form(app: &App, request: &HttpRequest, body: Body) -> Result<Received, ApiError> {
    let mut form = Multipart::new(request.headers(), body);
    let mut received: Option<Received> = None;
    let mut rest = 0;
    let outcome = loop {
        let field = match next(&mut form).await {
            Ok(Some(Ok(field))) => field,
            Ok(Some(Err(_))) => break Err(BROKEN),
            Ok(None) => break Ok(()),
            Err(slow) => break Err(slow),
        };
        let step = match (field.name() == Some(FIELD), &received) {
            (true, Some(_)) => Err(ApiError::Malformed("There are two fields \"file\": send one.".into())),
            (true, None) => take_field(app, field).await.map(|taken| received = Some(taken)),
            (false, _) => skip(field, &mut rest).await,
        };
        if let Err(error) = step {
            break Err(error);
        }
    };
    match (outcome, received) {
        (Ok(()), Some(received)) => Ok(received),
        (Ok(()), None) => Err(ApiError::Malformed("There is no field \"file\".".into())),
        (Err(error), Some(taken)) => {
            delete_blobs(&app.blobs, &[BlobPath::Original(taken.id)]).await;
            Err(error)
        }
        (Err(error), None) => Err(error),
    }
}

async fn take_field(app: &App, field: Field) -> Result<Received, ApiError> {
    let name = field.content_disposition().and_then(|disposition| disposition.get_filename());
    let name = name.and_then(file_name::sanitise);
    let mut received = take_file(intake(app), field, |_: MultipartError| BROKEN).await?;
    received.file_name = name;
    Ok(received)
}

async fn skip(mut field: Field, rest: &mut u64) -> Result<(), ApiError> {
    while let Some(chunk) = next(&mut field).await? {
        *rest += chunk.map_err(|_| BROKEN)?.len() as u64;
        if *rest > FORM_OVERHEAD {
            return Err(ApiError::TooLarge(FORM_OVERHEAD));
        }
    }
    Ok(())
}

/// Lets a file's bytes run through the intake.
async fn take_file<S, E>(
    mut intake: Intake,
    mut bytes: S,
    broken: fn(E) -> ApiError,
) -> Result<Received, ApiError>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    loop {
        let step = match next(&mut bytes).await {
            Ok(None) => return Ok(intake.finish().await?),
            Ok(Some(Ok(chunk))) => intake.push(chunk).await.map_err(ApiError::from),
            Ok(Some(Err(error))) => Err(broken(error)),
            Err(slow) => Err(slow),
        };
        if let Err(error) = step {
            intake.abort().await;
            return Err(error);
        }
    }
}

/// The next item, or [`ApiError::TooSlow`].
async fn next<S: Stream + Unpin>(stream: &mut S) -> Result<Option<S::Item>, ApiError> {
    timeout(PATIENCE, stream.next()).await.map_err(|_| ApiError::TooSlow)
}

async fn drain(body: &mut Body) {
    let mut drained = 0;
    while let Some(Ok(chunk)) = body.next().await {
        drained += chunk.len() as u64;
        if drained > DRAIN_BYTES {
            return;
        }
    }
}
