//! `/api/tokens`: anonymous customers.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::error::ApiError;
use crate::problem::Problem;
use crate::session;

/// A new customer's token.
#[derive(Debug, Serialize, ToSchema)]
pub struct NewToken {
    /// Send it as `Authorization: Bearer`. It can't be shown again.
    pub token: String,
}

/// Makes an anonymous customer.
///
/// # Errors
/// 429.
#[utoipa::path(post, path = "/api/tokens", tag = "customers", security(()), responses(
    (status = 201, description = "A new customer", body = NewToken),
    (status = 429, description = "Too many from this address", body = Problem, content_type = "application/problem+json"),
))]
pub async fn create(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (_, token) = session::create_customer(&app, &request).await?;
    let body = NewToken { token: token.as_str().to_owned() };
    Ok(HttpResponse::Created().insert_header(("Cache-Control", "no-store")).json(body))
}
