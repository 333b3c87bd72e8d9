use std::time::Duration;

use super::queues::REPORTS;
use serde::{Deserialize, Serialize};

use ::jobs::schedule::{Scheduled, Tick};
use model::{Kind, Queue};

/// Compares what must agree: stock and its moves, orders and the ledger, photos and blobs, subjects and their
/// jobs. Tells what it finds, and changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyCheck {}

impl Kind for ConsistencyCheck {
    const NAME: &'static str = "consistency_check";
    const QUEUE: Queue = REPORTS;
    const TIMEOUT: Duration = Duration::from_secs(20 * 60);
    const TRIGGERABLE: bool = true;
}

impl Scheduled for ConsistencyCheck {
    /// It looks at everything, whenever it runs.
    fn at(_: Tick) -> Self {
        Self {}
    }
}
