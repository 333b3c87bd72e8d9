//! The last thing that happens to every answer: refusals get their body, all get the headers that keep
//! browsers safe and the id that people can ask about.

use std::panic::AssertUnwindSafe;

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError};
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use tracing_actix_web::RequestId;

use super::problem::{self, Problem};
use crate::auth::cookie;
use crate::pages::{self, Section, Shell};
use crate::{App, admin};

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

/// Who reads the answer: what a refusal's body depends on.
#[derive(Debug)]
struct Reader {
    path: String,
    html: bool,
    request_id: String,
    session: bool,
    mailbox: bool,
    for_operators: bool,
}

impl Reader {
    fn of(request: &ServiceRequest) -> Self {
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let path = request.path().to_owned();
        // The router decodes the address before it looks for a route.
        let decoded = percent_decode_str(&path).decode_utf8_lossy();
        let below = |root: &str| decoded == root || decoded.starts_with(&format!("{root}/"));
        let for_operators = below("/admin") || below("/api/admin");
        let for_programs = path == "/api" || path.starts_with("/api/");
        Self {
            html: !for_programs && problem::prefers_html(accept.unwrap_or_default()),
            path,
            for_operators,
            session: request.cookie(cookie::CUSTOMER).is_some(),
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
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let reader = Reader::of(&request);
    // A panic is a mistake of ours like any other: the client gets an answer with an id, not a dead line.
    let Ok(response) = AssertUnwindSafe(next.call(request)).catch_unwind().await else {
        return Err(Panicked::answer(reader));
    };
    let response = response?;
    log_fault(&response);
    let mut response = if response.status().is_client_error() || response.status().is_server_error() {
        with_body(response, &reader)
    } else {
        response.map_into_left_body()
    };
    set_headers(response.headers_mut(), &reader);
    Ok(response)
}

fn set_headers(headers: &mut HeaderMap, reader: &Reader) {
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if reader.for_operators {
        // Whoever uses this browser later must not find it by going back.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::try_from(&reader.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// A handler panicked. An error and not a response, because a response needs the request, which is gone: the
/// router wants to be the only one who holds it.
#[derive(Debug, thiserror::Error)]
#[error("a handler panicked")]
struct Panicked {
    reader: Reader,
}

impl Panicked {
    fn answer(reader: Reader) -> Error {
        let error = Self { reader };
        tracing::error!(%error, status = 500, "a request failed");
        error.into()
    }
}

impl ResponseError for Panicked {
    fn error_response(&self) -> HttpResponse {
        let problem = problem::of_status(self.status_code());
        let (content_type, body) = body(problem, &self.reader);
        let mut response = HttpResponse::new(self.status_code()).set_body(BoxBody::new(body));
        set_content(response.headers_mut(), content_type);
        set_headers(response.headers_mut(), &self.reader);
        response
    }
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
    reader: &Reader,
) -> ServiceResponse<EitherBody<B, BoxBody>> {
    let has_page = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes().starts_with(b"text/html")
            || kind.as_bytes().starts_with(problem::CONTENT_TYPE.as_bytes())
    });
    if has_page {
        return response.map_into_left_body();
    }
    let known = response.response_mut().extensions_mut().remove::<Problem>();
    let problem = known.unwrap_or_else(|| of_framework(&response));
    let (content_type, body) = body(problem, reader);
    let mut response = response.map_body(|_, _| EitherBody::right(BoxBody::new(body)));
    set_content(response.headers_mut(), content_type);
    response
}

/// A problem as this client wants to see it: media type and body.
fn body(mut problem: Problem, reader: &Reader) -> (&'static str, String) {
    problem.instance = Some(reader.path.clone());
    problem.request_id = Some(reader.request_id.clone());
    if reader.html {
        ("text/html; charset=utf-8", render_html(&problem, reader))
    } else {
        (problem::CONTENT_TYPE, serde_json::to_string(&problem).unwrap_or_default())
    }
}

fn set_content(headers: &mut HeaderMap, content_type: &'static str) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.remove(header::CONTENT_LENGTH);
}

fn render_html(problem: &Problem, reader: &Reader) -> String {
    if reader.for_operators {
        admin::error::render(problem)
    } else {
        pages::error::render(problem, reader.shell())
    }
}

/// The framework's own refusals: their texts are about the request and safe to show.
fn of_framework<B>(response: &ServiceResponse<B>) -> Problem {
    let mut problem = problem::of_status(response.status());
    if let Some(error) = response.response().error()
        && response.status().is_client_error()
    {
        problem.detail = error.as_response_error().to_string();
    }
    problem
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service, read_body};
    use actix_web::web::get;
    use actix_web::{App, HttpResponse};

    async fn explode() -> HttpResponse {
        panic!("a mistake of ours")
    }

    #[actix_web::test]
    async fn a_panic_is_answered_and_other_requests_go_on() {
        let app = App::new()
            .wrap(from_fn(super::finish))
            .route("/api/explode", get().to(explode))
            .route("/api/fine/{id}", get().to(HttpResponse::Ok));
        let app = init_service(app).await;
        let exploded =
            actix_web::dev::Service::call(&app, TestRequest::get().uri("/api/explode").to_request());
        let answer = exploded.await.unwrap_err().error_response();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
        assert_eq!(answer.headers().get("x-content-type-options").unwrap(), "nosniff");

        let fine = call_service(&app, TestRequest::get().uri("/api/fine/1").to_request()).await;
        assert_eq!(fine.status(), StatusCode::OK);
        assert!(read_body(fine).await.is_empty());
    }
}
