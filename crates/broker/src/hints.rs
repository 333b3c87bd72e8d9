//! Hints that a job changed, from any process to all: they wake those who wait for it. Never the truth.

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use model::JobId;

/// How many hints a slow reader may be behind before it gets [`HintEvent::Missed`] instead.
pub(super) const CAPACITY: usize = 4096;

/// "Job `job` is at version `version`."
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StatusHint {
    /// The job that changed.
    pub job: JobId,
    /// The version of its public representation.
    pub version: i64,
}

/// What the stream of hints yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintEvent {
    /// A job changed.
    Changed(StatusHint),
    /// Hints may have been missed: look at everything that is waited for. Comes first of all (the
    /// stream is registered from here on), after each reconnect, and when the reader was too slow.
    Missed,
}

/// A stream of [`HintEvent`]s.
pub struct StatusHints {
    events: broadcast::Receiver<HintEvent>,
    missed: bool,
}

impl StatusHints {
    /// Of a broker that sends [`HintEvent::Missed`] itself when it is registered.
    pub(super) fn unregistered(events: broadcast::Receiver<HintEvent>) -> Self {
        Self { events, missed: false }
    }

    /// Of a broker with which the stream is registered already.
    pub(super) fn registered(events: broadcast::Receiver<HintEvent>) -> Self {
        Self { events, missed: true }
    }

    /// The next event; `None` after [`crate::Broker::close`]. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<HintEvent> {
        if std::mem::take(&mut self.missed) {
            return Some(HintEvent::Missed);
        }
        match self.events.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(_)) => Some(HintEvent::Missed),
            Err(RecvError::Closed) => None,
        }
    }
}
