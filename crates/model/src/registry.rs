//! What the engine is told of its application: the kinds and the queues, once, at the start of the program.

use std::sync::OnceLock;

use crate::kind::KindInfo;
use crate::queue::{Queue, QueueInfo};

static REGISTERED: OnceLock<Registered> = OnceLock::new();

/// As long as nothing is registered: a test of the engine alone.
static NOTHING: Registered = Registered { kinds: &[], queues: Vec::new() };

struct Registered {
    kinds: &'static [KindInfo],
    queues: Vec<QueueInfo>,
}

/// Says which kinds and queues there are. The first call counts; a program makes it before anything else.
pub fn register(kinds: &'static [KindInfo], queues: &'static [QueueInfo]) {
    REGISTERED
        .get_or_init(|| Registered { kinds, queues: queues.iter().chain(QueueInfo::OWN).copied().collect() });
}

fn registered() -> &'static Registered {
    REGISTERED.get().unwrap_or(&NOTHING)
}

/// Every kind.
pub fn kinds() -> &'static [KindInfo] {
    registered().kinds
}

/// Every queue that the kinds name, and the engine's own. Others may be named while the program runs.
pub fn queues() -> impl Iterator<Item = &'static QueueInfo> {
    let own = if registered().queues.is_empty() { QueueInfo::OWN } else { &[] };
    registered().queues.iter().chain(own)
}

impl Queue {
    /// See [`queues`].
    pub fn all() -> impl Iterator<Item = Self> {
        queues().map(|info| info.queue)
    }
}
