//! `/admin/operators`: who may operate, and one's own tokens.

use actix_web::HttpResponse;
use actix_web::web::{Data, Form};
use askama::Template;
use operations::OperationError;
use operations::ids::OperatorTokenId;
use operations::operator::Via;
use operations::operators::{self, OperatorView, TokenView};
use serde::Deserialize;

use super::shell::{AdminSection, AdminShell};
use super::when::When;
use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::{html, render, see_other};

/// Who may operate, and one's own tokens.
#[derive(Debug, Template)]
#[template(path = "admin/operators.html")]
pub struct OperatorsPage {
    /// Around the content.
    pub shell: AdminShell,
    /// Everybody, by name.
    pub operators: Vec<OperatorRow>,
    /// The own tokens, the newest first.
    pub tokens: Vec<TokenRow>,
    /// The secret of a token that was just made: shown this once.
    pub made: Option<String>,
    /// The token's name that was typed.
    pub name: String,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// An operator.
#[derive(Debug)]
pub struct OperatorRow {
    /// The name.
    pub name: String,
    /// Whether they may look and not touch.
    pub read_only: bool,
    /// Since when.
    pub since: When,
    /// When they were last seen in a session that is not over.
    pub seen: Option<When>,
}

/// A token.
#[derive(Debug)]
pub struct TokenRow {
    /// The id.
    pub id: String,
    /// What its operator calls it.
    pub name: String,
    /// Since when.
    pub since: When,
    /// When it was used last.
    pub used: Option<When>,
}

/// The form of a new token.
#[derive(Debug, Deserialize)]
pub struct TokenForm {
    name: String,
}

/// `GET /admin/operators`
///
/// # Errors
/// Those of the database.
pub async fn list(app: Data<App>, operator: Operator) -> Result<HttpResponse, ApiError> {
    html(&page(&app, &operator).await?)
}

/// `POST /admin/operators/tokens`: the answer shows the token, which no other page does.
///
/// # Errors
/// Those of the database.
pub async fn create_token(
    app: Data<App>,
    operator: Operator,
    form: Form<TokenForm>,
) -> Result<HttpResponse, ApiError> {
    let (actor, name) = (operator.actor(Via::Page), form.into_inner().name);
    let typed = name.trim().to_owned();
    let made = app
        .db
        .run(move |db| {
            let (actor, name) = (actor.clone(), typed.clone());
            async move { operators::create_token(&db, &actor, &actor.name, &name).await }
        })
        .await;
    let made = match made {
        Ok(made) => made,
        Err(OperationError::Invalid { problem, .. }) => {
            let page = OperatorsPage { name, problem: Some(problem), ..page(&app, &operator).await? };
            let body = render(&page)?;
            return Ok(HttpResponse::UnprocessableEntity()
                .content_type("text/html; charset=utf-8")
                .body(body));
        }
        Err(error) => return Err(error.into()),
    };
    let secret = made.token.as_str().to_owned();
    html(&OperatorsPage { made: Some(secret), ..page(&app, &operator).await? })
}

/// `POST /admin/operators/tokens/{id}/revoke`
///
/// # Errors
/// 404.
pub async fn revoke_token(
    app: Data<App>,
    operator: Operator,
    id: PathId<OperatorTokenId>,
) -> Result<HttpResponse, ApiError> {
    let (actor, own) = (operator.actor(Via::Page), operator.id);
    app.db
        .run(move |db| {
            let actor = actor.clone();
            async move { operators::revoke_token(&db, &actor, own, id.0).await }
        })
        .await?;
    Ok(see_other("/admin/operators"))
}

async fn page(app: &App, operator: &Operator) -> Result<OperatorsPage, ApiError> {
    let own = operator.id;
    let (all, tokens) = app
        .db
        .run(move |db| async move {
            Ok::<_, OperationError>((operators::list(&db).await?, operators::tokens(&db, own).await?))
        })
        .await?;
    Ok(OperatorsPage {
        shell: AdminShell::of(operator, AdminSection::Operators),
        operators: all.into_iter().map(operator_row).collect(),
        tokens: tokens.into_iter().map(token_row).collect(),
        made: None,
        name: String::new(),
        problem: None,
    })
}

fn operator_row(view: OperatorView) -> OperatorRow {
    OperatorRow {
        name: view.name,
        read_only: view.read_only,
        since: view.created_at.into(),
        seen: view.seen_at.map(When::from),
    }
}

fn token_row(view: TokenView) -> TokenRow {
    TokenRow {
        id: view.id.to_string(),
        name: view.name,
        since: view.created_at.into(),
        used: view.used_at.map(When::from),
    }
}
