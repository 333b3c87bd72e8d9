//! Why a run must stop: told to its handler by one signal.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why a handler should stop, the more pressing the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Tells a handler to stop. A more pressing reason takes the place of the one before: a run that is asked to cancel,
/// or to make room for a stop, must still hear that it may write nothing any more.
#[derive(Debug, Clone)]
pub struct StopSignal(Arc<watch::Sender<Option<StopReason>>>);

impl Default for StopSignal {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl StopSignal {
    /// Tells the handler.
    pub fn raise(&self, reason: StopReason) {
        self.0.send_if_modified(|now| {
            let presses = now.is_none_or(|now| now < reason);
            if presses {
                *now = Some(reason);
            }
            presses
        });
    }

    /// Why to stop, if so.
    pub fn reason(&self) -> Option<StopReason> {
        *self.0.borrow()
    }

    /// Waits until there is a reason.
    pub async fn raised(&self) -> StopReason {
        self.raised_so(|_| true).await
    }

    /// Waits until there is a reason of that sort.
    pub async fn raised_so(&self, sort: impl Fn(StopReason) -> bool) -> StopReason {
        let mut reasons = self.0.subscribe();
        loop {
            let reason = *reasons.borrow_and_update();
            if let Some(reason) = reason.filter(|reason| sort(*reason)) {
                return reason;
            }
            // The sender lives as long as we do: there is no error.
            let _ = reasons.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_more_pressing_reason_takes_the_place_of_another_and_a_lesser_one_does_not() {
        let signal = StopSignal::default();
        assert_eq!(signal.reason(), None);
        signal.raise(StopReason::ShuttingDown);
        signal.clone().raise(StopReason::Cancelled);
        assert_eq!(signal.raised().await, StopReason::ShuttingDown, "heard by who comes later, too");
        let lost = signal.raised_so(|reason| reason == StopReason::LeaseLost);
        signal.raise(StopReason::TimedOut);
        signal.raise(StopReason::LeaseLost);
        assert_eq!(lost.await, StopReason::LeaseLost);
    }
}
