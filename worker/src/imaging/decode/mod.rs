//! Files to pixels.
//!
//! JPEG has a decoder of its own, because it can scale down while decoding; the other formats go through the
//! `image` crate.

mod jpeg;
mod jpeg_strict;
mod other;

use shared::domain::photo::{ImageType, PictureLimits};

use super::Rejection;
use super::raster::{LeastWidth, Raster};

/// Decodes a file of any format that the shop takes, recognised by its content; of an animation the first frame.
///
/// `least_width` tells which width the upright picture must keep if the decoder scales down.
///
/// # Errors
/// A [`Rejection`] when the file is no picture, is broken, or is over the limits.
pub fn decode(file: &[u8], limits: &PictureLimits, least_width: LeastWidth<'_>) -> Result<Raster, Rejection> {
    match ImageType::sniff(file).ok_or(Rejection::UnknownFormat)? {
        ImageType::Jpeg => jpeg::decode(file, limits, least_width),
        ImageType::Png => other::png(file, limits),
        ImageType::Gif => other::gif(file, limits),
        ImageType::Webp => other::webp(file, limits),
    }
}
