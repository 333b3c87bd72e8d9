//! A photo's sizes, as pages show them.

use super::view::{PhotoView, VariantView};
use crate::pages::format;

/// A picture that can be fetched: one size of a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The size's name: `thumb`, `medium`, `large`.
    pub name: String,
    /// Its path; with a signature where the page is read without a session.
    pub url: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Picture {
    /// The file's length, readable.
    pub fn size(&self) -> String {
        format::file_size(self.bytes)
    }
}

/// The sizes as a `srcset` with widths (HTML §2.5.6): the browser picks what its screen needs.
///
/// URLs must hold no white space and no comma at their ends, which paths of photos never do.
pub fn srcset(pictures: &[Picture]) -> String {
    let candidates: Vec<String> =
        pictures.iter().map(|picture| format!("{} {}w", picture.url, picture.width)).collect();
    candidates.join(", ")
}

/// What to call a photo in text: its file name, or a stand-in for one that came without.
pub fn photo_label(name: &str) -> &str {
    if name.trim().is_empty() { "Untitled photo" } else { name }
}

/// The sizes of a photo, the smallest first.
pub fn pictures(photo: &PhotoView) -> Vec<Picture> {
    let mut sizes: Vec<&VariantView> = photo.variants.iter().collect();
    sizes.sort_by_key(|variant| (variant.width, rank(variant.name)));
    sizes.into_iter().map(picture).collect()
}

/// A small photo has three sizes of one width: they keep their order all the same.
fn rank(name: &str) -> u8 {
    match name {
        "thumb" => 0,
        "medium" => 1,
        _ => 2,
    }
}

fn picture(variant: &VariantView) -> Picture {
    Picture {
        name: variant.name.to_owned(),
        url: variant.url.clone(),
        width: unsigned(variant.width),
        height: unsigned(variant.height),
        bytes: u64::try_from(variant.bytes).unwrap_or_default(),
    }
}

/// Of a number that is never negative.
pub fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
