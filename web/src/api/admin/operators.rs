//! `/api/admin/operators`, `/api/admin/tokens`: who may operate, and one's own tokens. Operators are made and
//! removed by command alone.

use actix_web::HttpResponse;
use actix_web::web::{Data, Json};
use operations::ids::OperatorTokenId;
use operations::operator::Via;
use operations::operators::{self, OperatorView, TokenView};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::extract::{JsonBody, Noun, PathId};
use crate::http::problem::Problem;

impl Noun for OperatorTokenId {
    const NOUN: &'static str = "token";
}

/// Everybody who may operate.
#[derive(Debug, Serialize, ToSchema)]
pub struct OperatorList {
    /// By name.
    pub items: Vec<OperatorView>,
    /// Always null: there are few.
    #[schema(value_type = Option<String>)]
    pub next: Option<()>,
}

/// One's own tokens.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    /// The newest first.
    pub items: Vec<TokenView>,
    /// Always null: there are few.
    #[schema(value_type = Option<String>)]
    pub next: Option<()>,
}

/// What to call a new token.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TokenToMake {
    /// 1 to 40 lower-case letters, digits, dots, hyphens and underscores.
    #[schema(example = "nightly-report")]
    name: String,
}

/// A token that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub struct MadeToken {
    /// Its id.
    pub id: Uuid,
    /// What it is called.
    pub name: String,
    /// The secret. Nobody can be told it again.
    #[schema(example = "5mGd2bW0h0-w1Vh9ZV7WQ1y8l3kqO8mR3tDqv3n2c1A")]
    pub token: String,
}

/// Everybody who may operate, by name.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/admin/operators", operation_id = "admin_list_operators", tag = "admin",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "All of them", body = OperatorList),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
))]
pub async fn list(app: Data<App>, _: Operator) -> Result<Json<OperatorList>, ApiError> {
    let items = app.db.run(|db| async move { operators::list(&db).await }).await?;
    Ok(Json(OperatorList { items, next: None }))
}

/// One's own tokens, without their secrets.
///
/// # Errors
/// 401.
#[utoipa::path(get, path = "/api/admin/tokens", operation_id = "admin_list_tokens", tag = "admin",
    security(("operator" = []), ("login" = [])), responses(
    (status = 200, description = "All of them", body = TokenList),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
))]
pub async fn tokens(app: Data<App>, operator: Operator) -> Result<Json<TokenList>, ApiError> {
    let own = operator.id;
    let items = app.db.run(move |db| async move { operators::tokens(&db, own).await }).await?;
    Ok(Json(TokenList { items, next: None }))
}

/// Makes a token for one's own programs: they may do what oneself may.
///
/// # Errors
/// 401, 403, 415, 422.
#[utoipa::path(post, path = "/api/admin/tokens", operation_id = "admin_create_token", tag = "admin",
    security(("operator" = []), ("login" = [])), request_body = TokenToMake, responses(
    (status = 201, description = "The token, this once", body = MadeToken),
    (status = 400, description = "Malformed", body = Problem, content_type = "application/problem+json"),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "One that may only look", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "Not JSON", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "No name", body = Problem, content_type = "application/problem+json"),
))]
pub async fn create_token(
    app: Data<App>,
    operator: Operator,
    body: JsonBody,
) -> Result<HttpResponse, ApiError> {
    let actor = operator.actor(Via::Api);
    let TokenToMake { name } = body.parse()?;
    let made = app
        .db
        .run(move |db| {
            let (actor, name) = (actor.clone(), name.clone());
            async move { operators::create_token(&db, &actor, &actor.name, &name).await }
        })
        .await?;
    let token = made.token.as_str().to_owned();
    Ok(HttpResponse::Created().json(MadeToken { id: made.id.0, name: made.name, token }))
}

/// Revokes one of one's own tokens: it opens nothing any more.
///
/// # Errors
/// 401, 403, 404.
#[utoipa::path(delete, path = "/api/admin/tokens/{id}", operation_id = "admin_revoke_token", tag = "admin",
    security(("operator" = []), ("login" = [])), params(("id" = Uuid, Path, description = "The token")), responses(
    (status = 204, description = "It is dead"),
    (status = 401, description = "No operator", body = Problem, content_type = "application/problem+json"),
    (status = 403, description = "One that may only look", body = Problem, content_type = "application/problem+json"),
    (status = 404, description = "Unknown, or somebody else's", body = Problem, content_type = "application/problem+json"),
))]
pub async fn revoke_token(
    app: Data<App>,
    operator: Operator,
    id: PathId<OperatorTokenId>,
) -> Result<HttpResponse, ApiError> {
    let (actor, own) = (operator.actor(Via::Api), operator.id);
    app.db
        .run(move |db| {
            let actor = actor.clone();
            async move { operators::revoke_token(&db, &actor, own, id.0).await }
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
