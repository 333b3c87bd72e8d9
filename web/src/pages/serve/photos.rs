//! The gallery, one photo, upload and deletion.

use actix_web::web::{Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use shared::blobs::BlobPath;
use shared::db::photos as rows;
use shared::domain::PhotoId;
use shared::domain::photo::PhotoStatus;

use super::{Shop, html, pictures, see_other, shell, unsigned};
use crate::App;
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::customers;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::http::trace::TraceContext;
use crate::pages::Section;
use crate::pages::photos::{Original, PhotoCard, PhotoPage, PhotosPage};
use crate::photos::{self, AcceptPhoto};
use crate::upload;
use crate::views::PhotoView;
use shared::intake::Received;

/// Photos on one page of the gallery.
const PAGE: usize = 24;

/// `?before=` of the gallery.
#[derive(Deserialize)]
pub struct Cursor {
    before: Option<String>,
}

/// `GET /`
pub async fn gallery(
    app: Shop,
    OptionalCustomer(customer): OptionalCustomer,
    query: Query<Cursor>,
) -> Result<HttpResponse, ApiError> {
    let before: Option<PhotoId> = query.before.as_deref().and_then(|text| text.parse().ok());
    html(&gallery_page(&app, customer, before, Vec::new()).await?)
}

async fn gallery_page(
    app: &App,
    customer: Option<Customer>,
    before: Option<PhotoId>,
    upload_problems: Vec<String>,
) -> Result<PhotosPage, ApiError> {
    let mut views = match customer {
        Some(customer) => page(app, customer, before, PAGE + 1).await?,
        None => Vec::new(),
    };
    let more = views.len() > PAGE;
    views.truncate(PAGE);
    let older_url = views.last().filter(|_| more).map(|last| format!("/?before={}", last.id));
    Ok(PhotosPage {
        shell: shell(app, customer, Section::Photos),
        photos: views.iter().map(card).collect(),
        first_page: before.is_none(),
        older_url,
        upload_problems,
        max_upload_bytes: app.config.max_upload_bytes,
        max_pixels: app.config.picture_limits.max_pixels,
    })
}

/// A customer's photos, the newest first.
pub(super) async fn page(
    app: &App,
    customer: Customer,
    before: Option<PhotoId>,
    limit: usize,
) -> Result<Vec<PhotoView>, ApiError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let list = rows::page(&mut conn, customer.id, before, limit).await?;
            photos::views(&mut conn, &list).await
        })
        .await
}

fn card(view: &PhotoView) -> PhotoCard {
    PhotoCard {
        id: view.id.to_string(),
        job_id: view.job_id.to_string(),
        name: view.file_name.clone().unwrap_or_default(),
        status: PhotoStatus::from_name(view.status).unwrap_or(PhotoStatus::Processing),
        reason: view.reason.clone(),
        pictures: pictures(view),
        uploaded_at: view.created_at.to_rfc3339(),
    }
}

/// `POST /photos`: one or more pictures; each that is not taken is named on the page that follows.
pub async fn upload(
    app: Shop,
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
        let page = gallery_page(&app, Some(customer), None, problems).await?;
        let mut response = html(&page)?;
        *response.head_mut() = {
            let mut head =
                actix_web::dev::ResponseHead::new(actix_web::http::StatusCode::UNPROCESSABLE_ENTITY);
            head.headers = response.headers().clone();
            head
        };
        response
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

/// `GET /photos/{id}`
pub async fn photo(app: Shop, customer: Customer, id: PathId<PhotoId>) -> Result<HttpResponse, ApiError> {
    html(&photo_page(&app, customer, id.0, None).await?)
}

async fn photo_page(
    app: &App,
    customer: Customer,
    id: PhotoId,
    problem: Option<String>,
) -> Result<PhotoPage, ApiError> {
    let view: PhotoView = app
        .db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let photo = photos::find_own(&mut conn, customer.id, id).await?;
            let mut views = photos::views(&mut conn, &[photo]).await?;
            views.pop().ok_or(ApiError::NotFound("photo"))
        })
        .await?;
    Ok(PhotoPage {
        shell: shell(app, Some(customer), Section::Photos),
        photo: card(&view),
        original: Original {
            url: format!("/photos/{id}/original"),
            content_type: view.content_type.to_owned(),
            width: unsigned(view.width.unwrap_or_default()),
            height: unsigned(view.height.unwrap_or_default()),
            bytes: u64::try_from(view.bytes).unwrap_or_default(),
        },
        problem,
    })
}

/// `POST /photos/{id}/delete`
pub async fn delete(app: Shop, customer: Customer, id: PathId<PhotoId>) -> Result<HttpResponse, ApiError> {
    match photos::delete(&app, customer.id, id.0).await {
        Ok(()) => Ok(see_other("/")),
        Err(ApiError::Conflict(why)) => {
            let page = photo_page(&app, customer, id.0, Some(why.to_owned())).await?;
            Ok(HttpResponse::Conflict().content_type("text/html; charset=utf-8").body(super::render(&page)?))
        }
        Err(error) => Err(error),
    }
}
