//! A problem as a page of the operators.

use askama::Template;

use super::shell::AdminShell;
use crate::http::problem::{FieldError, Problem};

/// Any error answer to an operator's browser. Who they are is not known here: a request may be refused before it
/// is looked up.
#[derive(Debug, Template)]
#[template(path = "admin/error.html")]
pub struct AdminErrorPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem: a few words, the same each time.
    pub title: String,
    /// What went wrong this time; may be empty.
    pub detail: String,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// Found in the log.
    pub request_id: Option<String>,
}

/// The page of a problem.
pub fn render(problem: &Problem) -> String {
    let page = AdminErrorPage {
        shell: AdminShell::of_nobody(),
        status: problem.status,
        title: problem.title.clone(),
        detail: problem.detail.clone(),
        errors: problem.errors.clone(),
        request_id: problem.request_id.clone(),
    };
    // Nothing better is left to say when even this page can't be rendered.
    page.render().unwrap_or_else(|_| problem.title.clone())
}
