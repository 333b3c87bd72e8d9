//! The pages about photos.

pub mod gallery;
pub mod photo;

use shared::domain::photo::PhotoStatus;

use super::picture::{self, Picture};
use super::view::PhotoView;
use crate::pages::format;

/// One photo in the gallery.
#[derive(Debug, Clone)]
pub struct PhotoCard {
    /// The photo's id.
    pub id: String,
    /// The job that makes its sizes.
    pub job_id: String,
    /// Its file name, as the visitor wrote it; may be empty.
    pub name: String,
    /// Where it is in its life.
    pub status: PhotoStatus,
    /// Why it was rejected: a sentence.
    pub reason: Option<String>,
    /// Its sizes, the smallest first; empty until it is ready.
    pub pictures: Vec<Picture>,
    /// When it was uploaded (RFC 3339).
    pub uploaded_at: String,
}

impl PhotoCard {
    /// Whether it is still being made.
    pub fn is_processing(&self) -> bool {
        self.status == PhotoStatus::Processing
    }

    /// Whether prints of it can be ordered: of one that is still being made too.
    pub fn is_orderable(&self) -> bool {
        self.status != PhotoStatus::Rejected
    }

    /// What to call it.
    pub fn label(&self) -> &str {
        picture::photo_label(&self.name)
    }

    /// For `srcset`.
    pub fn srcset(&self) -> String {
        picture::srcset(&self.pictures)
    }

    /// When it was uploaded, readable.
    pub fn uploaded(&self) -> String {
        format::readable_time(&self.uploaded_at)
    }
}

impl From<&PhotoView> for PhotoCard {
    fn from(view: &PhotoView) -> Self {
        Self {
            id: view.id.to_string(),
            job_id: view.job_id.to_string(),
            name: view.file_name.clone().unwrap_or_default(),
            status: PhotoStatus::from_name(view.status).unwrap_or(PhotoStatus::Processing),
            reason: view.reason.clone(),
            pictures: picture::pictures(view),
            uploaded_at: view.created_at.to_rfc3339(),
        }
    }
}
