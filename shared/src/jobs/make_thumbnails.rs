use std::time::Duration;

use super::queues::IMAGES;
use serde::{Deserialize, Serialize};

use crate::domain::PhotoId;
use model::{Kind, Queue};

/// Makes the sizes of an uploaded photo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeThumbnails {
    /// The photo.
    pub photo_id: PhotoId,
}

impl Kind for MakeThumbnails {
    const NAME: &'static str = "make_thumbnails";
    const QUEUE: Queue = IMAGES;
    const TIMEOUT: Duration = Duration::from_secs(120);
}
