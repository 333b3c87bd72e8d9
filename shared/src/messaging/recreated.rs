//! The lanes that had to be created, kept until the relay asks. A set: two losses are one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::jobs::Lane;

#[derive(Debug, Default)]
pub(super) struct Recreated {
    lanes: Mutex<BTreeSet<Lane>>,
    added: Notify,
}

impl Recreated {
    pub(super) fn all() -> Self {
        Self { lanes: Mutex::new(Lane::all().collect()), added: Notify::new() }
    }

    pub(super) fn add(&self, lane: Lane) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(lane);
        self.added.notify_one();
    }

    pub(super) async fn next(&self) -> Lane {
        loop {
            if let Some(lane) = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop_first() {
                return lane;
            }
            self.added.notified().await;
        }
    }
}
