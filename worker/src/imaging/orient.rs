//! Turns a picture the way its camera was held (Exif tag 0x0112).

use image::metadata::Orientation;

use super::raster::Raster;

/// Applies the orientation to the pixels.
pub fn upright(mut raster: Raster) -> Raster {
    raster.pixels.apply_orientation(raster.orientation);
    if swaps_sides(raster.orientation) {
        raster.full = (raster.full.1, raster.full.0);
    }
    raster.orientation = Orientation::NoTransforms;
    raster
}

/// Whether the stored height becomes the width.
pub fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// Reads the orientation from an Exif block that starts at its TIFF header; a missing or senseless one is
/// "as it is".
pub fn from_exif(exif: Option<&[u8]>) -> Orientation {
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}
