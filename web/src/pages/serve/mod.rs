//! The handlers of the pages: the same use cases as the API's, answered with HTML.
//!
//! A form answers with 303, so that reloading does not send it again (Post/Redirect/Get).

pub mod mailbox;
pub mod order_form;
pub mod orders;
pub mod photos;

use actix_web::http::header;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;

use super::{Picture, Section, Shell};
use crate::App;
use crate::assets;
use crate::auth::customer::Customer;
use crate::http::error::ApiError;
use crate::views::{PhotoView, VariantView};

/// A page.
///
/// # Errors
/// Those of [`render`].
pub fn html(page: &impl Template) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(render(page)?))
}

/// A page as text.
///
/// # Errors
/// The template does not render, which is a mistake of ours.
pub fn render(page: &impl Template) -> Result<String, ApiError> {
    page.render().map_err(|error| ApiError::Internal(format!("a page could not be rendered: {error}")))
}

/// The answer to a form: look there.
pub fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

fn shell(app: &App, customer: Option<Customer>, section: Section) -> Shell {
    Shell { session: customer.is_some(), mailbox: app.config.mailbox.is_some(), section }
}

/// The sizes of a photo, the smallest first.
fn pictures(photo: &PhotoView) -> Vec<Picture> {
    let mut sizes: Vec<&VariantView> = photo.variants.iter().collect();
    sizes.sort_by_key(|variant| (variant.width, rank(variant.name)));
    sizes.into_iter().map(picture).collect()
}

/// A small photo has three sizes of one width: they keep their order all the same.
fn rank(name: &str) -> u8 {
    match name {
        "thumb" => 0,
        "medium" => 1,
        _ => 2,
    }
}

fn picture(variant: &VariantView) -> Picture {
    Picture {
        name: variant.name.to_owned(),
        url: variant.url.clone(),
        width: unsigned(variant.width),
        height: unsigned(variant.height),
        bytes: u64::try_from(variant.bytes).unwrap_or_default(),
    }
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// `?v=` of an asset.
#[derive(Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// Styles, scripts and the logo, from the binary.
pub async fn asset(
    request: HttpRequest,
    path: Path<String>,
    version: Query<Version>,
) -> Result<HttpResponse, ApiError> {
    let asset = assets::asset(&path).ok_or(ApiError::NotFound("asset"))?;
    let current = version.v.as_deref().is_some_and(|v| assets::is_current(&path, v));
    let caching = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = crate::http::conditional::has_it(request.headers(), &asset.etag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, asset.etag)).insert_header((header::CACHE_CONTROL, caching));
    if known {
        return Ok(response.finish());
    }
    Ok(response.content_type(asset.content_type).body(asset.bytes.into_owned()))
}

/// The app's data, as handlers get it.
type Shop = Data<App>;
