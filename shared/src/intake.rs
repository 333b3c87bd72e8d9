//! A picture on its way into the shop, whoever brings it: its bytes are checked while they go by, and then it is
//! a row and a job.
//!
//! Pictures are not decoded here: their headers are read, no more.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::blobs::{BlobPath, BlobWriter, Blobs};
use crate::db::accepting;
use crate::db::photos::{NewPhoto, Photo};
use crate::domain::photo::{ImageType, PictureLimits};
use crate::domain::{CustomerId, PhotoId};
use ::jobs::Job;
use database::{DbError, Tx};
use model::JobId;
use platform::BlobError;

/// What a picture may be.
#[derive(Debug, Clone, Copy)]
pub struct IntakeLimits {
    /// Bytes at most.
    pub bytes: u64,
    /// What it may measure.
    pub pictures: PictureLimits,
}

/// Why a picture is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// More bytes than are taken.
    #[error("has more than {0} bytes")]
    TooLarge(u64),
    /// Nothing at all.
    #[error("is empty")]
    Empty,
    /// By its content, whatever its name is.
    #[error("is no picture that we take: send JPEG, PNG, GIF or WebP")]
    NoPicture,
    /// By its header.
    #[error("has {width} × {height} pixels; at most {max_pixels} in all and {max_side} on a side are taken")]
    TooManyPixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// The limit.
        max_pixels: u64,
        /// The limit.
        max_side: u32,
    },
    /// No fault of the picture.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// A picture that was taken: its blob is there, its row is not yet.
#[derive(Debug, Clone)]
pub struct Received {
    /// The photo's id: names the blob.
    pub id: PhotoId,
    /// What it is, by content.
    pub content_type: ImageType,
    /// Its size.
    pub bytes: i64,
    /// Width and height by the header, as far as it could be read.
    pub dimensions: Option<(i32, i32)>,
    /// What is kept of the file's name.
    pub file_name: Option<String>,
    /// SHA-256 of the bytes, in hexadecimal.
    pub sha256: String,
}

impl Received {
    /// The photo that it becomes, with a new job.
    pub fn photo_of(&self, customer: CustomerId) -> NewPhoto {
        NewPhoto {
            id: self.id,
            customer_id: customer,
            job_id: JobId::new(),
            file_name: self.file_name.clone(),
            content_type: self.content_type,
            bytes: self.bytes,
            width: self.dimensions.map(|(width, _)| width),
            height: self.dimensions.map(|(_, height)| height),
        }
    }

    /// Makes it a photo of the customer: its row, and the job that makes its sizes.
    ///
    /// # Errors
    /// Those of the database; then there is neither, and the blob is litter.
    pub async fn accept(
        &self,
        tx: &mut Tx,
        customer: CustomerId,
        traceparent: Option<String>,
    ) -> Result<(Photo, Job), DbError> {
        accepting::accept(tx, &self.photo_of(customer), traceparent).await
    }
}

/// A picture's dimensions stand near its beginning; so much of it is kept to look for them.
const HEAD_BYTES: usize = 1024 * 1024;

/// One picture on its way. Dropping it gives the blob up, too: whoever brings it may go away at any time.
pub struct Intake {
    blobs: Blobs,
    id: PhotoId,
    limits: IntakeLimits,
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

impl Intake {
    /// For a new photo's original.
    pub fn new(blobs: Blobs, limits: IntakeLimits) -> Self {
        Self {
            blobs,
            id: PhotoId::new(),
            limits,
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
    /// Why it is not taken; then [`Intake::abort`] it.
    pub async fn push(&mut self, chunk: Bytes) -> Result<(), IntakeError> {
        self.bytes += chunk.len() as u64;
        if self.bytes > self.limits.bytes {
            return Err(IntakeError::TooLarge(self.limits.bytes));
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
    /// [`IntakeError::Empty`]; those of [`Intake::push`].
    pub async fn finish(mut self) -> Result<Received, IntakeError> {
        if self.bytes == 0 {
            return Err(IntakeError::Empty);
        }
        if let Err(refusal) = self.look() {
            self.abort().await;
            return Err(refusal);
        }
        // Nothing was written of what is too short to be anything.
        let (Some(content_type), Some(writer)) = (self.content_type, self.writer.take()) else {
            return Err(IntakeError::NoPicture);
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
    async fn begin(&mut self, before: usize, chunk: Bytes) -> Result<(), IntakeError> {
        self.content_type = Some(ImageType::sniff(&self.head).ok_or(IntakeError::NoPicture)?);
        let kept = Bytes::copy_from_slice(&self.head[..before]);
        let writer = self.writer.insert(self.blobs.writer(BlobPath::Original(self.id)));
        writer.write(kept).await?;
        Ok(writer.write(chunk).await?)
    }

    /// Reads the dimensions, if they are there yet. A picture whose header can't be read is for the worker
    /// to refuse.
    fn look(&mut self) -> Result<(), IntakeError> {
        if self.dimensions.is_none()
            && let Ok(size) = imagesize::blob_size(&self.head)
        {
            let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
            let (width, height) = (side(size.width), side(size.height));
            self.dimensions = Some((width, height));
            self.head = Vec::new();
            if !self.limits.pictures.allow(width, height) {
                return Err(self.too_big());
            }
        }
        Ok(())
    }

    fn too_big(&self) -> IntakeError {
        let (width, height) = self.dimensions.unwrap_or_default();
        let PictureLimits { max_pixels, max_side } = self.limits.pictures;
        IntakeError::TooManyPixels { width, height, max_pixels, max_side }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.writer.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(writer.abort());
        }
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
