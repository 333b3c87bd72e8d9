//! A decoded picture on its way, and the steps that make it fit to be shown or printed.

use image::DynamicImage;
use image::metadata::Orientation;
use shared::domain::photo::PictureLimits;

use super::{Rejection, colour, decode, orient};

/// A decoded picture and what its file said about it.
#[derive(Debug)]
pub struct Raster {
    /// The pixels; fewer than `full` when the decoder scaled down on the way.
    pub pixels: DynamicImage,
    /// Width and height in pixels of the picture as its file has it, turned together with `pixels`.
    pub full: (u32, u32),
    /// How `pixels` must be turned to stand upright.
    pub orientation: Orientation,
    /// The ICC profile that says what the numbers in `pixels` mean; none is sRGB.
    pub profile: Option<Vec<u8>>,
}

/// The width in pixels that is needed of an upright picture of these dimensions.
pub type LeastWidth<'a> = &'a dyn Fn((u32, u32)) -> u32;

/// What happens to every picture after decoding, in this order: 8 bits a channel first, because all that
/// follows is then cheaper.
pub const UPRIGHT_SRGB: [fn(Raster) -> Raster; 4] =
    [colour::to_8_bits, orient::upright, colour::to_srgb, colour::drop_opaque_alpha];

/// Decodes a file to upright sRGB pixels of 8 bits a channel, without an alpha channel unless it shows.
///
/// `least_width` tells how many pixels across the caller needs of an upright picture of given dimensions: a
/// decoder that can scale down cheaply (JPEG) stays at or above that, and saves memory for the rest.
///
/// # Errors
/// A [`Rejection`] when the file is no picture within the limits.
pub fn prepare(
    file: &[u8],
    limits: &PictureLimits,
    least_width: LeastWidth<'_>,
) -> Result<Raster, Rejection> {
    let decoded = decode::decode(file, limits, least_width)?;
    Ok(UPRIGHT_SRGB.iter().fold(decoded, |raster, step| step(raster)))
}
