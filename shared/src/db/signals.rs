//! What a commit tells the rest of the process: hints only. A lost one is made good by the relay's
//! slow look at the table and by the fallback of the status waiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::domain::JobId;
use crate::jobs::{Envelope, Lane};

/// How many hand-overs may lie before a slow relay; more are left to its look at the table.
const CAPACITY: usize = 4096;

/// A job whose row is `queued` and that its own process publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub lane: Lane,
    /// What.
    pub envelope: Envelope,
    /// The row's fence when it became `queued`: a late confirm must not touch a later life of it.
    pub fence: i64,
    /// How often it was published before: the next try comes later each time.
    pub published: i32,
}

/// A job's public representation changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChange {
    /// The job.
    pub job: JobId,
    /// Its new version.
    pub version: i64,
}

/// Gathered in a transaction, sent after its commit.
#[derive(Debug, Default)]
pub struct AfterCommit {
    publications: Vec<Publication>,
    changes: Vec<StatusChange>,
    wake_relay: bool,
}

impl AfterCommit {
    /// Publish this job.
    pub fn publish(&mut self, publication: Publication) {
        self.publications.push(publication);
    }

    /// Tell whoever waits for this job.
    pub fn changed(&mut self, job: JobId, version: i64) {
        self.changes.push(StatusChange { job, version });
    }

    /// Something became due: the relay should look at the table now.
    pub fn wake_relay(&mut self) {
        self.wake_relay = true;
    }
}

/// The sending side, part of every [`super::Db`].
#[derive(Clone)]
pub struct Signals {
    publications: mpsc::Sender<Publication>,
    changes: mpsc::Sender<StatusChange>,
    wake: Arc<Notify>,
    held_back: Arc<AtomicBool>,
}

/// The receiving side: the relay of this process.
pub struct SignalReceivers {
    /// Jobs to publish.
    pub publications: mpsc::Receiver<Publication>,
    /// Changes to tell the web processes.
    pub changes: mpsc::Receiver<StatusChange>,
    /// Look at the table.
    pub wake: Arc<Notify>,
}

impl Signals {
    pub(super) fn new() -> (Self, SignalReceivers) {
        let (publications, publications_rx) = mpsc::channel(CAPACITY);
        let (changes, changes_rx) = mpsc::channel(CAPACITY);
        let wake = Arc::new(Notify::new());
        let receivers =
            SignalReceivers { publications: publications_rx, changes: changes_rx, wake: wake.clone() };
        (Self { publications, changes, wake, held_back: Arc::default() }, receivers)
    }

    pub(super) fn note_held_back(&self, some: bool) {
        self.held_back.store(some, Ordering::Relaxed);
    }

    pub(super) fn some_are_held_back(&self) -> bool {
        self.held_back.load(Ordering::Relaxed)
    }

    /// A full channel drops the hint: the table knows.
    pub(super) fn send(&self, after_commit: AfterCommit) {
        for publication in after_commit.publications {
            let _ = self.publications.try_send(publication);
        }
        for change in after_commit.changes {
            let _ = self.changes.try_send(change);
        }
        if after_commit.wake_relay {
            self.wake.notify_one();
        }
    }
}
