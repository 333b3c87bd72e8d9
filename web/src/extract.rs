//! What handlers take from a request, parsed: the customer, ids in paths, JSON bodies, headers.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::str::FromStr;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, Data, PathConfig, PayloadConfig, QueryConfig, ServiceConfig};
use actix_web::{FromRequest, HttpRequest};
use database::DbError;
use model::JobId;
use platform::signing::Token;
use serde_json::Value;
use shared::db::customers;
use shared::domain::{CustomerId, OrderId, PhotoId};

use crate::App;
use crate::error::ApiError;
use crate::session;

type Extracting<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

/// The largest JSON body, in bytes: fifty lines of an order fit many times.
const MAX_JSON: usize = 64 * 1024;

/// The longest `Idempotency-Key`, in bytes.
const MAX_KEY: usize = 255;

/// The framework's own extractors refuse in our words.
pub fn configure(routes: &mut ServiceConfig) {
    routes
        .app_data(QueryConfig::default().error_handler(|error, _| {
            ApiError::Malformed(format!("The query is not valid: {error}.").into()).into()
        }))
        .app_data(PathConfig::default().error_handler(|_, _| ApiError::NotFound("address").into()))
        .app_data(PayloadConfig::default().limit(MAX_JSON));
}

/// The customer who asks, by Bearer token or by session cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Customer {
    /// Their id.
    pub id: CustomerId,
}

/// The customer who asks, if they say so. A Bearer token that is not known is refused; a cookie that is
/// not known is no cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionalCustomer(pub Option<Customer>);

impl FromRequest for Customer {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await?.ok_or(ApiError::Unauthenticated) })
    }
}

impl FromRequest for OptionalCustomer {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await.map(Self) })
    }
}

/// A program that may start tasks, known by a secret of the setting `MACHINE_TOKENS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name in that setting.
    pub name: String,
}

impl FromRequest for Machine {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match (machine(&request), identify(&request).await) {
                (Some(machine), _) => Ok(machine),
                (None, Ok(Some(_))) => {
                    Err(ApiError::Forbidden("Tasks are started with a machine token, not with a customer's."))
                }
                (None, Ok(None) | Err(ApiError::Unauthenticated)) => Err(ApiError::UnknownMachine),
                (None, Err(fault)) => Err(fault),
            }
        })
    }
}

fn machine(request: &HttpRequest) -> Option<Machine> {
    let app: &Data<App> = request.app_data()?;
    let secret = bearer(request.headers().get(header::AUTHORIZATION)?.to_str().ok()?)?;
    app.config.machines.identify(secret).map(|name| Machine { name: name.to_owned() })
}

/// Whoever may look at a job: the customer it belongs to, or the machine that started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// By token or cookie.
    Customer(Customer),
    /// By a machine token.
    Machine(Machine),
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            if let Some(machine) = machine(&request) {
                return Ok(Self::Machine(machine));
            }
            identify(&request).await?.map(Self::Customer).ok_or(ApiError::Unauthenticated)
        })
    }
}

/// What a request says of who asks, not looked up yet.
#[derive(Debug, Clone)]
pub struct Unproven {
    token: Option<Token>,
    request: HttpRequest,
}

impl Unproven {
    /// The hash of a customer's token; `None` where there is nothing that could be one, or a machine asks.
    pub fn token_hash(&self) -> Option<String> {
        if machine(&self.request).is_some() {
            return None;
        }
        self.token.as_ref().map(|token| token.hash().to_string())
    }

    /// Looks up who it is.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`].
    pub async fn prove(self) -> Result<Caller, ApiError> {
        Caller::from_request(&self.request, &mut Payload::None).await
    }
}

impl FromRequest for Unproven {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { token: token(request), request: request.clone() }))
    }
}

/// The token of the header, or else of the cookie.
fn token(request: &HttpRequest) -> Option<Token> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(value) => bearer(value.to_str().unwrap_or_default())?.parse().ok(),
        None => request.cookie(session::COOKIE)?.value().parse().ok(),
    }
}

async fn identify(request: &HttpRequest) -> Result<Option<Customer>, ApiError> {
    let by_header = request.headers().get(header::AUTHORIZATION);
    let found = match token(request) {
        Some(token) => look_up(request, &token).await?,
        None => None,
    };
    match found {
        None if by_header.is_some() => Err(ApiError::Unauthenticated),
        found => Ok(found.map(|id| Customer { id })),
    }
}

async fn look_up(request: &HttpRequest, token: &Token) -> Result<Option<CustomerId>, ApiError> {
    let app: &Data<App> =
        request.app_data().ok_or_else(|| ApiError::Internal("the application has no data".into()))?;
    let hash = token.hash().to_string();
    let found: Result<_, DbError> = app
        .db
        .run(move |db| {
            let hash = hash.clone();
            async move { customers::by_token_hash(&mut db.conn().await?, &hash).await }
        })
        .await;
    Ok(found?)
}

/// The token of an `Authorization: Bearer` header; the scheme's case does not matter (RFC 9110 §11.1).
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// An id in the path. One that can't be parsed is one that nobody has: 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId<T>(pub T);

/// What an id is of, for the refusal.
pub trait Noun: FromStr + 'static {
    /// In a word.
    const NOUN: &'static str;
}

impl Noun for PhotoId {
    const NOUN: &'static str = "photo";
}

impl Noun for OrderId {
    const NOUN: &'static str = "order";
}

impl Noun for JobId {
    const NOUN: &'static str = "job";
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

    #[test]
    fn a_key_is_short_and_printable() {
        assert_eq!(parse_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(parse_key(&with("idempotency-key", "k-1")).unwrap().as_deref(), Some("k-1"));
        assert!(parse_key(&with("idempotency-key", &"k".repeat(255))).is_ok());
        for bad in ["", " ", "ü", &"k".repeat(256)] {
            assert!(parse_key(&with("idempotency-key", bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearer"), None);
    }
}
