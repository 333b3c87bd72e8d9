//! The steps that make a picture fit to be shown or printed.

use shared::domain::photo::PictureLimits;

use super::raster::{LeastWidth, Raster};
use super::{Rejection, colour, decode, orient};

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
