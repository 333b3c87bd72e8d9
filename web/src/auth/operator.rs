//! Operators, known by a session cookie or by a token of their own.
//!
//! Pages are opened by the session cookie alone, the JSON by an operator's token too. Where an
//! `Authorization` header is sent, the cookie does not count: the guard against other sites lets such
//! requests through.

use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use database::Db;
use operations::ids::OperatorId;
use operations::operator as domain;
use operations::operator::{Actor, Via};
use operations::{OperationError, operators};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use platform::signing::Token;

use super::bearer::Bearer;
use super::cookie;
use crate::App;
use crate::http::error::ApiError;
use crate::http::extract::Extracting;

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
    type Future = Extracting<Self>;

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
                None => Err(ApiError::LogInFirst(login_path(&request))),
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
    let known = match Bearer::of(request) {
        Bearer::Absent => {
            let Some(session) = cookie::sent(request, cookie::OPERATOR) else { return Ok(None) };
            app.db.run(move |db| look_up(db, session.clone(), false)).await?
        }
        sent => {
            let text = sent.token().filter(|_| tokens_too);
            let Some(token) = text.and_then(|text| text.parse::<Token>().ok()) else { return Ok(None) };
            app.db.run(move |db| look_up(db, token.clone(), true)).await?
        }
    };
    Ok(known.map(Operator::from))
}

async fn look_up(db: Db, secret: Token, is_token: bool) -> Result<Option<domain::Operator>, OperationError> {
    let found = if is_token {
        operators::by_token(&db, &secret).await
    } else {
        operators::by_session(&db, &secret).await
    };
    Ok(found?)
}

/// The login, for whoever asked for something else before: it leads back there.
pub fn login_path(request: &HttpRequest) -> String {
    let asked = request.uri().path_and_query().map(|path| path.as_str()).filter(|_| {
        // What was to be changed was not, and its address shows nothing.
        matches!(*request.method(), Method::GET | Method::HEAD)
    });
    match below_admin(asked.map(str::to_owned)).as_str() {
        HOME => "/admin/login".to_owned(),
        next => format!("/admin/login?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC)),
    }
}

/// Where operators arrive.
const HOME: &str = "/admin";

/// A path below `/admin`, or `/admin` itself: a login must not lead to another site.
pub fn below_admin(next: Option<String>) -> String {
    let inside = |next: &String| {
        let plain = next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
        let rest = next.strip_prefix(HOME);
        plain && !next.contains("/../") && rest.is_some_and(|rest| rest.starts_with(['/', '?']))
    };
    let outside = |next: &String| next.starts_with("/admin/log");
    next.filter(inside).filter(|next| !outside(next)).unwrap_or_else(|| HOME.to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_login_leads_nowhere_but_below_admin() {
        for good in ["/admin/jobs", "/admin/jobs?state=failed&kind=x", "/admin?x=1", "/admin/queues/images"] {
            assert_eq!(below_admin(Some(good.to_owned())), good);
        }
        let bad = [
            "",
            "//evil.example",
            "/admin.evil.example",
            "https://evil.example/admin/",
            "/orders",
            "/admin/../orders",
            "/admin\\..\\x",
            "/admin/x\r\nSet-Cookie: a=b",
            "/admin/login?next=/admin",
            "/admin/logout",
        ];
        for bad in bad {
            assert_eq!(below_admin(Some(bad.to_owned())), HOME, "{bad}");
        }
        assert_eq!(below_admin(None), HOME);
    }

    #[test]
    fn whoever_must_log_in_comes_back_to_what_they_wanted_to_see() {
        let to = |request: TestRequest| login_path(&request.to_http_request());
        assert_eq!(
            to(TestRequest::get().uri("/admin/jobs?kind=a")),
            "/admin/login?next=%2Fadmin%2Fjobs%3Fkind%3Da"
        );
        assert_eq!(to(TestRequest::get().uri("/admin")), "/admin/login");
        assert_eq!(to(TestRequest::post().uri("/admin/queues/images/pause")), "/admin/login");
    }
}
