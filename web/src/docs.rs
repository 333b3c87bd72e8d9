//! `/docs`: a page to read and try the API. Swagger UI, from the binary, shows the description that
//! `/openapi.json` gives; requests that are tried go to this shop, as whoever the browser is.

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Path;
use askama::Template;
use utoipa_swagger_ui::Config;

use crate::http::error::ApiError;

/// What Swagger UI is told.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["/openapi.json"])
        .use_base_layout()
        .try_it_out_enabled(true)
        .display_request_duration(true)
        .default_models_expand_depth(-1)
        .validator_url("none");
    Arc::new(config)
});

/// The pages' policy, and inline styles, which Swagger UI writes into the page; scripts stay ours alone.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; \
     style-src 'self' 'unsafe-inline'; script-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// A day: a file changes with a release only, and nothing else depends on it.
const CACHING: &str = "public, max-age=86400";

/// The page around Swagger UI.
#[derive(Template)]
#[template(path = "docs.html")]
struct Page;

/// The page.
pub async fn page() -> Result<HttpResponse, ApiError> {
    let page = Page.render().map_err(|error| ApiError::Internal(format!("/docs: {error}")))?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .body(page))
}

/// A file of Swagger UI.
pub async fn file(name: Path<String>) -> Result<HttpResponse, ApiError> {
    // It has an index of its own, under this name; ours is the page above.
    let name = Some(name.into_inner()).filter(|name| !name.is_empty() && name != "index.html");
    let name = name.ok_or(ApiError::NotFound("file"))?;
    let file = utoipa_swagger_ui::serve(&name, CONFIG.clone())
        .map_err(|error| ApiError::Internal(format!("/docs/{name}: {error}")))?
        .ok_or(ApiError::NotFound("file"))?;
    let mut response = HttpResponse::Ok();
    response.content_type(file.content_type).insert_header((header::CACHE_CONTROL, CACHING));
    // They are kept compressed, and every browser reads that.
    if file.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response.body(file.bytes.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let page = Page.render().unwrap();
        let names: Vec<&str> =
            page.split("\"/docs/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(names.len(), 4, "{page}");
        for name in names {
            assert!(utoipa_swagger_ui::serve(name, CONFIG.clone()).unwrap().is_some(), "{name}");
        }
    }
}
