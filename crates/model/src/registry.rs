//! What the engine is told of its application: the kinds and the queues, once, at the start of the program; and how
//! they are found by their names.

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::kind::KindInfo;
use crate::queue::{Lane, Queue, QueueInfo, Slots};

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

impl KindInfo {
    /// The kind of that name, or alias, if this program knows it.
    pub fn find(name: &str) -> Option<&'static Self> {
        kinds().iter().find(|kind| kind.is_called(name))
    }

    /// Every kind that may be started from outside.
    pub fn tasks() -> impl Iterator<Item = &'static Self> {
        kinds().iter().filter(|kind| kind.triggerable)
    }

    /// The task of that name.
    ///
    /// # Errors
    /// [`UnknownTask`], with the names that there are.
    pub fn task(name: &str) -> Result<&'static Self, UnknownTask> {
        Self::tasks().find(|kind| kind.is_called(name)).ok_or_else(|| UnknownTask(name.to_owned()))
    }
}

/// There is no task of that name, or nobody may start it from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no task {0:?}; there are {list}", list = KindInfo::tasks().map(|kind| kind.name).collect::<Vec<_>>().join(", "))]
pub struct UnknownTask(String);

/// The names that came from outside, such as from a row: kept for ever, each once.
static NAMED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// So many queues may be named while a program runs: rows can't fill its memory with names.
const MOST_NAMED: usize = 1000;

impl Queue {
    /// See [`queues`].
    pub fn all() -> impl Iterator<Item = Self> {
        queues().map(|info| info.queue)
    }

    /// The queue of that name, if it is one of [`Queue::all`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|queue| queue.0 == name)
    }

    /// A queue of any name: at most 40 lower-case letters, digits and hyphens. `None` for what is not a
    /// name, for names that mean something else on the broker, and when there are too many.
    pub fn named(name: &str) -> Option<Self> {
        if let Some(known) = Self::from_name(name) {
            return Some(known);
        }
        if !Self::is_name(name) {
            return None;
        }
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = named.get(name) {
            return Some(Self(known));
        }
        if named.len() >= MOST_NAMED {
            return None;
        }
        let kept: &'static str = Box::leak(name.to_owned().into_boxed_str());
        named.insert(kept);
        Some(Self(kept))
    }

    /// How many of its jobs one worker process runs at a time, unless `QUEUES` says otherwise.
    pub fn default_slots(self, cores: usize) -> usize {
        match queues().find(|info| info.queue == self).map(|info| info.slots) {
            Some(Slots::OnePerCore) => cores,
            Some(Slots::Fixed(slots)) => slots,
            None => Slots::MANY,
        }
    }
}

impl Lane {
    /// The inverse of its display.
    pub fn named(name: &str) -> Option<Self> {
        match name.strip_suffix(".express") {
            Some(queue) => Some(Self { queue: Queue::named(queue)?, express: true }),
            None => Queue::named(name).map(Self::ordinary),
        }
    }

    /// Both lanes of [`Queue::all`].
    pub fn all() -> impl Iterator<Item = Self> {
        Queue::all().flat_map(Queue::lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_known_ones_are_themselves() {
        assert_eq!(Queue::named("quarantine"), Some(Queue::QUARANTINE));
        let (one, other) = (Queue::named("bulk-1").unwrap(), Queue::named("bulk-1").unwrap());
        assert!(std::ptr::eq(one.name(), other.name()));
        assert_eq!(Queue::from_name("bulk-1"), None);
    }

    #[test]
    fn what_is_no_name_or_means_something_else_is_refused() {
        let long = "x".repeat(41);
        for bad in ["", "Pictures", "pictures.express", "a b", "dead", "events", "submit", "ü", long.as_str()]
        {
            assert_eq!(Queue::named(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_queue_has_an_express_lane_before_its_ordinary_one() {
        let names: Vec<String> = Queue::CALLBACKS.lanes().iter().map(Lane::to_string).collect();
        assert_eq!(names, ["callbacks.express", "callbacks"]);
        assert!(
            Queue::CALLBACKS.lanes().into_iter().all(|lane| Lane::named(&lane.to_string()) == Some(lane))
        );
        assert_eq!(Lane::named("no name.express"), None);
    }
}
