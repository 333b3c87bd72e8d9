//! The pause between two tries of something that fails: one type for everything but a job's own retries, whose
//! delays are a rule of the job core (`decide` of the crate `model`).

use std::time::Duration;

/// Pauses that double from the first to the longest. Jittered by a factor between 0.5 and 1.5, so that processes
/// that lost the same server don't come back in one wave.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    tries: u32,
}

impl Backoff {
    /// Nothing failed yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, tries: 0 }
    }

    /// It failed (again): so long it is left alone.
    pub fn pause(&mut self) -> Duration {
        let delay = self.first.saturating_mul(1 << self.tries.min(16)).min(self.longest);
        self.tries = self.tries.saturating_add(1);
        delay.mul_f64(rand::random_range(0.5..1.5))
    }

    /// It worked: the next failure is the first one.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_start_over_after_a_success() {
        let (first, longest) = (Duration::from_millis(200), Duration::from_secs(5));
        let mut backoff = Backoff::new(first, longest);
        assert!(backoff.pause() <= first.mul_f64(1.5));
        for _ in 0..100 {
            assert!(backoff.pause() <= longest.mul_f64(1.5));
        }
        assert!(backoff.pause() >= longest.mul_f64(0.5));
        backoff.reset();
        assert!(backoff.pause() <= first.mul_f64(1.5));
    }
}
