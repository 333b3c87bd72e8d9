//! What the samples of all pages have in common. The samples themselves are with their nouns.

use askama::Template;

use super::{Section, Shell};

/// When everything happened.
pub const NOON: &str = "2026-03-05T12:00:00Z";

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
