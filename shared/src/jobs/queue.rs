//! The queues: one a kind of resource, so that each is scaled, paused and watched on its own.

use std::fmt;

/// A queue's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Queue(&'static str);

impl Queue {
    /// Pictures: bound by the processor.
    pub const IMAGES: Self = Self("images");
    /// Fulfilment of orders: short transactions and calls of the payment gateway.
    pub const ORDERS: Self = Self("orders");
    /// E-mail: waits for a slow server.
    pub const MAIL: Self = Self("mail");

    /// Every queue.
    pub const ALL: &'static [Self] = &[Self::IMAGES, Self::ORDERS, Self::MAIL];

    /// The name in the database, in settings and in metrics.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The queue of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|queue| queue.0 == name)
    }

    /// How many of its jobs one worker process runs at a time, unless `QUEUES` says otherwise.
    pub fn default_slots(self, cores: usize) -> usize {
        match self {
            Self::IMAGES => cores,
            _ => 16,
        }
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
