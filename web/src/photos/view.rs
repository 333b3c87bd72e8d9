//! A photo as the API shows it: made from rows, here and nowhere else.

use ::jobs::Job;
use chrono::{DateTime, Utc};
use serde::Serialize;
use shared::db::photos::{Photo, PhotoVariant};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::jobs::JobView;

/// A photo.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PhotoView {
    /// Its id.
    pub id: Uuid,
    /// The job that makes its sizes.
    pub job_id: Uuid,
    /// `processing`, `ready` or `rejected`.
    pub status: &'static str,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// The name that the file had.
    pub file_name: Option<String>,
    /// The original's media type.
    pub content_type: &'static str,
    /// The original's size.
    pub bytes: i64,
    /// Pixels, as it is shown.
    pub width: Option<i32>,
    /// Pixels, as it is shown.
    pub height: Option<i32>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The sizes that can be fetched.
    pub variants: Vec<VariantView>,
}

/// One size of a photo.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VariantView {
    /// `thumb`, `medium` or `large`.
    pub name: &'static str,
    /// Pixels.
    pub width: i32,
    /// Pixels.
    pub height: i32,
    /// Its path.
    pub url: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its size.
    pub bytes: i64,
}

impl PhotoView {
    /// From the photo's row and the rows of its sizes; those of other photos are left out.
    pub fn new(photo: &Photo, variants: &[PhotoVariant]) -> Self {
        let own = variants.iter().filter(|variant| variant.photo_id == photo.id);
        Self {
            id: photo.id.0,
            job_id: photo.job_id.0,
            status: photo.status.name(),
            reason: photo.reason.clone(),
            file_name: photo.file_name.clone(),
            content_type: photo.content_type.content_type(),
            bytes: photo.bytes,
            width: photo.width,
            height: photo.height,
            created_at: photo.created_at.0,
            variants: own.map(VariantView::new).collect(),
        }
    }
}

impl VariantView {
    fn new(variant: &PhotoVariant) -> Self {
        Self {
            name: variant.name.name(),
            width: variant.width,
            height: variant.height,
            url: format!("/photos/{}/{}", variant.photo_id, variant.name.name()),
            content_type: variant.content_type.content_type(),
            bytes: variant.bytes,
        }
    }
}

/// A photo that was accepted, and the job that makes its sizes.
#[derive(Debug, Serialize, ToSchema)]
pub struct AcceptedPhoto {
    /// The photo.
    pub photo: PhotoView,
    /// The job.
    pub job: JobView,
}

impl AcceptedPhoto {
    /// From the rows that were written: there are no sizes yet.
    pub fn new(photo: &Photo, job: &Job) -> Self {
        Self { photo: PhotoView::new(photo, &[]), job: JobView::from(job) }
    }
}
