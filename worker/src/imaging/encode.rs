//! Pixels to a file, without any metadata.

use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder};
use shared::domain::photo::ImageType;

use super::Rejection;

/// 1–100; beyond 80 the files of the sizes that the shop shows grow faster than they improve.
const JPEG_QUALITY: u8 = 80;

/// Encodes as PNG what has an alpha channel, as JPEG all else.
///
/// # Errors
/// [`Rejection::Unprocessable`] for a side that JPEG can't express (over 65,535 pixels).
pub fn encode(pixels: &DynamicImage) -> Result<(ImageType, Vec<u8>), Rejection> {
    match pixels {
        DynamicImage::ImageLuma8(grey) => jpeg(grey, pixels, ColorType::Luma),
        DynamicImage::ImageRgb8(rgb) => jpeg(rgb, pixels, ColorType::Rgb),
        _ => png(pixels),
    }
}

fn jpeg(samples: &[u8], pixels: &DynamicImage, kind: ColorType) -> Result<(ImageType, Vec<u8>), Rejection> {
    let width = u16::try_from(pixels.width()).map_err(|_| Rejection::Unprocessable)?;
    let height = u16::try_from(pixels.height()).map_err(|_| Rejection::Unprocessable)?;
    let mut file = Vec::new();
    Encoder::new(&mut file, JPEG_QUALITY).encode(samples, width, height, kind).map_err(unprocessable)?;
    Ok((ImageType::Jpeg, file))
}

fn png(pixels: &DynamicImage) -> Result<(ImageType, Vec<u8>), Rejection> {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(pixels.as_bytes(), pixels.width(), pixels.height(), pixels.color().into())
        .map_err(unprocessable)?;
    Ok((ImageType::Png, file))
}

fn unprocessable(error: impl std::fmt::Display) -> Rejection {
    tracing::debug!(%error, "a picture could not be encoded");
    Rejection::Unprocessable
}
