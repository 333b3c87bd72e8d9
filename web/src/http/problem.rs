//! A refusal as programs are shown it: problem+json (RFC 9457), and whether a page is wanted instead.

use actix_web::http::StatusCode;
pub use platform::problem::{FieldError, Problem};

/// The media type of [`Problem`].
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A problem that its status says all about.
pub fn of_status(status: StatusCode) -> Problem {
    let title = status.canonical_reason().unwrap_or("Error");
    Problem {
        kind: "about:blank".into(),
        title: title.into(),
        status: status.as_u16(),
        detail: detail_of(status).into(),
        instance: None,
        request_id: None,
        errors: Vec::new(),
    }
}

/// What to say of a refusal that came without words of its own.
fn detail_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "The request could not be understood.",
        StatusCode::NOT_FOUND => "There is nothing at this address.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take that method.",
        StatusCode::REQUEST_TIMEOUT => "The request took too long to arrive.",
        StatusCode::PAYLOAD_TOO_LARGE => "The request is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The body is of a type that is not taken here.",
        status if status.is_server_error() => "Something went wrong on our side.",
        _ => "The request was refused.",
    }
}

/// Whether an `Accept` header (RFC 9110 §12.5.1) asks for a page: it names HTML, and nothing that is JSON
/// with a higher weight.
pub fn prefers_html(accept: &str) -> bool {
    let weight = |wanted: &[&str]| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?;
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
            wanted.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)).then_some(weight.unwrap_or(0.0))
        });
        ranges.fold(0.0_f32, f32::max)
    };
    let html = weight(&["text/html", "application/xhtml+xml"]);
    html > 0.0 && html >= weight(&["application/json", CONTENT_TYPE])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_programs_get_json() {
        let table = [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("*/*", false),
            ("", false),
            ("application/json", false),
            ("application/json, text/html;q=0.5", false),
            ("text/html;q=0", false),
            ("TEXT/HTML", true),
        ];
        for (accept, expected) in table {
            assert_eq!(prefers_html(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn a_problem_has_the_fields_of_the_contract() {
        let mut problem = of_status(StatusCode::NOT_FOUND);
        problem.instance = Some("/x".into());
        problem.request_id = Some("7".into());
        problem.errors.push(FieldError::new("a", "b"));
        let json = serde_json::to_value(&problem).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Not Found", "status": 404,
            "detail": "There is nothing at this address.", "instance": "/x", "request_id": "7",
            "errors": [{"field": "a", "message": "b"}],
        });
        assert_eq!(json, expected);
    }
}
