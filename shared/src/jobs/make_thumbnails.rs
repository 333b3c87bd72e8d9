use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Kind, Queue};
use crate::domain::PhotoId;

/// Makes the sizes of an uploaded photo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeThumbnails {
    /// The photo.
    pub photo_id: PhotoId,
}

impl Kind for MakeThumbnails {
    const NAME: &'static str = "make_thumbnails";
    const QUEUE: Queue = Queue::IMAGES;
    const TIMEOUT: Duration = Duration::from_secs(120);
}
