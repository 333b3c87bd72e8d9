//! Scales pixels, and cuts off what does not fit.

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;

use super::Rejection;

/// The dimensions of a picture of `full` dimensions that is at most `max_width` wide; never wider than it was,
/// and at least one pixel high.
pub fn within_width((width, height): (u32, u32), max_width: u32) -> (u32, u32) {
    if width <= max_width {
        return (width, height);
    }
    let scaled = (u64::from(height) * u64::from(max_width) + u64::from(width) / 2) / u64::from(width);
    (max_width, u32::try_from(scaled).unwrap_or(u32::MAX).max(1))
}

/// Scales to exact dimensions by a Lanczos filter, colours weighted by their alpha.
///
/// # Errors
/// [`Rejection::Unprocessable`] for pixels of a kind that the filter doesn't know.
pub fn resize(pixels: DynamicImage, width: u32, height: u32) -> Result<DynamicImage, Rejection> {
    scale(pixels, width, height, ResizeOptions::new())
}

/// Fills exact dimensions: scaled as little as possible, and cropped around the middle on the side that is
/// too long.
///
/// # Errors
/// As [`resize`].
pub fn fill(pixels: DynamicImage, width: u32, height: u32) -> Result<DynamicImage, Rejection> {
    scale(pixels, width, height, ResizeOptions::new().fit_into_destination(Some((0.5, 0.5))))
}

fn scale(
    pixels: DynamicImage,
    width: u32,
    height: u32,
    options: ResizeOptions,
) -> Result<DynamicImage, Rejection> {
    if (pixels.width(), pixels.height()) == (width, height) {
        return Ok(pixels);
    }
    let mut scaled = DynamicImage::new(width, height, pixels.color());
    let options = options.resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new().resize(&pixels, &mut scaled, &options).map_err(|error| {
        tracing::debug!(%error, "a picture could not be scaled");
        Rejection::Unprocessable
    })?;
    Ok(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportions_are_kept_and_nothing_grows() {
        assert_eq!(within_width((4_000, 3_000), 1_200), (1_200, 900));
        assert_eq!(within_width((3_000, 4_000), 480), (480, 640));
        assert_eq!(within_width((100, 5_000), 160), (100, 5_000));
        assert_eq!(within_width((1_200, 7), 1_200), (1_200, 7));
        assert_eq!(within_width((1_001, 3), 1_000), (1_000, 3));
    }

    #[test]
    fn the_thinnest_picture_keeps_one_row() {
        assert_eq!(within_width((16_384, 1), 160), (160, 1));
        assert_eq!(within_width((u32::MAX, 1), 1), (1, 1));
    }
}
