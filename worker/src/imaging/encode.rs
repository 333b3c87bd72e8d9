//! Pixels to a file, without any metadata.

use image::codecs::png::PngEncoder;
use image::{DynamicImage, ImageEncoder};
use jpeg_encoder::{ColorType, Encoder, PixelDensity, SamplingFactor};
use shared::domain::photo::ImageType;

use super::Rejection;

/// 1–100; beyond 80 the files of the sizes that the shop shows grow faster than they improve.
const JPEG_QUALITY: u8 = 80;

/// A print is looked at from near, and its file by a printer only.
const PRINT_QUALITY: u8 = 92;

/// Encodes as PNG what has an alpha channel, as JPEG all else.
///
/// # Errors
/// [`Rejection::Unprocessable`] for a side that JPEG can't express (over 65,535 pixels).
pub fn encode(pixels: &DynamicImage) -> Result<(ImageType, Vec<u8>), Rejection> {
    match pixels {
        DynamicImage::ImageLuma8(grey) => jpeg(grey, pixels, ColorType::Luma, None),
        DynamicImage::ImageRgb8(rgb) => jpeg(rgb, pixels, ColorType::Rgb, None),
        _ => png(pixels),
    }
}

/// Encodes a print: a JPEG of high quality and full colour resolution that knows its size on paper.
///
/// # Errors
/// As [`encode`], and for pixels with an alpha channel: paper has none.
pub fn print(pixels: &DynamicImage, dpi: u16) -> Result<Vec<u8>, Rejection> {
    let (_, file) = match pixels {
        DynamicImage::ImageLuma8(grey) => jpeg(grey, pixels, ColorType::Luma, Some(dpi)),
        DynamicImage::ImageRgb8(rgb) => jpeg(rgb, pixels, ColorType::Rgb, Some(dpi)),
        _ => Err(Rejection::Unprocessable),
    }?;
    Ok(file)
}

fn jpeg(
    samples: &[u8],
    pixels: &DynamicImage,
    kind: ColorType,
    print_dpi: Option<u16>,
) -> Result<(ImageType, Vec<u8>), Rejection> {
    let width = u16::try_from(pixels.width()).map_err(|_| Rejection::Unprocessable)?;
    let height = u16::try_from(pixels.height()).map_err(|_| Rejection::Unprocessable)?;
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, print_dpi.map_or(JPEG_QUALITY, |_| PRINT_QUALITY));
    if let Some(dpi) = print_dpi {
        encoder.set_density(PixelDensity::dpi(dpi));
        encoder.set_sampling_factor(SamplingFactor::F_1_1);
    }
    encoder.encode(samples, width, height, kind).map_err(unprocessable)?;
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
