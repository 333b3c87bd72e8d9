//! What came of this worker's runs since it was last written down, see [`crate::sampler`]. Counting is a short lock
//! and no more: no run is ever held up by it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ::jobs::samples::Counts;
use model::job::JobState;

/// By queue.
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<String, Counts>>,
}

impl Tally {
    /// A job was claimed that had been due for so long.
    pub fn taken(&self, queue: &str, waited: Duration) {
        let wait_ms = millis(waited);
        self.add(queue, &Counts { taken: 1, wait_ms, longest_wait_ms: wait_ms, ..Counts::default() });
    }

    /// A run ended. One that was snoozed, put back or sleeps until others are over took its time, but is neither a
    /// success nor a failure.
    pub fn ended(&self, queue: &str, state: JobState, went_wrong: bool, took: Duration) {
        let run_ms = millis(took);
        self.add(queue, &Counts { run_ms, longest_run_ms: run_ms, runs: 1, ..outcome(state, went_wrong) });
    }

    /// A run whose lease had lapsed was ended. Nobody knows how long it ran.
    pub fn lapsed(&self, queue: &str, state: JobState) {
        self.add(queue, &outcome(state, true));
    }

    /// What was counted since the last call.
    pub fn take(&self) -> BTreeMap<String, Counts> {
        std::mem::take(&mut *self.lock())
    }

    /// What could not be written down: for the next time.
    pub fn put_back(&self, counted: BTreeMap<String, Counts>) {
        for (queue, counts) in counted {
            self.add(&queue, &counts);
        }
    }

    fn add(&self, queue: &str, counts: &Counts) {
        let mut all = self.lock();
        match all.get_mut(queue) {
            Some(known) => known.add(counts),
            None => {
                all.insert(queue.to_owned(), *counts);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Counts>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn outcome(state: JobState, went_wrong: bool) -> Counts {
    let mut counts = Counts::default();
    match state {
        JobState::Succeeded => counts.succeeded = 1,
        JobState::Failed => counts.failed = 1,
        JobState::Pending if went_wrong => counts.retried = 1,
        _ => {}
    }
    counts
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn runs_are_added_up_and_those_that_go_on_count_by_their_time_alone() {
        let tally = Tally::default();
        tally.taken("images", SECOND);
        tally.taken("images", 3 * SECOND);
        tally.ended("images", JobState::Succeeded, false, 2 * SECOND);
        tally.ended("images", JobState::Failed, true, SECOND);
        tally.ended("images", JobState::Pending, true, SECOND);
        tally.ended("images", JobState::Pending, false, 9 * SECOND);
        tally.ended("images", JobState::Waiting, false, 9 * SECOND);
        tally.lapsed("mail", JobState::Pending);
        let counted = tally.take();
        let images = Counts {
            taken: 2,
            succeeded: 1,
            failed: 1,
            retried: 1,
            wait_ms: 4000,
            longest_wait_ms: 3000,
            run_ms: 22_000,
            longest_run_ms: 9000,
            runs: 5,
        };
        assert_eq!(counted["images"], images);
        assert_eq!((counted["mail"].retried, counted["mail"].runs), (1, 0));
        assert!(tally.take().is_empty());
    }

    #[test]
    fn what_was_put_back_is_added_to_what_came_meanwhile() {
        let tally = Tally::default();
        tally.taken("images", SECOND);
        let counted = tally.take();
        tally.taken("images", SECOND);
        tally.put_back(counted);
        assert_eq!(tally.take()["images"].taken, 2);
    }
}
