//! What the broker had to create, kept until the relay asks. Two losses of one lane are one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use model::Lane;

/// What is new at the broker, and so is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recreated {
    /// All of it: lanes of queues, too, that nobody has named yet since the start.
    Everything,
    /// A lane that was not there.
    Lane(Lane),
}

#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Mutex<BTreeSet<Recreated>>,
    added: Notify,
}

impl Reports {
    pub(super) fn of_a_new_broker() -> Self {
        Self { waiting: Mutex::new(BTreeSet::from([Recreated::Everything])), added: Notify::new() }
    }

    pub(super) fn add(&self, lane: Lane) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(Recreated::Lane(lane));
        self.added.notify_one();
    }

    pub(super) async fn next(&self) -> Recreated {
        loop {
            if let Some(new) = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_first() {
                return new;
            }
            self.added.notified().await;
        }
    }
}
