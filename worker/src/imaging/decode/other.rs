//! PNG, GIF and WebP, by way of the `image` crate.

use std::io::Cursor;

use gif::DecodeOptions;
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder};
use shared::domain::photo::PictureLimits;

use crate::imaging::raster::Raster;
use crate::imaging::{Rejection, limits};

/// Decodes a PNG; of an animated one the default image.
pub(super) fn png(file: &[u8], allowed: &PictureLimits) -> Result<Raster, Rejection> {
    // Its memory limit counts from the start; the sides wait for `read`, which names them to the customer.
    let mut memory_only = image::Limits::no_limits();
    memory_only.max_alloc = limits::for_decoder(allowed).max_alloc;
    read(PngDecoder::with_limits(Cursor::new(file), memory_only)?, allowed)
}

/// Decodes the first frame of a GIF.
pub(super) fn gif(file: &[u8], allowed: &PictureLimits) -> Result<Raster, Rejection> {
    let decoder = GifDecoder::new(Cursor::new(file))?;
    let (width, height) = decoder.dimensions();
    limits::check(allowed, width, height)?;
    if has_more_frames_than(file, limits::MAX_FRAMES) {
        return Err(Rejection::TooManyParts { what: "frames".to_owned(), max: limits::MAX_FRAMES });
    }
    read(decoder, allowed)
}

/// Decodes a WebP; of an animated one the first frame.
pub(super) fn webp(file: &[u8], allowed: &PictureLimits) -> Result<Raster, Rejection> {
    if is_shorter_than_it_says(file) {
        return Err(Rejection::Damaged);
    }
    read(WebPDecoder::new(Cursor::new(file))?, allowed)
}

/// Whether a RIFF file ends before the size that its header names.
///
/// The decoder doesn't mind: it paints what is missing as if zeros stood there.
fn is_shorter_than_it_says(file: &[u8]) -> bool {
    let Some(field) = file[4..].first_chunk::<4>() else { return true };
    let size = u32::from_le_bytes(*field);
    // The size counts from behind its own field, and the byte that pads an odd length is often left out.
    (file.len() as u64) + 1 < u64::from(size) + 8
}

fn read(mut decoder: impl ImageDecoder, allowed: &PictureLimits) -> Result<Raster, Rejection> {
    let full = decoder.dimensions();
    limits::check(allowed, full.0, full.1)?;
    decoder.set_limits(limits::for_decoder(allowed))?;
    // Neither is worth losing the picture for.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let pixels = DynamicImage::from_decoder(decoder)?;
    Ok(Raster { pixels, full, orientation, profile })
}

/// Walks over the frames of a GIF without unpacking them.
/// An error ends the walk: whether it matters shows when the first frame is decoded.
fn has_more_frames_than(file: &[u8], most: usize) -> bool {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let Ok(mut decoder) = options.read_info(file) else { return false };
    let mut frames = 0;
    while let Ok(Some(_)) = decoder.next_frame_info() {
        frames += 1;
        if frames > most {
            return true;
        }
    }
    false
}
