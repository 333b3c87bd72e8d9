//! Links that were signed: whoever has one may look, without a session.

use serde::Deserialize;
use utoipa::IntoParams;

/// What opens a page or a picture to somebody without a session.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SignedLink {
    /// Until when, in seconds since 1970.
    pub expires: Option<i64>,
    /// By whom.
    pub signature: Option<String>,
}
