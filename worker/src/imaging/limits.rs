//! The first step: what a header may claim, before a single pixel is allocated.

use shared::domain::photo::PictureLimits;

use super::Rejection;

/// The most frames of an animation; nobody prints a film.
pub const MAX_FRAMES: usize = 1_000;

/// The most scans of a JPEG.
///
/// Each scan visits every block of the picture, however short it is itself, so a file of some kilobytes could
/// ask for hours of work; cameras and encoders write about ten.
pub const MAX_SCANS: usize = 200;

/// Holds the dimensions of a header against the limits.
///
/// # Errors
/// [`Rejection::Damaged`] for a side of zero, else the limit that was broken.
pub fn check(limits: &PictureLimits, width: u32, height: u32) -> Result<(), Rejection> {
    if width == 0 || height == 0 {
        return Err(Rejection::Damaged);
    }
    if limits.allow(width, height) {
        return Ok(());
    }
    if width.max(height) > limits.max_side && u64::from(width) * u64::from(height) <= limits.max_pixels {
        return Err(Rejection::SideTooLong { width, height, max_side: limits.max_side });
    }
    Err(Rejection::TooManyPixels { width, height, max_pixels: limits.max_pixels })
}

/// The same limits for the decoders of the `image` crate, whose own default bounds neither side.
///
/// The memory is what the most expensive pixels take (four channels of 16 bits), and a fixed allowance for
/// profiles, palettes and rows in between.
pub fn for_decoder(limits: &PictureLimits) -> image::Limits {
    const BYTES_PER_PIXEL: u64 = 8;
    const ALLOWANCE: u64 = 64 << 20;
    let mut decoder = image::Limits::no_limits();
    decoder.max_image_width = Some(limits.max_side);
    decoder.max_image_height = Some(limits.max_side);
    decoder.max_alloc = Some(limits.max_pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(ALLOWANCE));
    decoder
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PictureLimits = PictureLimits { max_pixels: 40_000_000, max_side: 16_384 };

    #[test]
    fn the_limit_that_was_broken_is_named() {
        assert_eq!(check(&LIMITS, 8_000, 5_000), Ok(()));
        assert_eq!(check(&LIMITS, 0, 5_000), Err(Rejection::Damaged));
        assert_eq!(
            check(&LIMITS, 16_385, 2),
            Err(Rejection::SideTooLong { width: 16_385, height: 2, max_side: 16_384 })
        );
        for (width, height) in [(30_000, 30_000), (8_000, 5_001), (u32::MAX, u32::MAX)] {
            assert_eq!(
                check(&LIMITS, width, height),
                Err(Rejection::TooManyPixels { width, height, max_pixels: 40_000_000 })
            );
        }
    }
}
