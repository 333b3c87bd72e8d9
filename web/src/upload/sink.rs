//! Where an upload's bytes go: checked on the way, then into the blob store.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use shared::blobs::{BlobPath, BlobWriter, Blobs};
use shared::domain::PhotoId;
use shared::domain::photo::{ImageType, PictureLimits};

use super::Received;
use crate::App;
use crate::error::ApiError;
use crate::problem::FieldError;

/// A picture's dimensions stand near its beginning; so much of it is kept to look for them.
const HEAD_BYTES: usize = 1024 * 1024;

/// One upload on its way. Dropping it gives the blob up, too: the client may hang up at any time.
pub struct Sink {
    blobs: Blobs,
    id: PhotoId,
    limit: u64,
    pictures: PictureLimits,
    /// The beginning, until the dimensions are known.
    head: Vec<u8>,
    /// How long the beginning must be before it is worth another look.
    look_at: usize,
    content_type: Option<ImageType>,
    dimensions: Option<(u32, u32)>,
    writer: Option<BlobWriter>,
    bytes: u64,
    hash: Sha256,
}

impl Sink {
    /// A sink for a new photo's original.
    pub fn new(app: &App) -> Self {
        Self {
            blobs: app.blobs.clone(),
            id: PhotoId::new(),
            limit: app.config.max_upload_bytes,
            pictures: app.config.picture_limits,
            head: Vec::new(),
            look_at: ImageType::SNIFF_BYTES,
            content_type: None,
            dimensions: None,
            writer: None,
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// Takes a piece.
    ///
    /// # Errors
    /// 413; 415 by content; 422 by dimensions; those of the blob store.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), ApiError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limit {
            return Err(ApiError::TooLarge(self.limit));
        }
        self.hash.update(&chunk);
        let before = self.head.len();
        if self.dimensions.is_none() && self.head.len() < HEAD_BYTES {
            self.head.extend_from_slice(&chunk[..chunk.len().min(HEAD_BYTES - self.head.len())]);
        }
        match &mut self.writer {
            Some(writer) => writer.write(chunk).await?,
            // Nothing is written before it is known to be a picture.
            None if self.head.len() >= ImageType::SNIFF_BYTES => self.begin(before, chunk).await?,
            None => return Ok(()),
        }
        if self.head.len() >= self.look_at {
            self.look()?;
            // Twice as much each time: the whole effort stays in proportion to the bytes.
            self.look_at = self.head.len() * 2;
        }
        Ok(())
    }

    /// The whole file has come.
    ///
    /// # Errors
    /// 400 when it is empty; those of [`Sink::push`].
    pub async fn finish(mut self) -> Result<Received, ApiError> {
        if self.bytes == 0 {
            return Err(ApiError::Malformed("The file is empty.".into()));
        }
        if let Err(refusal) = self.look() {
            self.abort().await;
            return Err(refusal);
        }
        // Nothing was written of what is too short to be anything.
        let (Some(content_type), Some(writer)) = (self.content_type, self.writer.take()) else {
            return Err(NO_PICTURE);
        };
        writer.finish().await?;
        let side = |pixels: u32| i32::try_from(pixels).unwrap_or(i32::MAX);
        Ok(Received {
            id: self.id,
            content_type,
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
            dimensions: self.dimensions.map(|(width, height)| (side(width), side(height))),
            file_name: None,
            sha256: hex(&self.hash.clone().finalize()),
        })
    }

    /// Gives up; no blob stays behind.
    pub async fn abort(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.abort().await;
        }
    }

    /// Recognises the beginning, then writes it: what was kept `before` this piece, and the piece.
    async fn begin(&mut self, before: usize, chunk: Bytes) -> Result<(), ApiError> {
        self.content_type = Some(ImageType::sniff(&self.head).ok_or(NO_PICTURE)?);
        let kept = Bytes::copy_from_slice(&self.head[..before]);
        let writer = self.writer.insert(self.blobs.writer(BlobPath::Original(self.id)));
        writer.write(kept).await?;
        Ok(writer.write(chunk).await?)
    }

    /// Reads the dimensions, if they are there yet. A picture whose header can't be read is for the worker
    /// to refuse.
    fn look(&mut self) -> Result<(), ApiError> {
        if self.dimensions.is_none()
            && let Ok(size) = imagesize::blob_size(&self.head)
        {
            let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
            let (width, height) = (side(size.width), side(size.height));
            self.dimensions = Some((width, height));
            self.head = Vec::new();
            if !self.pictures.allow(width, height) {
                return Err(self.too_big());
            }
        }
        Ok(())
    }

    fn too_big(&self) -> ApiError {
        let (width, height) = self.dimensions.unwrap_or_default();
        let PictureLimits { max_pixels, max_side } = self.pictures;
        let message = format!(
            "has {width} × {height} pixels; at most {max_pixels} in all and {max_side} on a side are taken"
        );
        ApiError::Invalid(vec![FieldError::new("file", message)])
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.writer.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(writer.abort());
        }
    }
}

const NO_PICTURE: ApiError =
    ApiError::UnsupportedMediaType("The file is no picture that we take: send JPEG, PNG, GIF or WebP.");

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
