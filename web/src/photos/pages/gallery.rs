//! The gallery with its upload form.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use shared::blobs::BlobPath;
use shared::domain::PhotoId;
use shared::domain::photo::PhotoStatus;
use shared::intake::Received;

use super::PhotoCard;
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::paging::Cursor;
use crate::http::trace::TraceContext;
use crate::pages::{Section, Shell, html, html_with, see_other};
use crate::photos::{self, AcceptPhoto, upload};
use crate::{App, customers};

/// `GET /`: upload, and the visitor's own photos, newest first.
///
/// The form posts `multipart/form-data` to `/photos`: one or more parts named `file`. Without a file
/// chosen, browsers send one part with an empty file name and no content.
/// Ticked photos go to `GET /orders/new?photo=ID&photo=ID`.
#[derive(Debug, Template)]
#[template(path = "photos.html")]
pub struct PhotosPage {
    /// Around the content.
    pub shell: Shell,
    /// This page of the gallery.
    pub photos: Vec<PhotoCard>,
    /// Whether this is the gallery's first page: the others have no upload form.
    pub first_page: bool,
    /// The page of older photos, with its cursor.
    pub older_url: Option<String>,
    /// What was wrong with an upload that came without JavaScript: sentences.
    pub upload_problems: Vec<String>,
    /// The largest file that is taken, in bytes.
    pub max_upload_bytes: u64,
    /// The largest picture that is taken, in pixels.
    pub max_pixels: u64,
}

impl PhotosPage {
    /// Whether a photo here is still being made, so that the page changes by itself.
    pub fn is_live(&self) -> bool {
        self.photos.iter().any(PhotoCard::is_processing)
    }

    /// What may be uploaded, in words.
    pub fn limits(&self) -> String {
        format!(
            "JPEG, PNG, GIF or WebP, up to {} MiB and {} megapixels each",
            self.max_upload_bytes / (1024 * 1024),
            self.max_pixels / 1_000_000,
        )
    }
}

/// Photos on one page of the gallery.
const PAGE: usize = 24;

/// `GET /`
pub async fn show(
    app: Data<App>,
    OptionalCustomer(customer): OptionalCustomer,
    query: Query<Cursor>,
) -> Result<HttpResponse, ApiError> {
    html(&page(&app, customer, query.id(), Vec::new()).await?)
}

async fn page(
    app: &App,
    customer: Option<Customer>,
    before: Option<PhotoId>,
    upload_problems: Vec<String>,
) -> Result<PhotosPage, ApiError> {
    let mut views = match customer {
        Some(customer) => photos::page(app, customer.id, before, PAGE as i64 + 1).await?,
        None => Vec::new(),
    };
    let more = views.len() > PAGE;
    views.truncate(PAGE);
    let older_url = views.last().filter(|_| more).map(|last| format!("/?before={}", last.id));
    Ok(PhotosPage {
        shell: Shell::of(app, customer, Section::Photos),
        photos: views.iter().map(PhotoCard::from).collect(),
        first_page: before.is_none(),
        older_url,
        upload_problems,
        max_upload_bytes: app.config.max_upload_bytes,
        max_pixels: app.config.picture_limits.max_pixels,
    })
}

/// `POST /photos`: one or more pictures; each that is not taken is named on the page that follows.
pub async fn upload(
    app: Data<App>,
    request: HttpRequest,
    OptionalCustomer(known): OptionalCustomer,
    trace: TraceContext,
    payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let (customer, cookie) = customers::known_or_new(&app, &request, known).await?;
    let mut problems = Vec::new();
    let mut files = upload::receive_form(&app, &request, payload).await?.into_iter();
    while let Some((name, received)) = files.next() {
        let accepted = match received {
            Ok(received) => accept(&app, customer, received, &trace).await,
            Err(error) => Err(error),
        };
        match accepted {
            Ok(()) => {}
            Err(error) if error.is_fault() => {
                for received in files.filter_map(|(_, received)| received.ok()) {
                    give_up(&app, &received).await;
                }
                return Err(error);
            }
            Err(error) => problems.push(format!("{name}: {}", error.problem().detail)),
        }
    }
    let mut response = if problems.is_empty() {
        see_other("/")
    } else {
        let page = page(&app, Some(customer), None, problems).await?;
        html_with(StatusCode::UNPROCESSABLE_ENTITY, &page)?
    };
    if let Some(cookie) = cookie {
        response.add_cookie(&cookie).map_err(|error| ApiError::Internal(error.to_string()))?;
    }
    Ok(response)
}

/// Takes one file of the form; where that fails, its blob is gone.
async fn accept(
    app: &App,
    customer: Customer,
    received: Received,
    trace: &TraceContext,
) -> Result<(), ApiError> {
    if let Err(refusal) = photos::admit(app, customer.id).await {
        give_up(app, &received).await;
        return Err(refusal);
    }
    let traceparent = trace.to_string();
    photos::accept(app, AcceptPhoto { customer: customer.id, received, keyed: None, traceparent }).await?;
    Ok(())
}

async fn give_up(app: &App, received: &Received) {
    photos::delete_blobs(&app.blobs, &[BlobPath::Original(received.id)]).await;
}
