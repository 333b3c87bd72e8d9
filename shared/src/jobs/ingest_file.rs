use serde::{Deserialize, Serialize};

use super::queues::IO;
use model::{Kind, Queue};

/// Makes a file of the watched folder a photo.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IngestFile {
    /// Below `incoming/`.
    pub path: String,
    /// Which version of the file: another one is another photo.
    pub version: String,
}

impl Kind for IngestFile {
    const NAME: &'static str = "ingest_file";
    const QUEUE: Queue = IO;
}
