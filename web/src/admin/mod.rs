//! The operators' pages under `/admin`: one file a noun, handlers and view structs. They show what
//! `shared::operations` returns; the JSON of the same nouns is in `crate::api::admin`.
//!
//! - [`Operator`]: whoever asks; every handler here and there takes one.
//! - [`shell`]: what every page shows around its content.
//!
//! Pages are opened by the session cookie alone, the JSON by an operator's token too. Where an
//! `Authorization` header is sent, the cookie does not count: the guard against other sites lets such
//! requests through.

pub mod audit;
pub mod chart;
pub mod dead;
#[cfg(test)]
pub mod dead_samples;
pub mod error;
pub mod jobs;
#[cfg(test)]
pub mod jobs_samples;
pub mod login;
pub mod operators;
pub mod overview;
pub mod overview_cache;
pub mod queues;
pub mod schedule;
pub mod shell;
pub mod when;

use std::pin::Pin;

use actix_web::cookie::{Cookie, SameSite};
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use platform::signing::Token;
use shared::domain::OperatorId;
use shared::domain::operator as domain;
use shared::domain::operator::{Actor, Via};
use shared::operations::{OperationError, operators as operations};

use crate::App;
use crate::error::ApiError;
use crate::extract::bearer;

/// The name of the operators' session cookie.
pub const COOKIE: &str = "operator";

/// The operator who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// Their name.
    pub name: String,
    /// Whether they may look and not touch.
    pub read_only: bool,
}

impl Operator {
    /// The operator as somebody who does something.
    pub fn actor(&self, via: Via) -> Actor {
        Actor { name: self.name.clone(), via, read_only: self.read_only }
    }
}

impl From<domain::Operator> for Operator {
    fn from(known: domain::Operator) -> Self {
        Self { id: known.id, name: known.name, read_only: known.read_only }
    }
}

impl FromRequest for Operator {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let for_programs = is_api(&request);
            match identify(&request, for_programs).await? {
                // The operations refuse it too; here it is refused whatever a handler does before it asks one.
                Some(operator) if operator.read_only && !request.method().is_safe() => {
                    Err(OperationError::ReadOnly(operator.name).into())
                }
                Some(operator) => Ok(operator),
                None if for_programs => Err(ApiError::UnknownOperator),
                None => Err(ApiError::LogInFirst(login::path(&request))),
            }
        })
    }
}

/// Whether the route is one of the JSON's. By the route and not by the address, which has several spellings.
fn is_api(request: &HttpRequest) -> bool {
    request.match_pattern().is_some_and(|route| route.starts_with("/api/"))
}

async fn identify(request: &HttpRequest, tokens_too: bool) -> Result<Option<Operator>, ApiError> {
    let app: &Data<App> =
        request.app_data().ok_or_else(|| ApiError::Internal("the application has no data".into()))?;
    let known = match request.headers().get(header::AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().ok().and_then(bearer).filter(|_| tokens_too);
            let Some(token) = text.and_then(|text| text.parse::<Token>().ok()) else { return Ok(None) };
            app.db.run(move |db| look_up(db, token.clone(), true)).await?
        }
        None => {
            let Some(session) = session(request) else { return Ok(None) };
            app.db.run(move |db| look_up(db, session.clone(), false)).await?
        }
    };
    Ok(known.map(Operator::from))
}

async fn look_up(
    db: database::Db,
    secret: Token,
    is_token: bool,
) -> Result<Option<domain::Operator>, OperationError> {
    let found = if is_token {
        operations::by_token(&db, &secret).await
    } else {
        operations::by_session(&db, &secret).await
    };
    Ok(found?)
}

/// The session that a browser sent, known or not.
fn session(request: &HttpRequest) -> Option<Token> {
    request.cookie(COOKIE)?.value().parse().ok()
}

/// The cookie that holds a session. It lasts as long as the browser is open; the session may be over before.
fn cookie(session: &Token, secure: bool) -> Cookie<'static> {
    Cookie::build(COOKIE, session.as_str().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let text = cookie(&Token::generate(), true).to_string();
        for part in ["operator=", "HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
