use std::time::Duration;

use super::queues::REPORTS;
use serde::{Deserialize, Serialize};

use ::jobs::schedule::{Scheduled, Tick};
use model::{Kind, Queue};

/// Counts which products were ordered together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoBought {}

impl Kind for AlsoBought {
    const NAME: &'static str = "also_bought";
    const QUEUE: Queue = REPORTS;
    const TIMEOUT: Duration = Duration::from_secs(20 * 60);
    const TRIGGERABLE: bool = true;
}

impl Scheduled for AlsoBought {
    /// It looks at all of the recent orders, whenever it runs.
    fn at(_: Tick) -> Self {
        Self {}
    }
}
