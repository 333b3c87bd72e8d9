//! A decoded picture on its way.

use image::DynamicImage;
use image::metadata::Orientation;

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
