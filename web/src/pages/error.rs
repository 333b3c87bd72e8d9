//! A problem as a page: the same facts as the API's problem document (RFC 9457).

use askama::Template;

use super::Shell;
use crate::http::problem::{FieldError, Problem};

/// Any error answer to a browser.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// Around the content.
    pub shell: Shell,
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem: a few words, the same each time.
    pub title: String,
    /// What went wrong this time; may be empty.
    pub detail: String,
    /// What is wrong with which field.
    pub errors: Vec<FieldError>,
    /// To be quoted when asking for help; found in the log.
    pub request_id: Option<String>,
}

impl ErrorPage {
    /// What the visitor can do about it.
    pub fn advice(&self) -> &'static str {
        match self.status {
            401 => {
                "The shop knows you by a cookie that it sets with your first upload. This browser did not send one."
            }
            403 => {
                "The request did not come from one of the shop's own pages, or the link has been altered or has expired."
            }
            404 | 410 => {
                "It may have been deleted, or it belongs to another browser: photos and orders can only be seen where they were made."
            }
            405 => "This address exists, but not for this kind of request.",
            409 => "Something changed in between. Go back, look again, and try once more.",
            413 => "Choose a smaller file, or save the picture at a higher compression.",
            415 => {
                "The shop takes JPEG, PNG, GIF and WebP pictures, and looks at the content, not at the name."
            }
            400 | 422 => "Go back, change what is named here, and send it again.",
            429 => "You were quicker than we can serve you. Wait a minute, then try again.",
            503 => {
                "The shop is busy or being restarted. Nothing you sent before is lost; try again in a moment."
            }
            500.. => "This is our fault, not yours, and it has been recorded. Try again in a moment.",
            _ => "Go back to your photos and try again.",
        }
    }
}

/// The page of a problem.
pub fn render(problem: &Problem, shell: Shell) -> String {
    let page = ErrorPage {
        shell,
        status: problem.status,
        title: problem.title.clone(),
        detail: problem.detail.clone(),
        errors: problem.errors.clone(),
        request_id: problem.request_id.clone(),
    };
    // Nothing better is left to say when even this page can't be rendered.
    page.render().unwrap_or_else(|_| problem.title.clone())
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::http::problem::of_status;
    use crate::pages::Section;

    #[test]
    fn a_page_escapes_what_others_wrote() {
        let mut problem = of_status(StatusCode::BAD_REQUEST);
        problem.detail = "<script>alert('x')</script>".into();
        let shell = Shell { session: false, mailbox: false, section: Section::Elsewhere };
        assert!(!render(&problem, shell).contains("<script>alert"));
    }
}
