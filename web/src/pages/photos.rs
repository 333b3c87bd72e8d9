//! The gallery with its upload form, and the page of one photo.

use askama::Template;
use shared::domain::photo::PhotoStatus;

use super::{Picture, Shell, format};

/// `GET /`: upload, and the visitor's own photos, newest first.
///
/// The form posts `multipart/form-data` to `/photos`: one or more parts named `file`. Without a file
/// chosen, browsers send one part with an empty file name and no content.
/// Ticked photos go to `GET /orders/new?photo=ID&photo=ID`.
#[derive(Debug, Template)]
#[template(path = "photos.html")]
pub struct PhotosPage {
    /// Around the content.
    pub shell: Shell,
    /// This page of the gallery.
    pub photos: Vec<PhotoCard>,
    /// Whether this is the gallery's first page: the others have no upload form.
    pub first_page: bool,
    /// The page of older photos, with its cursor.
    pub older_url: Option<String>,
    /// What was wrong with an upload that came without JavaScript: sentences.
    pub upload_problems: Vec<String>,
    /// The largest file that is taken, in bytes.
    pub max_upload_bytes: u64,
    /// The largest picture that is taken, in pixels.
    pub max_pixels: u64,
}

impl PhotosPage {
    /// Whether a photo here is still being made, so that the page changes by itself.
    pub fn is_live(&self) -> bool {
        self.photos.iter().any(PhotoCard::is_processing)
    }

    /// What may be uploaded, in words.
    pub fn limits(&self) -> String {
        format!(
            "JPEG, PNG, GIF or WebP, up to {} MiB and {} megapixels each",
            self.max_upload_bytes / (1024 * 1024),
            self.max_pixels / 1_000_000,
        )
    }
}

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
        super::photo_label(&self.name)
    }

    /// For `srcset`.
    pub fn srcset(&self) -> String {
        super::srcset(&self.pictures)
    }

    /// When it was uploaded, readable.
    pub fn uploaded(&self) -> String {
        format::readable_time(&self.uploaded_at)
    }
}

/// `GET /photos/{id}`: one photo, its sizes, and what can be done with it.
#[derive(Debug, Template)]
#[template(path = "photo.html")]
pub struct PhotoPage {
    /// Around the content.
    pub shell: Shell,
    /// The photo, with its sizes.
    pub photo: PhotoCard,
    /// The file as it was uploaded, served as an attachment.
    pub original: Original,
    /// Why it could not be deleted just now: a sentence.
    pub problem: Option<String>,
}

/// The uploaded file.
#[derive(Debug, Clone)]
pub struct Original {
    /// Its path.
    pub url: String,
    /// Its media type.
    pub content_type: String,
    /// Pixels, as its header says.
    pub width: u32,
    /// Pixels, as its header says.
    pub height: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Original {
    /// The file's length, readable.
    pub fn size(&self) -> String {
        format::file_size(self.bytes)
    }

    /// `JPEG` for `image/jpeg`.
    pub fn kind(&self) -> String {
        self.content_type.trim_start_matches("image/").to_uppercase()
    }
}

impl PhotoPage {
    /// Whether the page changes by itself.
    pub fn is_live(&self) -> bool {
        self.photo.is_processing()
    }

    /// The picture to show: the largest size.
    pub fn shown(&self) -> Option<&Picture> {
        self.photo.pictures.last()
    }
}
