//! Customers: nobody registers, a token or a cookie is all that there is of one.

pub mod api;

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use database::DbError;
use platform::signing::Token;
use shared::db::customers as rows;

use crate::App;
use crate::auth::cookie;
use crate::auth::customer::Customer;
use crate::http::error::ApiError;

/// Makes an anonymous customer, at most so many a minute from one address.
///
/// # Errors
/// [`ApiError::TooManyRequests`]; those of the database.
pub async fn create(app: &App, request: &HttpRequest) -> Result<(Customer, Token), ApiError> {
    app.rates.tokens(request.peer_addr().map(|address| address.ip()))?;
    let token = Token::generate();
    let hash = token.hash().to_string();
    let id = app
        .db
        .run(move |db| {
            let hash = hash.clone();
            async move { rows::create(&mut db.conn().await?, &hash).await }
        })
        .await
        .map_err(|error: DbError| ApiError::from(error))?;
    Ok((Customer { id }, token))
}

/// The visitor of a page at their first POST: whom we know, or somebody new with a cookie to set.
///
/// # Errors
/// Those of [`create`].
pub async fn known_or_new(
    app: &App,
    request: &HttpRequest,
    known: Option<Customer>,
) -> Result<(Customer, Option<Cookie<'static>>), ApiError> {
    if let Some(customer) = known {
        return Ok((customer, None));
    }
    let (customer, token) = create(app, request).await?;
    Ok((customer, Some(cookie::of_customer(&token, app.config.https()))))
}
