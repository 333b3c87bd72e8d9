//! Style sheets, scripts and the logo, embedded in the program: nothing to deploy beside it.
//!
//! A page names an asset by [`asset_url`], which carries a hash of the content, so a browser may keep
//! the answer for ever (`Cache-Control: immutable`). Scripts that are imported by other scripts are
//! named without the hash (an import map would have to be an inline script, which the pages' content
//! security policy forbids); those are revalidated by their `ETag`.

use std::borrow::Cow;
use std::fmt::Write;

use actix_web::http::header;
use actix_web::web::{Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;

use crate::http::conditional::has_it;
use crate::http::error::ApiError;

/// The directory `static/`.
#[derive(RustEmbed)]
#[folder = "static/"]
struct Static;

/// One embedded file, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type, with the charset where it has one.
    pub content_type: &'static str,
    /// A strong entity tag, in its quotes (RFC 9110 §8.8.3).
    pub etag: String,
}

/// The asset at `path`, relative to `/static/`; `None` if there is none.
pub fn asset(path: &str) -> Option<Asset> {
    let file = Static::get(path)?;
    let etag = format!("\"{}\"", version(&file));
    Some(Asset { bytes: file.data, content_type: content_type(path), etag })
}

/// The URL of the asset `name`, which changes when its content does: `/static/app.css?v=1a2b3c4d5e6f7081`.
///
/// A name without a file gives a URL that answers 404; a test holds that no template has one.
pub fn asset_url(name: &str) -> String {
    match Static::get(name) {
        Some(file) => format!("/static/{name}?v={}", version(&file)),
        None => format!("/static/{name}"),
    }
}

/// Whether `version`, the `v` of a request, is the one that [`asset_url`] gives out for `path` now.
///
/// Only then may the answer be cached for ever: while a new release is rolled out, an old page may ask a
/// new process, and its answer must not be kept under the other version's URL.
pub fn is_current(path: &str, version: &str) -> bool {
    Static::get(path).is_some_and(|file| self::version(&file) == version)
}

/// The first eight bytes of the SHA-256 of the content, in hexadecimal: plenty to tell versions apart.
fn version(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// `?v=` of an asset.
#[derive(Deserialize)]
pub struct Version {
    v: Option<String>,
}

/// Styles, scripts and the logo, from the binary.
pub async fn show(
    request: HttpRequest,
    path: Path<String>,
    version: Query<Version>,
) -> Result<HttpResponse, ApiError> {
    let asset = asset(&path).ok_or(ApiError::NotFound("asset"))?;
    let current = version.v.as_deref().is_some_and(|v| is_current(&path, v));
    let caching = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = has_it(request.headers(), &asset.etag);
    let mut response = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, asset.etag)).insert_header((header::CACHE_CONTROL, caching));
    if known {
        return Ok(response.finish());
    }
    Ok(response.content_type(asset.content_type).body(asset.bytes.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_has_its_type_and_a_strong_etag() {
        let style = asset("app.css").unwrap();
        assert_eq!(style.content_type, "text/css; charset=utf-8");
        assert_eq!(style.etag.len(), 18);
        assert!(style.etag.starts_with('"') && style.etag.ends_with('"'));
        assert!(!style.bytes.is_empty());
    }

    #[test]
    fn an_asset_url_carries_the_version_that_is_current() {
        let url = asset_url("app.css");
        let version = url.strip_prefix("/static/app.css?v=").unwrap();
        assert!(is_current("app.css", version));
        assert!(!is_current("app.css", "0000000000000000"));
    }

    #[test]
    fn unknown_and_climbing_paths_are_no_assets() {
        for path in ["", "nothing.css", "../Cargo.toml", "/app.css", "../src/lib.rs", "static/app.css"] {
            assert_eq!(asset(path), None, "{path}");
            assert!(!is_current(path, ""), "{path}");
        }
    }

    #[test]
    fn every_embedded_file_has_a_known_type() {
        for path in Static::iter() {
            assert_ne!(content_type(&path), "application/octet-stream", "{path}");
        }
    }

    #[test]
    fn every_script_import_names_an_asset() {
        for path in Static::iter().filter(|path| path.ends_with(".js")) {
            let source = asset(&path).unwrap().bytes;
            for line in String::from_utf8_lossy(&source).lines().filter(|line| line.starts_with("import ")) {
                let name = line.split("\"./").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
                assert!(asset(name).is_some(), "{path} imports {name}");
            }
        }
    }
}
