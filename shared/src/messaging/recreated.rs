//! The queues that had to be created, kept until the relay asks. A set: two losses are one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::jobs::Queue;

#[derive(Debug, Default)]
pub(super) struct Recreated {
    queues: Mutex<BTreeSet<Queue>>,
    added: Notify,
}

impl Recreated {
    pub(super) fn all() -> Self {
        Self { queues: Mutex::new(Queue::ALL.iter().copied().collect()), added: Notify::new() }
    }

    pub(super) fn add(&self, queue: Queue) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).insert(queue);
        self.added.notify_one();
    }

    pub(super) async fn next(&self) -> Queue {
        loop {
            if let Some(queue) = self.queues.lock().unwrap_or_else(PoisonError::into_inner).pop_first() {
                return queue;
            }
            self.added.notified().await;
        }
    }
}
