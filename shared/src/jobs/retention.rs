use std::time::Duration;

use super::queues::REPORTS;
use serde::{Deserialize, Serialize};

use ::jobs::schedule::{Scheduled, Tick};
use model::{Kind, Queue};

/// Removes what was kept long enough: old jobs, blobs that no row names, and what piles up beside them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {}

impl Kind for Retention {
    const NAME: &'static str = "retention";
    const QUEUE: Queue = REPORTS;
    const TIMEOUT: Duration = Duration::from_secs(20 * 60);
    const TRIGGERABLE: bool = true;
}

impl Scheduled for Retention {
    /// It looks at all that is old, whenever it runs.
    fn at(_: Tick) -> Self {
        Self {}
    }
}
