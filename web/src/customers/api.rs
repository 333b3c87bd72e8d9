//! `/api/tokens`, `/session`: new customers. `/api/webhook-secret`: what they verify callbacks with.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::problem::Problem;
use crate::{App, customers};

/// A new customer's token.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    /// Send it as `Authorization: Bearer`. It can't be shown again.
    pub token: String,
    /// What callbacks to you are signed with (Standard Webhooks).
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub webhook_secret: String,
}

/// What callbacks are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookSecretView {
    /// See Standard Webhooks.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    pub webhook_secret: String,
}

/// Makes an anonymous customer.
///
/// # Errors
/// 429.
#[utoipa::path(post, path = "/api/tokens", operation_id = "create_token", tag = "customers", security(()), responses(
    (status = 201, description = "A new customer", body = NewToken),
    (status = 429, description = "Too many from this address", body = Problem, content_type = "application/problem+json"),
))]
pub async fn create_token(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (customer, token) = customers::create(&app, &request).await?;
    let webhook_secret = app.keys.webhook_secret(customer.id.0).reveal();
    let body = NewToken { token: token.as_str().to_owned(), webhook_secret };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(body))
}

/// Makes the browser a customer, by a cookie: for a page's script, before its first call of the API.
///
/// # Errors
/// 403, 429.
#[utoipa::path(post, path = "/session", operation_id = "open_session", tag = "customers", security(()), responses(
    (status = 204, description = "The browser has a session cookie now"),
    (status = 403, description = "Another site asked", body = Problem, content_type = "application/problem+json"),
    (status = 429, description = "Too many from this address", body = Problem, content_type = "application/problem+json"),
))]
pub async fn open_session(
    app: Data<App>,
    request: HttpRequest,
    OptionalCustomer(known): OptionalCustomer,
) -> Result<HttpResponse, ApiError> {
    let (_, cookie) = customers::known_or_new(&app, &request, known).await?;
    let mut response = HttpResponse::NoContent();
    if let Some(cookie) = cookie {
        response.cookie(cookie);
    }
    Ok(response.finish())
}

/// What callbacks to you are signed with, again: it changes when the shop drops the key behind it.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/webhook-secret", operation_id = "show_webhook_secret", tag = "customers", responses(
    (status = 200, description = "The secret that is current", body = WebhookSecretView),
    (status = 401, description = "No token", body = Problem, content_type = "application/problem+json"),
))]
pub async fn show_webhook_secret(app: Data<App>, customer: Customer) -> HttpResponse {
    let webhook_secret = app.keys.webhook_secret(customer.id.0).reveal();
    let body = WebhookSecretView { webhook_secret };
    HttpResponse::Ok().insert_header(("Cache-Control", "no-store")).json(body)
}
