//! From an uploaded file to the pictures that the shop shows.
//!
//! The way of a picture, one file a step: [`limits`] (the header) → [`decode`] → [`raster::UPRIGHT_SRGB`]
//! ([`orient`], [`colour`]) → [`resize`] → [`encode`].
//! All of them are pure, synchronous functions over bytes and pixels.
//!
//! Uploads are hostile until proven otherwise, and neither a hang nor an exhausted memory can be stopped in a
//! thread.
//! So the steps run in child processes: [`pool`] is what the rest of the worker calls, [`child`] is the other
//! end of the pipe, [`protocol`] what they say to each other.
//!
//! What does not live here: where the originals come from and where the pictures go.

pub mod child;
pub mod colour;
pub mod decode;
pub mod encode;
pub mod limits;
pub mod orient;
pub mod pool;
pub mod protocol;
pub mod raster;
mod rejection;
pub mod resize;
#[cfg(test)]
mod tests;

use shared::domain::photo::{ImageType, PictureLimits, Variant};

pub use pool::{ImagingError, ImagingPool, ImagingSettings};
pub use rejection::Rejection;

/// One finished size of a photo, free of metadata, in sRGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Which size it is.
    pub variant: Variant,
    /// Width in pixels, at most [`Variant::max_width`].
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// PNG when it has an alpha channel that matters, else JPEG.
    pub content_type: ImageType,
    /// The encoded file.
    pub bytes: Vec<u8>,
}

/// Makes every size of a photo, the largest first, each from the one before it.
///
/// A photo that is narrower than a size keeps its own width there: nothing is ever scaled up.
///
/// # Errors
/// A [`Rejection`] says what is wrong with the file; trying again is pointless.
pub fn make_variants(original: &[u8], limits: &PictureLimits) -> Result<Vec<Picture>, Rejection> {
    let mut raster = raster::prepare(original, limits, Variant::Large.max_width())?;
    let mut pictures = Vec::with_capacity(Variant::LARGEST_FIRST.len());
    for variant in Variant::LARGEST_FIRST {
        let (width, height) = resize::within_width(raster.full, variant.max_width());
        raster.pixels = resize::resize(raster.pixels, width, height)?;
        let (content_type, bytes) = encode::encode(&raster.pixels)?;
        pictures.push(Picture { variant, width, height, content_type, bytes });
    }
    Ok(pictures)
}
