//! The queues: one a kind of resource, so that each is scaled, paused and watched on its own.

use std::fmt;

/// A queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(pub(crate) &'static str);

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

    /// Whether a queue may have that name; keeps nothing.
    pub fn is_name(name: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let reserved = ["dead", "events", "submit"];
        let fits = !name.is_empty() && name.len() <= Self::MAX_LENGTH && name.bytes().all(plain);
        fits && !reserved.contains(&name)
    }

    /// Its two lanes, the one to look at first before the other.
    pub fn lanes(self) -> [Lane; 2] {
        [Lane { queue: self, express: true }, Lane { queue: self, express: false }]
    }
}

/// A queue, and how many of its jobs one worker runs at a time.
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
    pub(crate) const MANY: usize = 16;
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
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.queue.0)?;
        if self.express { f.write_str(".express") } else { Ok(()) }
    }
}
