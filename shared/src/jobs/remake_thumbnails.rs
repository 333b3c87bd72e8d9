use std::time::Duration;

use super::queues::IMAGES;
use serde::{Deserialize, Serialize};

use crate::domain::PhotoId;
use model::{Kind, Queue};

/// Makes the sizes of a photo once more: for an operator who lost some, or who changed what they are.
/// The photo stays as it is until they are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemakeThumbnails {
    /// The photo.
    pub photo_id: PhotoId,
}

impl Kind for RemakeThumbnails {
    const NAME: &'static str = "remake_thumbnails";
    const QUEUE: Queue = IMAGES;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const TRIGGERABLE: bool = true;
}
