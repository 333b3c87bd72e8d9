//! What handlers take from a request, parsed: ids in paths, JSON bodies.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, PathConfig, PayloadConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::ApiError;
use super::problem::FieldError;

/// What an extractor gives that has to wait.
pub type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

/// The largest JSON body, in bytes: fifty lines of an order fit many times.
const MAX_JSON: usize = 64 * 1024;

/// The framework's own extractors refuse in our words.
pub fn configure(routes: &mut ServiceConfig) {
    routes
        .app_data(QueryConfig::default().error_handler(|error, _| {
            ApiError::Malformed(format!("The query is not valid: {error}.").into()).into()
        }))
        .app_data(PathConfig::default().error_handler(|_, _| ApiError::NotFound("address").into()))
        .app_data(PayloadConfig::default().limit(MAX_JSON));
}

/// An id in the path. One that can't be parsed is one that nobody has: 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<T>(pub T);

/// What an id is of, for the refusal.
pub trait Noun: FromStr + 'static {
    /// In a word.
    const NOUN: &'static str;
}

impl<T: Noun> FromRequest for PathId<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(|text| text.parse().ok());
        ready(id.map(Self).ok_or(ApiError::NotFound(T::NOUN)))
    }
}

/// A JSON body, well-formed but not yet looked into, and its bytes.
#[derive(Debug, Clone)]
pub struct JsonBody {
    /// What it says.
    pub value: Value,
    /// How it says it: what the idempotency key is about.
    pub bytes: Bytes,
}

impl JsonBody {
    /// The body as this request. What is wrong names its field: `filter.kindd`, or `body` where there is none.
    ///
    /// # Errors
    /// [`ApiError::Invalid`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_path_to_error::deserialize(&self.value).map_err(|wrong| {
            let message = wrong.inner().to_string();
            let place = wrong.path().to_string();
            let field = if place == "." { "body".to_owned() } else { place };
            ApiError::Invalid(vec![FieldError::new(field, message)])
        })
    }
}

impl FromRequest for JsonBody {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = is_json(request.headers());
        let body = Bytes::from_request(request, payload);
        Box::pin(async move {
            if !is_json {
                return Err(ApiError::UnsupportedMediaType("Send JSON: Content-Type: application/json."));
            }
            let bytes =
                body.await.map_err(|error| match error.as_response_error().status_code().as_u16() {
                    413 => ApiError::TooLarge(MAX_JSON as u64),
                    _ => ApiError::Malformed("The body did not arrive whole.".into()),
                })?;
            let value = serde_json::from_slice(&bytes)
                .map_err(|error| ApiError::Malformed(format!("The body is not JSON: {error}.").into()))?;
            Ok(Self { value, bytes })
        })
    }
}

/// `application/json`, or any type with its syntax (`+json`, RFC 6839).
fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn json_is_known_by_its_type() {
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(is_json(&with("content-type", good)), "{good}");
        }
        for bad in ["text/plain", "text/json", "application/jsonx", "multipart/form-data"] {
            assert!(!is_json(&with("content-type", bad)), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
