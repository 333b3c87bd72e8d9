//! `/admin`: where operators arrive.

use actix_web::HttpResponse;
use askama::Template;

use super::Operator;
use super::shell::{AdminShell, Section};
use crate::error::ApiError;
use crate::pages::serve::html;

/// Where operators arrive.
#[derive(Debug, Template)]
#[template(path = "admin/overview.html")]
pub struct OverviewPage {
    /// Around the content.
    pub shell: AdminShell,
}

/// `GET /admin`
///
/// # Errors
/// [`ApiError::LogInFirst`].
pub async fn show(operator: Operator) -> Result<HttpResponse, ApiError> {
    html(&OverviewPage { shell: AdminShell::of(&operator, Section::Overview) })
}
