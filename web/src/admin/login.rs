//! `/admin/login`, `/admin/logout`: sessions of operators begin and end here.

use actix_web::http::Method;
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use shared::operations::operators;

use super::shell::AdminShell;
use super::{COOKIE, cookie, session};
use crate::App;
use crate::error::ApiError;
use crate::pages::serve::{html, render, see_other};

/// The form.
#[derive(Debug, Template)]
#[template(path = "admin/login.html")]
pub struct LoginPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The name that was tried.
    pub name: String,
    /// Where to go afterwards: a path below `/admin`.
    pub next: String,
    /// Whether name and password did not belong together.
    pub refused: bool,
}

/// Where to go after the login.
#[derive(Debug, Deserialize)]
pub struct Next {
    next: Option<String>,
}

/// The form's fields, as they were sent.
#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: String,
    next: Option<String>,
}

/// `GET /admin/login`
///
/// # Errors
/// None that the visitor could mend.
pub async fn form(query: Query<Next>) -> Result<HttpResponse, ApiError> {
    let next = below_admin(query.into_inner().next);
    html(&LoginPage { shell: AdminShell::of_nobody(), name: String::new(), next, refused: false })
}

/// `POST /admin/login`: a new session, whatever cookie the browser sent; that of a session before ends it.
///
/// # Errors
/// [`ApiError::TooManyRequests`]; those of the database.
pub async fn log_in(
    app: Data<App>,
    request: HttpRequest,
    form: Form<Credentials>,
) -> Result<HttpResponse, ApiError> {
    let Credentials { name, password, next } = form.into_inner();
    let next = below_admin(next);
    let address = request.peer_addr().map(|address| address.ip());
    app.rates.logins(address, &name)?;
    let (before, tried) = (session(&request), name.clone());
    let found = app
        .db
        .run(move |db| {
            let (name, password, before) = (tried.clone(), password.clone(), before.clone());
            async move { operators::log_in(&db, &name, &password, before.as_ref()).await }
        })
        .await?;
    let outcome = if found.is_some() { "accepted" } else { "refused" };
    metrics::counter!("operator_logins_total", "outcome" => outcome).increment(1);
    let Some(found) = found else {
        // The name is what somebody typed, perhaps a password: it does not belong into a log.
        tracing::warn!(?address, "a login of an operator was refused");
        let page = LoginPage { shell: AdminShell::of_nobody(), name, next, refused: true };
        let body = render(&page)?;
        return Ok(HttpResponse::UnprocessableEntity().content_type("text/html; charset=utf-8").body(body));
    };
    tracing::info!(operator = found.operator.name, ?address, "an operator logged in");
    let mut response = see_other(&next);
    response.add_cookie(&cookie(&found.session, app.config.https())).map_err(unsendable)?;
    Ok(response)
}

/// `POST /admin/logout`: the session is over, here and wherever else its cookie may be.
///
/// # Errors
/// Those of the database.
pub async fn log_out(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(session) = session(&request) {
        app.db
            .run(move |db| {
                let session = session.clone();
                async move { Ok::<_, ApiError>(operators::log_out(&db, &session).await?) }
            })
            .await?;
    }
    let mut response = see_other("/admin/login");
    let mut gone = actix_web::cookie::Cookie::build(COOKIE, "").path("/").http_only(true).finish();
    gone.make_removal();
    response.add_cookie(&gone).map_err(unsendable)?;
    Ok(response)
}

/// The login, for whoever asked for something else before: it leads back there.
pub fn path(request: &HttpRequest) -> String {
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
fn below_admin(next: Option<String>) -> String {
    let inside = |next: &String| {
        let plain = next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
        let rest = next.strip_prefix(HOME);
        plain && !next.contains("/../") && rest.is_some_and(|rest| rest.starts_with(['/', '?']))
    };
    let outside = |next: &String| next.starts_with("/admin/log");
    next.filter(inside).filter(|next| !outside(next)).unwrap_or_else(|| HOME.to_owned())
}

fn unsendable(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(format!("a cookie could not be sent: {error}"))
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
        let to = |request: TestRequest| path(&request.to_http_request());
        assert_eq!(
            to(TestRequest::get().uri("/admin/jobs?kind=a")),
            "/admin/login?next=%2Fadmin%2Fjobs%3Fkind%3Da"
        );
        assert_eq!(to(TestRequest::get().uri("/admin")), "/admin/login");
        assert_eq!(to(TestRequest::post().uri("/admin/queues/images/pause")), "/admin/login");
    }
}
