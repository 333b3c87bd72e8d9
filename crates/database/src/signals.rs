//! What a commit tells the rest of the process: hints only. A lost one is made good by the relay's
//! slow look at the table and by the fallback of the status waiters.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use model::JobId;
use model::OwnerId;
use model::{Envelope, Lane};

/// How many hand-overs may lie before a slow relay. Of more it learns by [`Dropped`].
const CAPACITY: usize = 4096;

/// A job whose row is `queued` and that its own process publishes.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Where to.
    pub lane: Lane,
    /// What.
    pub envelope: Envelope,
    /// The row's fence when it became `queued`: what becomes of this message must not touch a later life of it.
    pub fence: i64,
}

/// Hand-overs that found no room: their rows say that they are published, which they never will be. The relay
/// makes them due again.
#[derive(Debug, Clone, Default)]
pub struct Dropped(Arc<Mutex<Vec<Publication>>>);

impl Dropped {
    /// Remembers them.
    pub fn add(&self, publications: impl IntoIterator<Item = Publication>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(publications);
    }

    /// Up to `limit` of them.
    pub fn take(&self, limit: usize) -> Vec<Publication> {
        let mut dropped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = dropped.len().saturating_sub(limit);
        dropped.split_off(kept)
    }
}

/// Owners for whose parked jobs there is room, with the lanes.
#[derive(Debug, Clone, Default)]
pub struct Rooms(Arc<Mutex<HashSet<(OwnerId, Lane)>>>);

impl Rooms {
    fn add(&self, rooms: impl IntoIterator<Item = (OwnerId, Lane)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rooms);
    }

    /// All of them.
    pub fn take(&self) -> Vec<(OwnerId, Lane)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain().collect()
    }
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
    rooms: Vec<(OwnerId, Lane)>,
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

    /// There is room for a parked job of this owner: the relay should promote it.
    pub fn made_room(&mut self, owner: OwnerId, lane: Lane) {
        self.rooms.push((owner, lane));
        self.wake_relay = true;
    }

    /// Something became due: the relay should look at the table now.
    pub fn wake_relay(&mut self) {
        self.wake_relay = true;
    }
}

/// The sending side, part of every [`crate::Db`].
#[derive(Clone)]
pub struct Signals {
    publications: mpsc::Sender<Publication>,
    dropped: Dropped,
    changes: mpsc::Sender<StatusChange>,
    rooms: Rooms,
    wake: Arc<Notify>,
}

/// The receiving side: the relay of this process.
pub struct SignalReceivers {
    /// Jobs to publish.
    pub publications: mpsc::Receiver<Publication>,
    /// Jobs to publish for which there was no room.
    pub dropped: Dropped,
    /// Changes to tell the web processes.
    pub changes: mpsc::Receiver<StatusChange>,
    /// Owners for whose parked jobs there is room.
    pub rooms: Rooms,
    /// Look at the table.
    pub wake: Arc<Notify>,
}

impl Signals {
    pub(crate) fn new() -> (Self, SignalReceivers) {
        let (publications, publications_rx) = mpsc::channel(CAPACITY);
        let (changes, changes_rx) = mpsc::channel(CAPACITY);
        let wake = Arc::new(Notify::new());
        let (dropped, rooms) = (Dropped::default(), Rooms::default());
        let receivers = SignalReceivers {
            publications: publications_rx,
            dropped: dropped.clone(),
            changes: changes_rx,
            rooms: rooms.clone(),
            wake: wake.clone(),
        };
        (Self { publications, dropped, changes, rooms, wake }, receivers)
    }

    /// A full channel drops a change: whoever waits for it looks now and then. A publication is remembered.
    pub fn send(&self, after_commit: AfterCommit) {
        for publication in after_commit.publications {
            // Where no relay runs there is nobody to remember it for: its row is due in a minute.
            if let Err(mpsc::error::TrySendError::Full(publication)) = self.publications.try_send(publication)
            {
                self.dropped.add([publication]);
            }
        }
        for change in after_commit.changes {
            let _ = self.changes.try_send(change);
        }
        self.rooms.add(after_commit.rooms);
        if after_commit.wake_relay {
            self.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Queue;

    #[test]
    fn a_hand_over_that_finds_no_room_is_remembered() {
        let (signals, receivers) = Signals::new();
        let envelope = Envelope {
            job: JobId::new(),
            kind: "copy".into(),
            version: 1,
            traceparent: None,
            correlation_id: None,
        };
        let publication = Publication { lane: Lane::ordinary(Queue::CALLBACKS), envelope, fence: 0 };
        let mut after_commit = AfterCommit::default();
        for _ in 0..CAPACITY + 3 {
            after_commit.publish(publication.clone());
        }
        signals.send(after_commit);
        assert_eq!(receivers.dropped.take(2).len(), 2);
        assert_eq!(receivers.dropped.take(2).len(), 1);
        assert_eq!(receivers.dropped.take(2).len(), 0);
    }
}
