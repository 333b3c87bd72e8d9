//! JPEG by way of `zune-jpeg`: the second opinion on a file that the first decoder refuses.
//!
//! In its strict mode, which the `image` crate switches off: it then reports what is missing instead of
//! painting it grey.

use image::{DynamicImage, ImageBuffer};
use shared::domain::photo::PictureLimits;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::imaging::raster::Raster;
use crate::imaging::{Rejection, limits, orient};

/// Decodes a JPEG at its full size.
pub(super) fn decode(file: &[u8], allowed: &PictureLimits) -> Result<Raster, Rejection> {
    let side = usize::try_from(allowed.max_side).unwrap_or(usize::MAX);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side)
        .set_max_height(side)
        .jpeg_set_max_scans(limits::MAX_SCANS);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options);
    decoder.decode_headers().map_err(rejection)?;
    let info = decoder.info().ok_or(Rejection::Damaged)?;
    let full = (u32::from(info.width), u32::from(info.height));
    limits::check(allowed, full.0, full.1)?;

    let stored = decoder.input_colorspace();
    let grey = stored == Some(ColorSpace::Luma);
    let inks = matches!(stored, Some(ColorSpace::CMYK | ColorSpace::YCCK));
    let colours = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(colours));
    let samples = decoder.decode().map_err(rejection)?;

    let pixels = if grey {
        ImageBuffer::from_raw(full.0, full.1, samples).map(DynamicImage::ImageLuma8)
    } else {
        ImageBuffer::from_raw(full.0, full.1, samples).map(DynamicImage::ImageRgb8)
    };
    Ok(Raster {
        pixels: pixels.ok_or(Rejection::Damaged)?,
        full,
        orientation: orient::from_exif(decoder.exif().map(Vec::as_slice)),
        // The decoder made RGB of the inks by itself; their profile fits no more.
        profile: decoder.icc_profile().filter(|_| !inks),
    })
}

fn rejection(error: DecodeErrors) -> Rejection {
    tracing::debug!(%error, "a picture was refused");
    match error {
        DecodeErrors::Unsupported(_) => Rejection::Unsupported,
        _ => Rejection::Damaged,
    }
}
