//! The page of one photo.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use askama::Template;
use shared::domain::PhotoId;
use shared::domain::photo::PhotoStatus;

use super::PhotoCard;
use crate::App;
use crate::auth::customer::Customer;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::{Section, Shell, format, html, html_with, see_other};
use crate::photos;
use crate::photos::picture::{Picture, unsigned};

/// `GET /photos/{id}`: one photo, its sizes, and what can be done with it.
#[derive(Debug, Template)]
#[template(path = "photo.html")]
pub struct PhotoPage {
    /// Around the content.
    pub shell: Shell,
    /// The photo, with its sizes.
    pub photo: PhotoCard,
    /// The file as it was uploaded, served as an attachment.
    pub original: Original,
    /// Why it could not be deleted just now: a sentence.
    pub problem: Option<String>,
}

/// The uploaded file.
#[derive(Debug, Clone)]
pub struct Original {
    /// Its path.
    pub url: String,
    /// Its media type.
    pub content_type: String,
    /// Pixels, as its header says.
    pub width: u32,
    /// Pixels, as its header says.
    pub height: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Original {
    /// The file's length, readable.
    pub fn size(&self) -> String {
        format::file_size(self.bytes)
    }

    /// `JPEG` for `image/jpeg`.
    pub fn kind(&self) -> String {
        self.content_type.trim_start_matches("image/").to_uppercase()
    }
}

impl PhotoPage {
    /// Whether the page changes by itself.
    pub fn is_live(&self) -> bool {
        self.photo.is_processing()
    }

    /// The picture to show: the largest size.
    pub fn shown(&self) -> Option<&Picture> {
        self.photo.pictures.last()
    }
}

/// `GET /photos/{id}`
pub async fn show(app: Data<App>, customer: Customer, id: PathId<PhotoId>) -> Result<HttpResponse, ApiError> {
    html(&page(&app, customer, id.0, None).await?)
}

async fn page(
    app: &App,
    customer: Customer,
    id: PhotoId,
    problem: Option<String>,
) -> Result<PhotoPage, ApiError> {
    let view = photos::show(app, customer.id, id).await?;
    Ok(PhotoPage {
        shell: Shell::of(app, Some(customer), Section::Photos),
        photo: PhotoCard::from(&view),
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
pub async fn delete(
    app: Data<App>,
    customer: Customer,
    id: PathId<PhotoId>,
) -> Result<HttpResponse, ApiError> {
    match photos::delete(&app, customer.id, id.0).await {
        Ok(()) => Ok(see_other("/")),
        Err(ApiError::Conflict(why)) => {
            let page = page(&app, customer, id.0, Some(why.to_owned())).await?;
            html_with(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error),
    }
}
