//! The queues: one a kind of resource, so that each is scaled, paused and watched on its own.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::registry;

/// A queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(&'static str);

/// The names that came from outside, such as from a row: kept for ever, each once.
static NAMED: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

/// So many queues may be named while a program runs: rows can't fill its memory with names.
const MOST_NAMED: usize = 1000;

impl Queue {
    /// Callbacks and replies: wait for receivers that nobody of us runs.
    pub const CALLBACKS: Self = Self("callbacks");

    /// Jobs whose leases lapsed again and again: one of all at a time.
    pub const QUARANTINE: Self = Self("quarantine");

    /// A queue of the application's, which it has to [register](crate::registry::register).
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The longest name.
    pub const MAX_LENGTH: usize = 40;

    /// The name in the database, in settings and in metrics.
    pub fn name(self) -> &'static str {
        self.0
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

    /// Whether a queue may have that name; keeps nothing.
    pub fn is_name(name: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let reserved = ["dead", "events", "submit"];
        let fits = !name.is_empty() && name.len() <= Self::MAX_LENGTH && name.bytes().all(plain);
        fits && !reserved.contains(&name)
    }

    /// How many of its jobs one worker process runs at a time, unless `QUEUES` says otherwise.
    pub fn default_slots(self, cores: usize) -> usize {
        match registry::queues().find(|info| info.queue == self).map(|info| info.slots) {
            Some(Slots::OnePerCore) => cores,
            Some(Slots::Fixed(slots)) => slots,
            None => Slots::MANY,
        }
    }

    /// Its two lanes, the one to look at first before the other.
    pub fn lanes(self) -> [Lane; 2] {
        [Lane { queue: self, express: true }, Lane { queue: self, express: false }]
    }
}

/// A queue, and how it is worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub queue: Queue,
    /// See [`Queue::default_slots`].
    pub slots: Slots,
}

impl QueueInfo {
    /// Those of the engine's own kinds.
    pub(crate) const OWN: &'static [Self] =
        &[Self::waiting(Queue::CALLBACKS), Self { queue: Queue::QUARANTINE, slots: Slots::Fixed(1) }];

    /// Its jobs keep a processor busy: one a core.
    pub const fn computing(queue: Queue) -> Self {
        Self { queue, slots: Slots::OnePerCore }
    }

    /// Its jobs wait for others most of the time: many at once.
    pub const fn waiting(queue: Queue) -> Self {
        Self { queue, slots: Slots::Fixed(Slots::MANY) }
    }

    /// One of its jobs at a time in each process.
    pub const fn one_at_a_time(queue: Queue) -> Self {
        Self { queue, slots: Slots::Fixed(1) }
    }
}

/// How many jobs of a queue a worker process runs at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// As many as the machine has cores.
    OnePerCore,
    /// So many.
    Fixed(usize),
}

impl Slots {
    /// Enough for jobs that wait for others most of the time.
    const MANY: usize = 16;
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The queues that a worker works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkedQueues {
    /// Each with the jobs at a time.
    pub slots: Vec<(Queue, usize)>,
    /// Whether it also works on those that are named while it runs.
    pub follow: bool,
}

/// A line of messages: each queue has an ordinary one and an express one (priority queue). They share the
/// queue's slots, and what is in the express lane is taken first.
///
/// Two lanes instead of priorities of the broker's own: quorum queues have none before RabbitMQ 4.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane {
    /// Whose.
    pub queue: Queue,
    /// Which of the two.
    pub express: bool,
}

impl Lane {
    /// The ordinary lane of a queue.
    pub const fn ordinary(queue: Queue) -> Self {
        Self { queue, express: false }
    }

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

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.queue.0)?;
        if self.express { f.write_str(".express") } else { Ok(()) }
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
