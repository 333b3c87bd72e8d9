//! A job's states and the transitions between them, as one table, and the delay before a retry.
//!
//! The statements of the database layer carry the states that they start from in their `WHERE`; what the
//! end of a run makes of a job, [`decide`] says.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::StoredText;

/// Where a job is in its life, as stored.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Must happen, not before `run_at`; due at `due_at`, or parked, or behind another in its line.
    Pending,
    /// Due and handed to the queue; published again when `due_at` passes.
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

    /// The states that nothing leaves, but for `failed`: an operator may redrive such a job, or discard it.
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
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No retry can help: the handler said so.
    Discarded,
    /// Every attempt failed.
    Exhausted,
    /// Its lease lapsed again and again, or at its last attempt: the process that ran it was gone.
    Crashed,
}

impl Failure {
    /// The name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discarded => "discarded",
            Self::Exhausted => "exhausted",
            Self::Crashed => "crashed",
        }
    }

    /// Whether the job is a dead letter: what *we* could not do, and what a person must decide on.
    pub fn is_dead(self) -> bool {
        self != Self::Discarded
    }

    /// The inverse of [`Failure::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Discarded, Self::Exhausted, Self::Crashed].into_iter().find(|failure| failure.name() == name)
    }
}

/// What a failed try was, for whoever decides by it later: no decision reads the words of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A picture crashed the process that decoded it, or took too much of its time or memory.
    PictureFault,
    /// One that this release does not know.
    #[serde(other)]
    Unknown,
}

/// What a run failed with, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunError {
    /// What it was, if somebody decides by it.
    pub code: Option<ErrorCode>,
    /// What it was, for people.
    pub message: StoredText,
}

impl<T: Into<StoredText>> From<T> for RunError {
    fn from(message: T) -> Self {
        Self { code: None, message: message.into() }
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
    /// The handler gave up on it, its attempts are used up, or its lease lapsed too often.
    Fail,
    /// Back for later: a retry, a snooze, a release at shutdown, a lapsed lease.
    PutBack,
    /// The handler waits for other jobs.
    Wait,
    /// The last job that it waited for became final.
    Wake,
    /// A cancel before it ever ran, the end of its undo, or an operator's word that it is not wanted any more.
    Cancel,
    /// An operator has it tried again, or undone.
    Redrive,
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
        (S::Pending | S::Queued | S::Running | S::Failed, E::Cancel) => S::Cancelled,
        (S::Failed, E::Redrive) => S::Pending,
        _ => return None,
    })
}

/// How a run of a job ended, before the rules below decide what that makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The handler is done.
    Succeeded,
    /// The handler undid everything, or there was nothing to undo.
    Cancelled,
    /// No retry can help.
    Discarded,
    /// What it waited for failed for good: so did it, with its effects held until a redrive.
    Exhausted,
    /// It failed; try again after the backoff, or after the delay that it asks for.
    Retry(Option<Duration>),
    /// It could not be tried: come back later, nothing burnt.
    Snooze(Duration),
    /// Something that it needs is away: come back later, nothing burnt, unless that has been so for too long.
    Unavailable {
        /// How long to wait.
        delay: Duration,
        /// It has been away for longer than it may: that costs an attempt.
        too_long: bool,
    },
    /// The process stops, or stopped: put back at once, nothing burnt.
    Release,
    /// It waits for other jobs; `true` while one of them is unfinished.
    Wait(bool),
    /// Its process is gone, or frozen for so long that it counts as gone.
    Lapsed,
    /// Its process lives and knows nothing of it: the answer to its claim never came. The attempts stay as they
    /// are.
    Forgotten,
}

impl Ending {
    /// Whether the handler itself said so. What befell its run from outside says nothing of the job.
    pub fn is_an_answer(self) -> bool {
        !matches!(self, Self::Release | Self::Lapsed | Self::Forgotten)
    }
}

