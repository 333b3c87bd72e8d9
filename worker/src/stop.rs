//! Why a run must stop: told to its handler once, by one signal.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked to cancel the job.
    Cancelled,
    /// The process stops: what is quick to finish may be finished.
    ShuttingDown,
    /// The run took longer than its kind may. It can write nothing any more.
    TimedOut,
    /// The process lost its lease: the job is somebody else's. It can write nothing any more.
    LeaseLost,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "somebody asked to cancel the job",
            Self::ShuttingDown => "the process stops",
            Self::TimedOut => "the run took too long",
            Self::LeaseLost => "the lease was lost",
        })
    }
}

/// Tells a handler to stop. The first reason is the one that it hears.
#[derive(Debug, Clone, Default)]
pub struct StopSignal(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: OnceLock<StopReason>,
    raised: CancellationToken,
}

impl StopSignal {
    /// Tells the handler.
    pub fn raise(&self, reason: StopReason) {
        let _ = self.0.reason.set(reason);
        self.0.raised.cancel();
    }

    /// Why to stop, if so.
    pub fn reason(&self) -> Option<StopReason> {
        self.0.reason.get().copied()
    }

    /// Waits until there is a reason.
    pub async fn raised(&self) -> StopReason {
        loop {
            self.0.raised.cancelled().await;
            if let Some(reason) = self.reason() {
                return reason;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_counts_and_is_heard_by_who_comes_later() {
        let signal = StopSignal::default();
        assert_eq!(signal.reason(), None);
        signal.raise(StopReason::Cancelled);
        signal.clone().raise(StopReason::ShuttingDown);
        assert_eq!(signal.raised().await, StopReason::Cancelled);
    }
}
