//! A job's states and the transitions between them, as one table, and the delay before a retry.
//!
//! The database layer asks nothing of this module at run time (its statements carry the states in
//! their `WHERE`); the tests hold the two together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a job is in its life, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Must happen, not before `run_at`.
    Pending,
    /// Due and handed to the queue; published again when `republish_at` passes.
    Queued,
    /// Claimed by a worker that holds its lease.
    Running,
    /// Sleeps until every job that it waits for is final.
    Waiting,
    /// Done. Final.
    Succeeded,
    /// *We* could not do it; see [`Failure`]. Final, but can be redriven.
    Failed,
    /// Asked to stop, and undone. Final.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The states that nothing but a redrive leaves.
    pub const FINAL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The inverse of [`JobState::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the job is over.
    pub fn is_final(self) -> bool {
        Self::FINAL.contains(&self)
    }
}

/// Why a job is `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No retry can help: the handler said so.
    Discarded,
    /// Every attempt failed.
    Exhausted,
    /// It took its worker down with it, again and again.
    Killed,
}

impl Failure {
    /// The name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Exhausted => "exhausted",
            Self::Killed => "killed",
        }
    }

    /// The inverse of [`Failure::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Discarded, Self::Exhausted, Self::Killed].into_iter().find(|failure| failure.name() == name)
    }
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobEvent {
    /// The relay found it due and handed it to the queue (or will again).
    Relay,
    /// A worker took it.
    Claim,
    /// The handler is done.
    Succeed,
    /// The handler gave up on it, its attempts are used up, or it killed too many workers.
    Fail,
    /// Back for later: a retry, a snooze, a release at shutdown, a lapsed lease.
    PutBack,
    /// The handler waits for other jobs.
    Wait,
    /// The last job that it waited for became final.
    Wake,
    /// A cancel before it ever ran, or the end of its undo.
    Cancel,
}

/// What an event makes of a state, or `None` where it can't happen.
pub fn transition(state: JobState, event: JobEvent) -> Option<JobState> {
    use JobEvent as E;
    use JobState as S;
    Some(match (state, event) {
        (S::Pending | S::Queued, E::Relay) => S::Queued,
        (S::Queued, E::Claim) => S::Running,
        (S::Running, E::Succeed) => S::Succeeded,
        (S::Running, E::Fail) => S::Failed,
        (S::Running, E::PutBack) => S::Pending,
        (S::Running, E::Wait) => S::Waiting,
        (S::Waiting, E::Wake) => S::Pending,
        (S::Pending | S::Queued | S::Running, E::Cancel) => S::Cancelled,
        _ => return None,
    })
}

/// The longest delay between two attempts, before jitter.
pub const MAX_BACKOFF: Duration = Duration::from_secs(600);

/// The delay before the next attempt: `min(2ⁿ s, 10 min)`, times a factor between 0.5 and 1.5.
///
/// `attempt` is the attempt that failed, from 1; `random` is uniform in `0.0..1.0`. The jitter keeps
/// jobs that failed together from coming back together (Brooker, "Exponential Backoff And Jitter").
pub fn backoff(attempt: i32, random: f64) -> Duration {
    let exponent = attempt.clamp(0, 30).unsigned_abs();
    let base = Duration::from_secs(1 << exponent).min(MAX_BACKOFF);
    base.mul_f64(0.5 + random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_table_is_exactly_this() {
        use JobEvent as E;
        use JobState as S;
        let legal = [
            (S::Pending, E::Relay, S::Queued),
            (S::Pending, E::Cancel, S::Cancelled),
            (S::Queued, E::Relay, S::Queued),
            (S::Queued, E::Claim, S::Running),
            (S::Queued, E::Cancel, S::Cancelled),
            (S::Running, E::Succeed, S::Succeeded),
            (S::Running, E::Fail, S::Failed),
            (S::Running, E::PutBack, S::Pending),
            (S::Running, E::Wait, S::Waiting),
            (S::Running, E::Cancel, S::Cancelled),
            (S::Waiting, E::Wake, S::Pending),
        ];
        let events = [E::Relay, E::Claim, E::Succeed, E::Fail, E::PutBack, E::Wait, E::Wake, E::Cancel];
        for state in S::ALL {
            for event in events {
                let expected =
                    legal.iter().find(|(from, on, _)| (*from, *on) == (state, event)).map(|(_, _, to)| *to);
                assert_eq!(transition(state, event), expected, "{state:?} on {event:?}");
            }
        }
    }

    #[test]
    fn nothing_leaves_a_final_state() {
        for state in JobState::FINAL {
            assert!(state.is_final());
            assert_eq!(transition(state, JobEvent::Claim), None);
            assert_eq!(transition(state, JobEvent::Relay), None);
        }
    }

    #[test]
    fn backoff_doubles_up_to_ten_minutes_and_spreads() {
        assert_eq!(backoff(1, 0.5), Duration::from_secs(2));
        assert_eq!(backoff(3, 0.5), Duration::from_secs(8));
        assert_eq!(backoff(20, 0.5), MAX_BACKOFF);
        assert_eq!(backoff(i32::MAX, 0.0), MAX_BACKOFF / 2);
        assert_eq!(backoff(i32::MIN, 0.5), Duration::from_secs(1));
    }

    proptest::proptest! {
        #[test]
        fn backoff_never_leaves_its_bounds(attempt in proptest::num::i32::ANY, random in 0.0f64..1.0) {
            let delay = backoff(attempt, random);
            proptest::prop_assert!(delay >= Duration::from_millis(500));
            proptest::prop_assert!(delay <= MAX_BACKOFF.mul_f64(1.5));
        }
    }
}
