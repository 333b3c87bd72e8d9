//! Requests that may be sent again: their key, and the answer that is kept under it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use sha2::{Digest, Sha256};
use shared::db::idempotency::{Key, StoredAnswer};
use shared::intake::hex;

use super::error::ApiError;

/// The longest `Idempotency-Key`, in bytes.
pub const MAX_KEY: usize = 255;

/// What came of a request that may have been sent before.
#[derive(Debug)]
pub enum Answered<T> {
    /// It was done just now.
    New(T),
    /// It was done before, under the same key; what was answered then.
    Before(StoredAnswer),
}

impl<T> Answered<T> {
    /// What is known of a key that is not new.
    ///
    /// # Errors
    /// 422 when it was another request's; 409 while it is being answered.
    pub fn before(key: Key) -> Result<Self, ApiError> {
        match key {
            Key::Answered(answer) => Ok(Self::Before(answer)),
            Key::Misused => Err(ApiError::KeyMisused),
            Key::Busy => Err(ApiError::Conflict(
                "The same request is being answered right now. Ask again in a moment for its answer.",
            )),
            Key::New => Err(ApiError::Internal("a new key has no answer yet".into())),
        }
    }
}

/// An answer as it is sent, and kept for whoever sends the request again: JSON.
///
/// # Errors
/// None that can happen: answers are plain.
pub fn text(answer: &impl Serialize) -> Result<String, ApiError> {
    serde_json::to_string(answer)
        .map_err(|error| ApiError::Internal(format!("an answer is not JSON: {error}")))
}

/// What a key belongs to: method, path and body, as SHA-256 in hexadecimal.
pub fn fingerprint(method: &str, path: &str, body: &[u8]) -> String {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// The `Idempotency-Key` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    /// The key, where one is needed.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] without one.
    pub fn required(self) -> Result<String, ApiError> {
        self.0.ok_or_else(|| {
            let detail = "Send an Idempotency-Key: a text of your own, the same one when you try again.";
            ApiError::Malformed(detail.into())
        })
    }
}

impl FromRequest for IdempotencyKey {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse_key(request.headers()).map(Self))
    }
}

fn parse_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if !key.trim().is_empty() && key.len() <= MAX_KEY => Ok(Some(key.to_owned())),
        _ => Err(ApiError::Malformed("An Idempotency-Key has 1 to 255 printable ASCII characters.".into())),
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn a_key_is_short_and_printable() {
        assert_eq!(parse_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(parse_key(&with("idempotency-key", "k-1")).unwrap().as_deref(), Some("k-1"));
        assert!(parse_key(&with("idempotency-key", &"k".repeat(255))).is_ok());
        for bad in ["", " ", "ü", &"k".repeat(256)] {
            assert!(parse_key(&with("idempotency-key", bad)).is_err(), "{bad:?}");
        }
    }
}
