use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Kind, Queue};
use crate::domain::PhotoId;

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
    const QUEUE: Queue = Queue::IMAGES;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const TRIGGERABLE: bool = true;
}
