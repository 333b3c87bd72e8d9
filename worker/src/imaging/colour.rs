//! Brings every kind of pixel to 8-bit sRGB (or grey), with an alpha channel only where it shows.

use image::DynamicImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::raster::Raster;

/// How many pixels are converted at a time, so that a conversion needs no second picture in memory.
const PIXELS_AT_A_TIME: usize = 16 * 1024;

/// Narrows 16-bit channels to 8.
pub fn to_8_bits(mut raster: Raster) -> Raster {
    raster.pixels = match raster.pixels {
        DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(raster.pixels.into_luma8()),
        DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLumaA8(raster.pixels.into_luma_alpha8()),
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgb32F(_) => {
            DynamicImage::ImageRgb8(raster.pixels.into_rgb8())
        }
        DynamicImage::ImageRgba16(_) | DynamicImage::ImageRgba32F(_) => {
            DynamicImage::ImageRgba8(raster.pixels.into_rgba8())
        }
        narrow => narrow,
    };
    raster
}

/// Converts the colours from the file's profile to sRGB.
///
/// A profile that is broken, or of another kind than the pixels, is ignored as browsers do: slightly wrong
/// colours serve a customer better than no picture.
pub fn to_srgb(mut raster: Raster) -> Raster {
    if let Some(profile) = raster.profile.take() {
        raster.pixels = convert(raster.pixels, &profile);
    }
    raster
}

fn convert(pixels: DynamicImage, profile: &[u8]) -> DynamicImage {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else { return pixels };
    match (pixels, profile.color_space) {
        (DynamicImage::ImageRgb8(mut rgb), DataColorSpace::Rgb) => {
            convert_in_place(&mut rgb, 3, &profile, Layout::Rgb);
            DynamicImage::ImageRgb8(rgb)
        }
        (DynamicImage::ImageRgba8(mut rgba), DataColorSpace::Rgb) => {
            convert_in_place(&mut rgba, 4, &profile, Layout::Rgba);
            DynamicImage::ImageRgba8(rgba)
        }
        (DynamicImage::ImageLuma8(grey), DataColorSpace::Gray) => {
            let mut rgb = DynamicImage::ImageLuma8(grey.clone()).into_rgb8();
            match convert_into(&grey, &mut rgb, &profile, Layout::Gray, Layout::Rgb) {
                Some(()) => DynamicImage::ImageRgb8(rgb),
                None => DynamicImage::ImageLuma8(grey),
            }
        }
        (DynamicImage::ImageLumaA8(grey), DataColorSpace::Gray) => {
            let mut rgba = DynamicImage::ImageLumaA8(grey.clone()).into_rgba8();
            match convert_into(&grey, &mut rgba, &profile, Layout::GrayAlpha, Layout::Rgba) {
                Some(()) => DynamicImage::ImageRgba8(rgba),
                None => DynamicImage::ImageLumaA8(grey),
            }
        }
        (other, _) => other,
    }
}

/// Converts pixels of one layout to sRGB in the same layout; leaves them alone if the profile can't be used.
fn convert_in_place(samples: &mut [u8], channels: usize, profile: &ColorProfile, layout: Layout) {
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default())
    else {
        return;
    };
    let mut source = Vec::with_capacity(PIXELS_AT_A_TIME * channels);
    for part in samples.chunks_mut(PIXELS_AT_A_TIME * channels) {
        source.clear();
        source.extend_from_slice(part);
        // Both sides have the same length, the only thing that a transform checks.
        let _ = transform.transform(&source, part);
    }
}

/// Converts pixels to sRGB in another layout; `None` if the profile can't be used.
fn convert_into(
    source: &[u8],
    target: &mut [u8],
    profile: &ColorProfile,
    from: Layout,
    to: Layout,
) -> Option<()> {
    let srgb = ColorProfile::new_srgb();
    let transform = profile.create_transform_8bit(from, &srgb, to, TransformOptions::default()).ok()?;
    transform.transform(source, target).ok()
}

