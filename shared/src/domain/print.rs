//! Prints: from a product's format to the pixels that its printer wants.

use serde::{Deserialize, Serialize};

/// What a product measures, and how finely it is printed.
///
/// Prints for the hand have 300 dots per inch; what hangs on a wall is looked at from further away, and is
/// printed with fewer, as in any shop. The table of products says how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintFormat {
    /// The shorter side in millimetres.
    pub short_mm: u32,
    /// The longer side in millimetres.
    pub long_mm: u32,
    /// Dots per inch.
    pub dpi: u16,
}

impl PrintFormat {
    /// The same in pixels.
    pub fn size(self) -> PrintSize {
        PrintSize { short: self.pixels(self.short_mm), long: self.pixels(self.long_mm), dpi: self.dpi }
    }

    /// An inch has 25.4 mm.
    fn pixels(self, millimetres: u32) -> u32 {
        let tenths = u64::from(millimetres) * u64::from(self.dpi) * 10;
        u32::try_from((tenths + 127) / 254).unwrap_or(u32::MAX).max(1)
    }
}

/// What a print measures in pixels, whichever way round it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintSize {
    /// The shorter side.
    pub short: u32,
    /// The longer side.
    pub long: u32,
    /// Dots per inch, for the header of the file.
    pub dpi: u16,
}

impl PrintSize {
    /// Width and height of the print of a photo of these dimensions: paper is turned, pictures are not.
    pub fn for_photo(self, (width, height): (u32, u32)) -> (u32, u32) {
        if width > height { (self.long, self.short) } else { (self.short, self.long) }
    }

    /// How many pixels across a photo of these dimensions must have, so that what is left of it after
    /// cropping fills the print without being scaled up.
    pub fn width_needed(self, photo: (u32, u32)) -> u32 {
        let (width, height) = (u64::from(photo.0.max(1)), u64::from(photo.1.max(1)));
        let (across, down) = self.for_photo(photo);
        let by_height = (u64::from(down) * width).div_ceil(height);
        u32::try_from(by_height.max(u64::from(across))).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn millimetres_become_pixels() {
        let table = [
            ((100, 150, 300), (1_181, 1_772)),
            ((130, 180, 300), (1_535, 2_126)),
            ((200, 300, 300), (2_362, 3_543)),
            ((500, 700, 200), (3_937, 5_512)),
            ((600, 800, 150), (3_543, 4_724)),
        ];
        for ((short_mm, long_mm, dpi), (short, long)) in table {
            let format = PrintFormat { short_mm, long_mm, dpi };
            assert_eq!(format.size(), PrintSize { short, long, dpi }, "{format:?}");
        }
    }

    #[test]
    fn the_paper_is_turned_as_the_photo_is() {
        let size = PrintSize { short: 1_000, long: 1_500, dpi: 300 };
        assert_eq!(size.for_photo((4_000, 3_000)), (1_500, 1_000));
        assert_eq!(size.for_photo((3_000, 4_000)), (1_000, 1_500));
        assert_eq!(size.for_photo((500, 500)), (1_000, 1_500));
    }

    #[test]
    fn the_side_that_is_cropped_less_says_how_many_pixels_are_needed() {
        let size = PrintSize { short: 1_000, long: 1_500, dpi: 300 };
        assert_eq!(size.width_needed((4_000, 3_000)), 1_500, "cropped above and below");
        assert_eq!(size.width_needed((4_000, 2_000)), 2_000, "cropped left and right");
        assert_eq!(size.width_needed((500, 500)), 1_500);
        assert_eq!(size.width_needed((0, 0)), 1_500);
    }
}