/// What the rules need to know of a job's row, as it is when the run ends.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Failed or lapsed attempts since the last checkpoint, the one that ends included.
    pub attempt: i32,
    /// Tries allowed.
    pub max_attempts: i32,
    /// Lapses so far, not counting the one that may be happening.
    pub lapses: i32,
    /// Whether the handler is undoing.
    pub undoing: bool,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
}

/// What becomes of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The next state.
    pub state: JobState,
    /// Set exactly when the state is `failed`.
    pub failure: Option<Failure>,
    /// The attempts left on the row: given back when the run was no try.
    pub attempt: i32,
    /// For `pending`: how long until it is due.
    pub delay: Duration,
}

/// A job whose lease lapsed this often is not tried again.
pub const MAX_LAPSES: i32 = 5;

/// From this lapse on a job has its runs in the quarantine queue, one of all at a time. The first may have been
/// another's fault: after it the job runs like any other.
pub const QUARANTINED_LAPSES: i32 = 2;

/// The longest delay before an undo is tried again whose lease keeps lapsing.
const MAX_LAPSE_DELAY: Duration = Duration::from_secs(3600);

/// The delay after a lapse: the ordinary backoff, and for what must go on although it lapsed [`MAX_LAPSES`] times
/// a longer one each time, up to an hour.
fn lapse_delay(attempt: i32, lapses: i32, random: f64) -> Duration {
    let beyond = (lapses + 2 - MAX_LAPSES).clamp(0, 10);
    let floor = if beyond == 0 { Duration::ZERO } else { MAX_BACKOFF * 2u32.pow(beyond.unsigned_abs() - 1) };
    backoff(attempt, random).max(floor.min(MAX_LAPSE_DELAY).mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
}

/// The longest [`dead_reason`], in characters.
pub const MAX_REASON: usize = 160;

/// What an error says, without what differs from job to job: ids and numbers become `…`. Jobs that died of the same
/// cause have the same.
pub fn dead_reason(message: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let mut reason = String::new();
    for word in message.lines().next().unwrap_or_default().split_inclusive(|c| !in_word(c)) {
        if word.bytes().any(|byte| byte.is_ascii_digit()) {
            reason.push('…');
            reason.extend(word.chars().filter(|c| !in_word(*c)));
        } else {
            reason.push_str(word);
        }
    }
    reason.chars().take(MAX_REASON).collect()
}

/// Decides what the end of a run makes of a job. `random` in `0.0..1.0` is for the backoff's jitter.
///
/// - A cancel that was asked for and not yet turned into undo makes the job due now, whatever else
///   happened short of a final end; neither exhaustion nor lapses end it.
/// - Undo is never given up: it retries with backoff, without limit.
/// - What waits for jobs that are final already has had its try.
pub fn decide(facts: Facts, ending: Ending, random: f64) -> Verdict {
    let cancel_due = facts.cancel_requested && !facts.undoing;
    let over = |state, failure| Verdict { state, failure, attempt: facts.attempt, delay: Duration::ZERO };
    let put_back = |attempt, delay| Verdict {
        state: JobState::Pending,
        failure: None,
        attempt,
        delay: if cancel_due { Duration::ZERO } else { delay },
    };
    let given_back = (facts.attempt - 1).max(0);
    let later = backoff(facts.attempt, random);
    let may_fail = !cancel_due && !facts.undoing;
    match ending {
        Ending::Succeeded => over(JobState::Succeeded, None),
        Ending::Cancelled => over(JobState::Cancelled, None),
        Ending::Discarded if facts.undoing => put_back(facts.attempt, later),
        Ending::Discarded => over(JobState::Failed, Some(Failure::Discarded)),
        Ending::Exhausted if may_fail => over(JobState::Failed, Some(Failure::Exhausted)),
        Ending::Exhausted => put_back(facts.attempt, later),
        Ending::Retry(_) | Ending::Wait(false) if may_fail && facts.attempt >= facts.max_attempts => {
            over(JobState::Failed, Some(Failure::Exhausted))
        }
        Ending::Retry(asked) => put_back(facts.attempt, asked.unwrap_or(later)),
        Ending::Lapsed
            if may_fail && (facts.attempt >= facts.max_attempts || facts.lapses + 1 >= MAX_LAPSES) =>
        {
            over(JobState::Failed, Some(Failure::Crashed))
        }
        Ending::Lapsed => put_back(facts.attempt, lapse_delay(facts.attempt, facts.lapses, random)),
        Ending::Unavailable { delay, too_long: false } | Ending::Snooze(delay) => put_back(given_back, delay),
        Ending::Unavailable { too_long: true, .. } => decide(facts, Ending::Retry(None), random),
        Ending::Forgotten => put_back(facts.attempt, Duration::ZERO),
        Ending::Release => put_back(given_back, Duration::ZERO),
        Ending::Wait(true) if !cancel_due => {
            Verdict { state: JobState::Waiting, failure: None, attempt: given_back, delay: Duration::ZERO }
        }
        Ending::Wait(true) => put_back(given_back, Duration::ZERO),
        Ending::Wait(false) => put_back(facts.attempt, Duration::ZERO),
    }
}

/// The longest delay between two attempts, before jitter.
pub const MAX_BACKOFF: Duration = Duration::from_secs(600);

/// The delay before the next attempt: `min(2ⁿ s, 10 min)`, times a factor between 0.5 and 1.5.
///
/// `attempt` is the attempt that failed, from 1; `random` is uniform in `0.0..1.0`. The jitter keeps
/// jobs that failed together from coming back together (Brooker, "Exponential Backoff And Jitter").
fn backoff(attempt: i32, random: f64) -> Duration {
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
            (S::Failed, E::Cancel, S::Cancelled),
            (S::Failed, E::Redrive, S::Pending),
        ];
        let events =
            [E::Relay, E::Claim, E::Succeed, E::Fail, E::PutBack, E::Wait, E::Wake, E::Cancel, E::Redrive];
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
    fn jobs_that_died_alike_have_one_reason() {
        let one = "the other job 0190d1f2-0000-7000-8000-00000000a000 failed; redrive it, then this one";
        let other = "the other job 0190d1f2-1111-7000-8000-00000000b000 failed; redrive it, then this one";
        assert_eq!(dead_reason(one), "the other job … failed; redrive it, then this one");
        assert_eq!(dead_reason(one), dead_reason(other));
        for (message, reason) in [
            ("payments is unavailable: 503", "payments is unavailable: …"),
            ("at 10.0.0.7:5432 after 30s", "at …:… after …"),
            ("two\nlines", "two"),
            ("żółw: 7", "żółw: …"),
            ("", ""),
        ] {
            assert_eq!(dead_reason(message), reason);
        }
        assert_eq!(dead_reason(&"x".repeat(5000)).len(), MAX_REASON);
    }

    const FACTS: Facts =
        Facts { attempt: 3, max_attempts: 20, lapses: 0, undoing: false, cancel_requested: false };

    fn outcome(facts: Facts, ending: Ending) -> (JobState, Option<Failure>, i32, u64) {
        let verdict = decide(facts, ending, 0.5);
        (verdict.state, verdict.failure, verdict.attempt, verdict.delay.as_secs())
    }

    #[test]
    fn each_ending_of_an_ordinary_run_has_its_verdict() {
        use JobState as S;
        let hour = Duration::from_secs(3600);
        let table = [
            (Ending::Succeeded, (S::Succeeded, None, 3, 0)),
            (Ending::Discarded, (S::Failed, Some(Failure::Discarded), 3, 0)),
            (Ending::Exhausted, (S::Failed, Some(Failure::Exhausted), 3, 0)),
            (Ending::Retry(None), (S::Pending, None, 3, 8)),
            (Ending::Retry(Some(hour)), (S::Pending, None, 3, 3600)),
            (Ending::Snooze(hour), (S::Pending, None, 2, 3600)),
            (Ending::Release, (S::Pending, None, 2, 0)),
            (Ending::Wait(true), (S::Waiting, None, 2, 0)),
            (Ending::Wait(false), (S::Pending, None, 3, 0)),
            (Ending::Unavailable { delay: hour, too_long: false }, (S::Pending, None, 2, 3600)),
            (Ending::Unavailable { delay: hour, too_long: true }, (S::Pending, None, 3, 8)),
            (Ending::Lapsed, (S::Pending, None, 3, 8)),
            (Ending::Forgotten, (S::Pending, None, 3, 0)),
        ];
        for (ending, expected) in table {
            assert_eq!(outcome(FACTS, ending), expected, "{ending:?}");
        }
    }

    #[test]
    fn the_last_attempt_and_the_last_lapse_fail_the_job() {
        let last = Facts { attempt: 20, ..FACTS };
        let hour = Duration::from_secs(3600);
        assert_eq!(outcome(last, Ending::Retry(None)).1, Some(Failure::Exhausted));
        assert_eq!(
            outcome(last, Ending::Wait(false)).1,
            Some(Failure::Exhausted),
            "or it would ask for ever"
        );
        assert_eq!(
            outcome(last, Ending::Unavailable { delay: hour, too_long: true }).1,
            Some(Failure::Exhausted)
        );
        for harmless in [Ending::Unavailable { delay: hour, too_long: false }, Ending::Forgotten] {
            assert_eq!(outcome(last, harmless).0, JobState::Pending, "{harmless:?}");
        }
        assert_eq!(outcome(last, Ending::Lapsed).1, Some(Failure::Crashed));
        let killer = Facts { lapses: MAX_LAPSES - 1, ..FACTS };
        assert_eq!(outcome(killer, Ending::Lapsed).1, Some(Failure::Crashed));
        assert_eq!(outcome(killer, Ending::Retry(None)).1, None);
    }

    #[test]
    fn a_cancel_that_was_asked_for_makes_the_job_due_now_and_saves_it_from_failing() {
        let asked = Facts { attempt: 20, lapses: 9, cancel_requested: true, ..FACTS };
        let hour = Duration::from_secs(3600);
        for ending in [Ending::Retry(None), Ending::Lapsed, Ending::Snooze(hour), Ending::Wait(true)] {
            let (state, failure, _, delay) = outcome(asked, ending);
            assert_eq!((state, failure, delay), (JobState::Pending, None, 0), "{ending:?}");
        }
    }

    #[test]
    fn undo_is_never_given_up_and_keeps_its_backoff() {
        let undoing = Facts { attempt: 25, lapses: 9, undoing: true, cancel_requested: true, ..FACTS };
        for ending in [Ending::Retry(None), Ending::Lapsed, Ending::Discarded, Ending::Exhausted] {
            let (state, failure, _, delay) = outcome(undoing, ending);
            let expected = if ending == Ending::Lapsed { 2700 } else { 600 };
            assert_eq!((state, failure, delay), (JobState::Pending, None, expected), "{ending:?}");
        }
    }

    #[test]
    fn an_undo_that_keeps_lapsing_comes_back_ever_more_rarely_up_to_an_hour() {
        let delays: Vec<u64> = (3..9)
            .map(|lapses| {
                let undoing = Facts { attempt: 1, lapses, undoing: true, ..FACTS };
                decide(undoing, Ending::Lapsed, 1.0).delay.as_secs()
            })
            .collect();
        assert_eq!(delays, [3, 600, 1200, 2400, 3600, 3600]);
    }

    #[test]
    fn every_verdict_is_a_legal_transition() {
        let endings = [
            (Ending::Succeeded, JobEvent::Succeed),
            (Ending::Cancelled, JobEvent::Cancel),
            (Ending::Discarded, JobEvent::Fail),
            (Ending::Snooze(Duration::ZERO), JobEvent::PutBack),
            (Ending::Wait(true), JobEvent::Wait),
            (Ending::Release, JobEvent::PutBack),
        ];
        for (ending, event) in endings {
            assert_eq!(Some(decide(FACTS, ending, 0.5).state), transition(JobState::Running, event));
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
