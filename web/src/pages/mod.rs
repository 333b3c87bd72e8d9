//! What people see, and what all pages have in common. The pages themselves are with their nouns: a view struct
//! for each, named `…Page`, the handler that fills it, and the template that lays it out (`templates/`).
//!
//! The structs hold what is shown and nothing else: plain values, already allowed to be seen by the
//! visitor. Templates escape every value.
//!
//! A form answers with 303, so that reloading does not send it again (Post/Redirect/Get).
//!
//! Rules that the tests of this module hold, on ordinary and on hostile data: nothing a visitor wrote
//! is unescaped, there is no inline script, style or event handler (the content security policy
//! forbids them), each page has one `h1`, each control a label, each id is unique.

pub mod error;
pub mod format;

#[cfg(test)]
pub mod samples;
#[cfg(test)]
mod tests;

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;

use crate::App;
use crate::auth::customer::Customer;
use crate::http::error::ApiError;

/// What every page shows around its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// Whether the browser sent a valid session cookie. Scripts that talk to the API get one first if not.
    pub session: bool,
    /// Whether this set-up has a mailbox to look into.
    pub mailbox: bool,
    /// The part of the shop that the page belongs to.
    pub section: Section,
}

/// The parts of the shop, as in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Upload and gallery.
    Photos,
    /// Orders, placed and new.
    Orders,
    /// The demo's mail.
    Mailbox,
    /// None of them: errors, and what is reached by a mailed link.
    Elsewhere,
}

/// One entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NavLink {
    /// A path.
    pub href: &'static str,
    /// What is read.
    pub label: &'static str,
    /// Whether the page belongs to it.
    pub current: bool,
}

impl Shell {
    /// For this visitor.
    pub fn of(app: &App, customer: Option<Customer>, section: Section) -> Self {
        Self { session: customer.is_some(), mailbox: app.config.mailbox.is_some(), section }
    }

    /// The navigation, with the page's own section marked.
    pub fn nav(&self) -> Vec<NavLink> {
        let entry = |section, href, label| NavLink { href, label, current: self.section == section };
        let mut links =
            vec![entry(Section::Photos, "/", "Photos"), entry(Section::Orders, "/orders", "Orders")];
        if self.mailbox {
            links.push(entry(Section::Mailbox, "/mailbox", "Mailbox"));
        }
        links
    }

    /// For the page's scripts: `open`, or `none` when a session must be made before the first API call.
    pub fn session_name(&self) -> &'static str {
        if self.session { "open" } else { "none" }
    }
}

/// A page.
///
/// # Errors
/// Those of [`render`].
pub fn html(page: &impl Template) -> Result<HttpResponse, ApiError> {
    html_with(StatusCode::OK, page)
}

/// A page that says more by its status: what was sent is not right, or not now.
///
/// # Errors
/// Those of [`render`].
pub fn html_with(status: StatusCode, page: &impl Template) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::build(status).content_type("text/html; charset=utf-8").body(render(page)?))
}

/// A page as text.
///
/// # Errors
/// The template does not render, which is a mistake of ours.
pub fn render(page: &impl Template) -> Result<String, ApiError> {
    page.render().map_err(|error| ApiError::Internal(format!("a page could not be rendered: {error}")))
}

/// The answer to a form: look there.
pub fn see_other(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}
