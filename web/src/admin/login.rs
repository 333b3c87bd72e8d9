//! `/admin/login`, `/admin/logout`: sessions of operators begin and end here.

use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use operations::operators;
use serde::Deserialize;

use super::shell::AdminShell;
use crate::App;
use crate::auth::cookie;
use crate::auth::operator::below_admin;
use crate::http::error::ApiError;
use crate::pages::{html, render, see_other};

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
    let (before, tried) = (cookie::sent(&request, cookie::OPERATOR), name.clone());
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
    response.add_cookie(&cookie::of_operator(&found.session, app.config.https())).map_err(unsendable)?;
    Ok(response)
}

/// `POST /admin/logout`: the session is over, here and wherever else its cookie may be.
///
/// # Errors
/// Those of the database.
pub async fn log_out(app: Data<App>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(session) = cookie::sent(&request, cookie::OPERATOR) {
        app.db
            .run(move |db| {
                let session = session.clone();
                async move { Ok::<_, ApiError>(operators::log_out(&db, &session).await?) }
            })
            .await?;
    }
    let mut response = see_other("/admin/login");
    let mut gone = actix_web::cookie::Cookie::build(cookie::OPERATOR, "").path("/").http_only(true).finish();
    gone.make_removal();
    response.add_cookie(&gone).map_err(unsendable)?;
    Ok(response)
}

fn unsendable(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(format!("a cookie could not be sent: {error}"))
}
