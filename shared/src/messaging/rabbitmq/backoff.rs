//! The pause between two tries to get something from the broker.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(5);

/// Doubles from 0.2 s to 5 s; jittered, so that processes that lost the same broker don't come back in
/// one wave.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(super) fn next(&mut self) -> Duration {
        let delay = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        delay.mul_f64(rand::random_range(0.5..1.5))
    }

    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(backoff.next() <= FIRST.mul_f64(1.5));
        for _ in 0..100 {
            assert!(backoff.next() <= LONGEST.mul_f64(1.5));
        }
        assert!(backoff.next() >= LONGEST.mul_f64(0.5));
        backoff.reset();
        assert!(backoff.next() <= FIRST.mul_f64(1.5));
    }
}
