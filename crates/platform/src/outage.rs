//! How an outage is logged: when it begins, once a minute while it lasts, and when it is over. Never once a try or
//! once a message: an outage has thousands of them.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// How often one that lasts is logged.
const AGAIN: Duration = Duration::from_secs(60);

/// Something that may be away for a while.
#[derive(Debug)]
pub struct Outage {
    what: String,
    now: Option<Now>,
}

#[derive(Debug)]
struct Now {
    since: Instant,
    logged: Instant,
    failures: u64,
}

impl Outage {
    /// It is there.
    pub fn of(what: impl Into<String>) -> Self {
        Self { what: what.into(), now: None }
    }

    /// It is away, or still is.
    pub fn failed(&mut self, error: &dyn Display) {
        self.failed_at(Instant::now(), error);
    }

    /// It is there, or is again.
    pub fn over(&mut self) {
        if let Some(Now { since, failures, .. }) = self.now.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(what = self.what, seconds, failures, "the outage is over");
        }
    }

    /// Whether this was logged.
    fn failed_at(&mut self, at: Instant, error: &dyn Display) -> bool {
        let Some(now) = &mut self.now else {
            tracing::warn!(what = self.what, %error, "an outage begins");
            self.now = Some(Now { since: at, logged: at, failures: 1 });
            return true;
        };
        now.failures += 1;
        if at.duration_since(now.logged) < AGAIN {
            return false;
        }
        now.logged = at;
        let seconds = at.duration_since(now.since).as_secs();
        tracing::warn!(what = self.what, %error, seconds, failures = now.failures, "the outage goes on");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_logged_when_it_begins_and_once_a_minute() {
        let mut outage = Outage::of("the broker");
        let begin = Instant::now();
        let logged =
            (0..600).filter(|second| outage.failed_at(begin + Duration::from_secs(*second), &"refused"));
        assert_eq!(logged.collect::<Vec<_>>(), (0..600).step_by(60).collect::<Vec<_>>());
        outage.over();
        assert!(outage.failed_at(begin, &"refused"), "the next one is another");
    }
}