/// Turns four inks (255 = all of it) into RGB, in place: the picture keeps its buffer and loses its fourth
/// channel.
///
/// With a CMYK profile by its tables, straight to sRGB; without one by the usual rough rule.
pub fn inks_to_rgb(mut inks: Vec<u8>, profile: Option<&[u8]>) -> Vec<u8> {
    let profile = profile
        .and_then(|bytes| ColorProfile::new_from_slice(bytes).ok())
        .filter(|profile| profile.color_space == DataColorSpace::Cmyk);
    let transform = profile.and_then(|profile| {
        let srgb = ColorProfile::new_srgb();
        profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, TransformOptions::default()).ok()
    });

    let pixels = inks.len() / 4;
    let mut rgb = vec![0; PIXELS_AT_A_TIME * 3];
    for start in (0..pixels).step_by(PIXELS_AT_A_TIME) {
        let end = pixels.min(start + PIXELS_AT_A_TIME);
        let (source, target) = (&inks[start * 4..end * 4], &mut rgb[..(end - start) * 3]);
        let converted = transform.as_ref().and_then(|transform| transform.transform(source, target).ok());
        if converted.is_none() {
            rough_rgb(source, target);
        }
        // Three bytes a pixel never overtake four.
        inks[start * 3..end * 3].copy_from_slice(target);
    }
    inks.truncate(pixels * 3);
    inks
}

fn rough_rgb(inks: &[u8], rgb: &mut [u8]) {
    for (ink, out) in inks.as_chunks::<4>().0.iter().zip(rgb.as_chunks_mut::<3>().0) {
        let light = 255 - u16::from(ink[3]);
        *out = [0, 1, 2].map(|channel| (((255 - u16::from(ink[channel])) * light + 127) / 255) as u8);
    }
}

/// Takes away an alpha channel that is opaque everywhere, so that the picture can be a JPEG.
pub fn drop_opaque_alpha(mut raster: Raster) -> Raster {
    raster.pixels = match raster.pixels {
        DynamicImage::ImageRgba8(rgba) if rgba.as_chunks::<4>().0.iter().all(|pixel| pixel[3] == u8::MAX) => {
            let (width, height) = rgba.dimensions();
            let rgb = without_fourth(rgba.into_raw());
            image::RgbImage::from_raw(width, height, rgb)
                .map_or_else(DynamicImage::default, DynamicImage::from)
        }
        DynamicImage::ImageLumaA8(grey)
            if grey.as_chunks::<2>().0.iter().all(|pixel| pixel[1] == u8::MAX) =>
        {
            DynamicImage::ImageLuma8(DynamicImage::ImageLumaA8(grey).into_luma8())
        }
        other => other,
    };
    raster
}

/// Lays a picture with an alpha channel on white paper.
pub fn on_paper(mut raster: Raster) -> Raster {
    raster.pixels = match raster.pixels {
        DynamicImage::ImageRgba8(rgba) => {
            let (width, height) = rgba.dimensions();
            let mut samples = rgba.into_raw();
            for pixel in samples.as_chunks_mut::<4>().0 {
                let alpha = pixel[3];
                pixel[..3].iter_mut().for_each(|sample| *sample = over_white(*sample, alpha));
            }
            image::RgbImage::from_raw(width, height, without_fourth(samples))
                .map_or_else(DynamicImage::default, DynamicImage::from)
        }
        DynamicImage::ImageLumaA8(grey) => {
            let (width, height) = grey.dimensions();
            let samples = grey.as_chunks::<2>().0.iter().map(|&[light, alpha]| over_white(light, alpha));
            image::GrayImage::from_raw(width, height, samples.collect())
                .map_or_else(DynamicImage::default, DynamicImage::from)
        }
        opaque => opaque,
    };
    raster
}

fn over_white(sample: u8, alpha: u8) -> u8 {
    let (sample, alpha) = (u16::from(sample), u16::from(alpha));
    ((sample * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// `RGBARGBA…` → `RGBRGB…` in the same buffer: an alpha channel over 40 million pixels is no reason for
/// another 120 MB.
fn without_fourth(mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / 4;
    for pixel in 1..pixels {
        samples.copy_within(pixel * 4..pixel * 4 + 3, pixel * 3);
    }
    samples.truncate(pixels * 3);
    samples
}
