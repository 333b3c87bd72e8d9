//! From an uploaded file to the pictures that the shop shows and prints.
//!
//! The way of a picture, one file a step: [`limits`] (the header) → [`decode`] → [`prepare::UPRIGHT_SRGB`]
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
pub mod prepare;
pub mod protocol;
pub mod raster;
mod rejection;
pub mod resize;
#[cfg(test)]
mod tests;

use shared::domain::photo::{ImageType, PictureLimits, Variant};
use shared::domain::print::PrintSize;

pub use pool::{ImagingError, ImagingPool, ImagingSettings};
pub use protocol::Task;
pub use rejection::Rejection;

/// A finished picture, free of metadata, in sRGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// PNG when it has an alpha channel that matters, else JPEG.
    pub content_type: ImageType,
    /// The encoded file.
    pub bytes: Vec<u8>,
}

/// Does what a request asks for.
///
/// # Errors
/// As [`make_variants`] and [`render_print`].
pub fn make(task: Task, original: &[u8], limits: &PictureLimits) -> Result<Vec<Picture>, Rejection> {
    match task {
        Task::Sizes => make_variants(original, limits),
        Task::Print(size) => Ok(vec![render_print(original, limits, size)?]),
    }
}

/// Makes every size of a photo, each from the one before it, in the order of [`Variant::LARGEST_FIRST`].
///
/// A photo that is narrower than a size keeps its own width there: nothing is ever scaled up.
///
/// # Errors
/// A [`Rejection`] says what is wrong with the file; trying again is pointless.
pub fn make_variants(original: &[u8], limits: &PictureLimits) -> Result<Vec<Picture>, Rejection> {
    let mut raster = prepare::prepare(original, limits, &|_| Variant::Large.max_width())?;
    let mut pictures = Vec::with_capacity(Variant::LARGEST_FIRST.len());
    for variant in Variant::LARGEST_FIRST {
        let (width, height) = resize::within_width(raster.full, variant.max_width());
        raster.pixels = resize::resize(raster.pixels, width, height)?;
        let (content_type, bytes) = encode::encode(&raster.pixels)?;
        pictures.push(Picture { width, height, content_type, bytes });
    }
    Ok(pictures)
}

/// Makes the print of a photo: on white paper, cropped at its middle to the shape of the paper, which is
/// turned the way the photo is, and of exactly the size that the printer wants.
///
/// # Errors
/// As [`make_variants`].
pub fn render_print(original: &[u8], limits: &PictureLimits, size: PrintSize) -> Result<Picture, Rejection> {
    let raster = prepare::prepare(original, limits, &|upright| size.width_needed(upright))?;
    let (width, height) = size.for_photo(raster.full);
    let pixels = resize::fill(colour::on_paper(raster).pixels, width, height)?;
    let bytes = encode::print(&pixels, size.dpi)?;
    Ok(Picture { width, height, content_type: ImageType::Jpeg, bytes })
}
