//! Customers: anonymous, known by a Bearer token or by a session cookie.

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use database::DbError;
use platform::signing::Token;
use shared::db::customers;
use shared::domain::CustomerId;

use super::bearer::Bearer;
use super::cookie;
use crate::App;
use crate::http::error::ApiError;
use crate::http::extract::Extracting;

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

/// The token of the header, or else of the cookie.
pub fn token(request: &HttpRequest) -> Option<Token> {
    match Bearer::of(request) {
        Bearer::Absent => cookie::sent(request, cookie::CUSTOMER),
        sent => sent.token()?.parse().ok(),
    }
}

/// The one place that turns a request into a customer.
///
/// # Errors
/// [`ApiError::Unauthenticated`] for a Bearer token that nobody has; those of the database.
pub async fn identify(request: &HttpRequest) -> Result<Option<Customer>, ApiError> {
    let found = match token(request) {
        Some(token) => look_up(request, &token).await?,
        None => None,
    };
    match found {
        None if Bearer::of(request) != Bearer::Absent => Err(ApiError::Unauthenticated),
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
