//! Every page in every state, filled with sample data: for the tests, and for looking at. Those of a noun are with
//! the noun.

use askama::Template;

use super::error::ErrorPage;
use super::{Section, Shell};
use crate::http::problem::FieldError;
use crate::{admin, mailbox, orders, photos};

/// When everything happened.
pub const NOON: &str = "2026-03-05T12:00:00Z";

/// Every page, by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    let mut pages = photos::samples::all(text);
    pages.extend(orders::samples::all(text));
    pages.extend(mailbox::samples::all(text));
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 429, 500, 503] {
        pages.push((format!("error-{status}"), html(&error(text, status))));
    }
    pages.extend(admin::samples::all(text));
    pages
}

/// A page, filled.
pub fn html(page: &impl Template) -> String {
    page.render().unwrap()
}

/// Around a page that a customer sees.
pub fn shell(section: Section) -> Shell {
    Shell { session: true, mailbox: true, section }
}

/// An id like those that are given.
pub fn id(number: usize) -> String {
    format!("0195a1b2-c3d4-7e5f-8a9b-{number:012x}")
}

fn error(text: &str, status: u16) -> ErrorPage {
    ErrorPage {
        shell: shell(Section::Elsewhere),
        status,
        title: text.to_owned(),
        detail: text.to_owned(),
        errors: vec![FieldError::new("lines[0].quantity", text)],
        request_id: (status != 404).then(|| id(400)),
    }
}
