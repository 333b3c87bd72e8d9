//! Photos: the picture formats that the shop takes, the sizes it makes, and a photo's life.

use serde::{Deserialize, Serialize};

/// A picture format that the shop takes, recognised by content and never by name.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "lowercase")]
pub enum ImageType {
    /// JFIF, Exif and plain JPEG streams.
    Jpeg,
    /// PNG; of an animated one the default image.
    Png,
    /// GIF; of an animated one the first frame.
    Gif,
    /// WebP; of an animated one the first frame.
    Webp,
}

impl ImageType {
    /// How many leading bytes [`ImageType::sniff`] looks at.
    pub const SNIFF_BYTES: usize = 12;

    /// Recognises a format by its first bytes.
    pub fn sniff(head: &[u8]) -> Option<Self> {
        match head {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', 0x0D, 0x0A, 0x1A, 0x0A, ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }

    /// The media type (IANA).
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::Webp => "image/webp",
        }
    }

    /// The file name extension used for downloads.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "jpeg",
            Self::Png => "png",
            Self::Gif => "gif",
            Self::Webp => "webp",
        }
    }

    /// The inverse of [`ImageType::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::Gif, Self::Webp].into_iter().find(|kind| kind.name() == name)
    }
}

/// A size that the worker makes of every photo.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// At most 160 px wide: galleries and mail.
    Thumb,
    /// At most 480 px wide: forms and phones.
    Medium,
    /// At most 1200 px wide: the photo's own page.
    Large,
}

impl Variant {
    /// All sizes, the largest first: each is made from the one before it.
    pub const LARGEST_FIRST: [Self; 3] = [Self::Large, Self::Medium, Self::Thumb];

    /// The name in URLs and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Thumb => "thumb",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// The inverse of [`Variant::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::LARGEST_FIRST.into_iter().find(|variant| variant.name() == name)
    }

    /// The greatest width in pixels; a smaller picture keeps its own.
    pub fn max_width(self) -> u32 {
        match self {
            Self::Thumb => 160,
            Self::Medium => 480,
            Self::Large => 1200,
        }
    }
}

/// What a picture may measure, checked on its header by web and again by the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureLimits {
    /// Width × height in pixels.
    pub max_pixels: u64,
    /// The longer side in pixels.
    pub max_side: u32,
}

impl PictureLimits {
    /// The longest side that is taken, whatever the area.
    pub const MAX_SIDE: u32 = 16_384;

    /// Whether a picture of these dimensions is taken.
    pub fn allow(&self, width: u32, height: u32) -> bool {
        width > 0
            && height > 0
            && width.max(height) <= self.max_side
            && u64::from(width) * u64::from(height) <= self.max_pixels
    }
}

/// Where a photo is in its life.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum PhotoStatus {
    /// Accepted; its sizes are not made yet.
    Processing,
    /// Its sizes can be fetched.
    Ready,
    /// The worker could not make a picture of it; the row says why.
    Rejected,
}

impl PhotoStatus {
    /// The name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
        }
    }

    /// The inverse of [`PhotoStatus::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Processing, Self::Ready, Self::Rejected].into_iter().find(|status| status.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_known_by_its_first_bytes() {
        let table: [(&[u8], Option<ImageType>); 6] = [
            (b"\xFF\xD8\xFF\xE0 and so on", Some(ImageType::Jpeg)),
            (b"\x89PNG\r\n\x1a\n....", Some(ImageType::Png)),
            (b"GIF89a......", Some(ImageType::Gif)),
            (b"RIFF\0\0\0\0WEBP", Some(ImageType::Webp)),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"<svg xmlns=\"", None),
        ];
        for (head, expected) in table {
            assert_eq!(ImageType::sniff(head), expected, "{head:?}");
        }
    }

    #[test]
    fn limits_count_area_and_side() {
        let limits = PictureLimits { max_pixels: 40_000_000, max_side: 16_384 };
        assert!(limits.allow(4_000, 3_000));
        assert!(limits.allow(16_384, 2_000));
        assert!(!limits.allow(16_385, 1));
        assert!(!limits.allow(30_000, 30_000));
        assert!(!limits.allow(0, 10));
        assert!(!limits.allow(u32::MAX, u32::MAX));
    }
}
