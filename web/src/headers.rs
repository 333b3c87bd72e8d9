//! The last thing that happens to every answer: refusals get their body, all get the headers that keep
//! browsers safe and the id that people can ask about.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse};
use futures_util::FutureExt;
use tracing_actix_web::RequestId;

use crate::App;
use crate::error::ApiError;
use crate::pages::{Section, Shell};
use crate::problem::{self, Problem};
use crate::session;

/// Scripts, styles and frames only from here, pictures also from scripts of the page itself.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; img-src 'self' blob: data:; style-src 'self'; \
     script-src 'self'; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// Added unless the handler said otherwise.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    // Answers are about one customer unless they say otherwise.
    (header::CACHE_CONTROL, "private, no-cache"),
];

/// What a refusal's body depends on.
struct Asked {
    path: String,
    html: bool,
    request_id: String,
    session: bool,
    mailbox: bool,
}

impl Asked {
    fn of(request: &ServiceRequest) -> Self {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let path = request.path().to_owned();
        let for_programs = path == "/api" || path.starts_with("/api/");
        Self {
            html: !for_programs && problem::prefers_html(accept.unwrap_or_default()),
            path,
            session: request.cookie(session::COOKIE).is_some(),
            mailbox: request.app_data::<Data<App>>().is_some_and(|app| app.config.mailbox.is_some()),
            request_id: request.extensions().get::<RequestId>().map(ToString::to_string).unwrap_or_default(),
        }
    }

    fn shell(&self) -> Shell {
        Shell { session: self.session, mailbox: self.mailbox, section: Section::Elsewhere }
    }
}

/// The middleware.
///
/// # Errors
/// None: what other middleware refused is an answer, too.
pub async fn finish<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<EitherBody<B, BoxBody>, BoxBody>>, Error> {
    let asked = Asked::of(&request);
    let again = request.request().clone();
    // A panic is a mistake of ours like any other: the client gets an answer with an id, not a dead line.
    let response = match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(response) => response?.map_into_left_body(),
        Err(_) => {
            let error = ApiError::Internal("a handler panicked".into());
            ServiceResponse::new(again, HttpResponse::from_error(error)).map_into_right_body()
        }
    };
    log_fault(&response);
    let mut response = if response.status().is_client_error() || response.status().is_server_error() {
        with_body(response, &asked)
    } else {
        response.map_into_left_body()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(id) = HeaderValue::try_from(&asked.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    Ok(response)
}

/// The one place where a fault of ours is logged; the span around it has the ids.
fn log_fault<B>(response: &ServiceResponse<B>) {
    if !response.status().is_server_error() {
        return;
    }
    match response.response().error() {
        Some(error) => tracing::error!(%error, status = response.status().as_u16(), "a request failed"),
        None => tracing::error!(status = response.status().as_u16(), "a request failed"),
    }
}

/// Whoever refused, the framework included: it is one kind of answer.
fn with_body<B: MessageBody>(
    mut response: ServiceResponse<B>,
    asked: &Asked,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let has_page = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"text/html")
            || kind.as_bytes().starts_with(problem::CONTENT_TYPE.as_bytes())
    });
    if has_page {
        return response.map_into_left_body();
    }
    let known = response.response_mut().extensions_mut().remove::<Problem>();
    let mut problem = known.unwrap_or_else(|| of_framework(&response));
    problem.instance = Some(asked.path.clone());
    problem.request_id = Some(asked.request_id.clone());
    let (content_type, body) = if asked.html {
        ("text/html; charset=utf-8", problem::render_html(&problem, asked.shell()))
    } else {
        (problem::CONTENT_TYPE, serde_json::to_string(&problem).unwrap_or_default())
    };
    let mut response = response.map_body(|_, _| EitherBody::right(BoxBody::new(body)));
    set_content(response.headers_mut(), content_type);
    response
}

fn set_content(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
}

/// The framework's own refusals: their texts are about the request and safe to show.
fn of_framework<B>(response: &ServiceResponse<B>) -> Problem {
    let mut problem = Problem::of_status(response.status());
    if let Some(error) = response.response().error()
        && response.status().is_client_error()
    {
        problem.detail = error.as_response_error().to_string();
    }
    problem
}
