//! Why a file is no picture for us.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why no picture can be made of a file; the text is a sentence for the customer.
///
/// It crosses the pipe between the worker and its child processes, hence serde.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// The first bytes are of no format that the shop takes.
    #[error("not a picture of a kind that we take: send a JPEG, PNG, GIF or WebP file")]
    UnknownFormat,
    /// Width × height is over the limit.
    #[error("the picture measures {width} × {height} pixels; at most {} million are allowed", millions(*.max_pixels))]
    TooManyPixels {
        /// Pixels, as the header says.
        width: u32,
        /// Pixels, as the header says.
        height: u32,
        /// What is allowed.
        max_pixels: u64,
    },
    /// The longer side is over the limit.
    #[error("the picture measures {width} × {height} pixels; a side may have at most {max_side}")]
    SideTooLong {
        /// Pixels, as the header says.
        width: u32,
        /// Pixels, as the header says.
        height: u32,
        /// What is allowed.
        max_side: u32,
    },
    /// The file is built of so many parts that reading it would take for ever.
    #[error("the picture has more than {max} {what}")]
    TooManyParts {
        /// What there are too many of: frames, scans.
        what: String,
        /// What is allowed.
        max: usize,
    },
    /// The header or the pixels end early or make no sense.
    #[error("the picture is truncated or damaged")]
    Damaged,
    /// A lawful file of a kind that no decoder here reads (arithmetic-coded or 12-bit JPEG, for example).
    #[error("the picture uses a rare variety of its format that we cannot read; please save it anew")]
    Unsupported,
    /// Decoding it would take more memory than its dimensions justify, or it broke a decoder.
    #[error("the picture cannot be processed; please save it anew")]
    Unprocessable,
}

/// `40_000_000` → `40`, `2_500_000` → `2.5`.
fn millions(pixels: u64) -> f64 {
    (pixels / 1_000) as f64 / 1_000.0
}

impl From<image::ImageError> for Rejection {
    fn from(error: image::ImageError) -> Self {
        tracing::debug!(%error, "a picture was refused");
        match error {
            image::ImageError::Unsupported(_) => Self::Unsupported,
            image::ImageError::Limits(_) => Self::Unprocessable,
            _ => Self::Damaged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_reads_as_a_sentence() {
        let too_many = Rejection::TooManyPixels { width: 30_000, height: 30_000, max_pixels: 40_000_000 };
        assert_eq!(
            too_many.to_string(),
            "the picture measures 30000 × 30000 pixels; at most 40 million are allowed"
        );
        let scans = Rejection::TooManyParts { what: "scans".to_owned(), max: 100 };
        assert_eq!(scans.to_string(), "the picture has more than 100 scans");
        assert_eq!(millions(2_500_000), 2.5);
    }
}
