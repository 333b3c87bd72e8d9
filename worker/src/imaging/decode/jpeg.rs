//! JPEG by way of `jpeg-decoder`, which can leave out frequencies: at half, a quarter or an eighth of the size
//! most of the work of decoding is never done.

use image::{DynamicImage, ImageBuffer};
use jpeg_decoder::{CodingProcess, Decoder, Error, ImageInfo, PixelFormat};
use shared::domain::photo::PictureLimits;

use super::jpeg_strict;
use crate::imaging::raster::{LeastWidth, Raster};
use crate::imaging::{Rejection, colour, limits, orient};

/// Decodes a JPEG to no fewer than `least_width` pixels across (when upright), if it has as many.
pub(super) fn decode(
    file: &[u8],
    allowed: &PictureLimits,
    least_width: LeastWidth<'_>,
) -> Result<Raster, Rejection> {
    let scans = file.windows(2).filter(|pair| pair == &[0xFF, 0xDA]).take(limits::MAX_SCANS + 1).count();
    if scans > limits::MAX_SCANS {
        return Err(Rejection::TooManyParts { what: "scans".to_owned(), max: limits::MAX_SCANS });
    }
    match decode_scaled(file, allowed, least_width) {
        Ok(raster) => Ok(raster),
        Err(Failure::Rejected(rejection)) => Err(rejection),
        // The end came too early. No other decoder could know what was there.
        Err(Failure::Decoder(Error::Io(_))) => Err(Rejection::Damaged),
        Err(Failure::Decoder(error)) => {
            tracing::debug!(%error, "trying the other JPEG decoder");
            let unsupported = matches!(error, Error::Unsupported(_));
            jpeg_strict::decode(file, allowed).map_err(|rejection| match rejection {
                Rejection::Damaged if unsupported => Rejection::Unsupported,
                other => other,
            })
        }
    }
}

enum Failure {
    Rejected(Rejection),
    Decoder(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Decoder(error)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

fn decode_scaled(
    file: &[u8],
    allowed: &PictureLimits,
    least_width: LeastWidth<'_>,
) -> Result<Raster, Failure> {
    let mut decoder = Decoder::new(file);
    decoder.read_info()?;
    let info = decoder.info().ok_or(Rejection::Damaged)?;
    let full = (u32::from(info.width), u32::from(info.height));
    limits::check(allowed, full.0, full.1)?;

    // Exif stands before the frame header, so the orientation is known here.
    let orientation = orient::from_exif(decoder.exif_data());
    if info.coding_process != CodingProcess::Lossless {
        // The decoder takes the smallest scale at which one of the sides reaches what is asked for; asking the
        // impossible of the other side leaves the choice to the one that becomes the width.
        let turned = orient::swaps_sides(orientation);
        let upright = if turned { (full.1, full.0) } else { full };
        let least = u16::try_from(least_width(upright)).unwrap_or(u16::MAX);
        let (width, height) = if turned { (u16::MAX, least) } else { (least, u16::MAX) };
        decoder.scale(width, height)?;
    }

    let samples = decoder.decode()?;
    let info = decoder.info().ok_or(Rejection::Damaged)?;
    let profile = decoder.icc_profile();
    let (pixels, profile) =
        assemble(samples, info, profile, has_adobe_marker(file)).ok_or(Rejection::Damaged)?;
    Ok(Raster { pixels, full, orientation, profile })
}

/// The decoder's samples as a picture; `None` if there are more or fewer than there should be.
fn assemble(
    samples: Vec<u8>,
    info: ImageInfo,
    profile: Option<Vec<u8>>,
    adobe: bool,
) -> Option<(DynamicImage, Option<Vec<u8>>)> {
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    let pixels = match info.pixel_format {
        PixelFormat::L8 => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)?,
        PixelFormat::L16 => {
            let wide = samples.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair)).collect();
            ImageBuffer::from_raw(width, height, wide).map(DynamicImage::ImageLuma16)?
        }
        PixelFormat::RGB24 => ImageBuffer::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)?,
        PixelFormat::CMYK32 => {
            let inks = if adobe { samples } else { inverted(samples) };
            let rgb = colour::inks_to_rgb(inks, profile.as_deref());
            // The profile has done its work and fits the new pixels no more.
            return Some((ImageBuffer::from_raw(width, height, rgb).map(DynamicImage::ImageRgb8)?, None));
        }
    };
    Some((pixels, profile))
}

/// The decoder takes all inks as stored the way Adobe does, "255 = none", and turns them round.
/// Without Adobe's marker 255 stands for all of it, so they are turned back.
fn inverted(mut samples: Vec<u8>) -> Vec<u8> {
    samples.iter_mut().for_each(|sample| *sample = !*sample);
    samples
}

/// Whether an APP14 segment of Adobe's stands before the first scan.
fn has_adobe_marker(file: &[u8]) -> bool {
    segments(file).any(|(marker, body)| marker == 0xEE && body.starts_with(b"Adobe"))
}

/// The segments (marker, body) between the start of a JPEG and its first scan (ITU-T T.81, B.1.1).
fn segments(file: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = file.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let start = rest.windows(2).position(|pair| pair[0] == 0xFF && !matches!(pair[1], 0x00 | 0xFF))?;
        let marker = rest[start + 1];
        let after = &rest[start + 2..];
        let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        if marker == 0xDA || marker == 0xD9 {
            return None;
        }
        let body = after.get(2..length)?;
        rest = &after[length..];
        Some((marker, body))
    })
}
