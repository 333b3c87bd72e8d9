//! Circuit breakers: a dependency that is away is asked by one probe at a time, while everybody else
//! is told at once that it is away (Nygard, "Release It!").
//!
//! In each process for itself: what one process sees of the network is not what another sees.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use shared::domain::process::{BreakerFact, BreakerState};

use crate::outcome::{Dependency, JobError};

/// So many failures in a row open the circuit.
const THRESHOLD: u32 = 5;

/// The first pause before a probe; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two probes.
const MAX_PAUSE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    /// All is well, but for this many failures in a row.
    Closed { failures: u32 },
    /// Nobody asks before `until`.
    Open { until: Instant, pause: Duration },
    /// One caller is asking.
    Probing { pause: Duration },
}

/// One circuit a dependency.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    blobs: Arc<Breaker>,
    payments: Arc<Breaker>,
    mail: Arc<Breaker>,
}

impl Breakers {
    /// Calls a dependency, unless its circuit is open.
    ///
    /// # Errors
    /// Those of the call; or, without calling, [`JobError::CircuitOpen`].
    pub async fn call<T>(
        &self,
        dependency: Dependency,
        call: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, JobError> {
        let breaker = match dependency {
            Dependency::Blobs => &self.blobs,
            Dependency::Payments => &self.payments,
            Dependency::Mail => &self.mail,
            // They have no breaker: without the database or the broker there is nothing to do meanwhile.
            Dependency::Database | Dependency::Broker => return call.await,
        };
        let attempt = breaker
            .enter(Instant::now())
            .map_err(|retry_after| JobError::CircuitOpen { dependency, retry_after })?;
        let answer = call.await;
        let failed = matches!(answer, Err(JobError::Unavailable { .. }));
        attempt.ended(failed);
        let open = breaker.is_open();
        metrics::gauge!("breaker_open", "dependency" => dependency.name()).set(f64::from(u8::from(open)));
        answer
    }

    /// How each of them is.
    pub fn facts(&self) -> Vec<BreakerFact> {
        let all = [
            (Dependency::Blobs, &self.blobs),
            (Dependency::Payments, &self.payments),
            (Dependency::Mail, &self.mail),
        ];
        all.map(|(dependency, breaker)| breaker.fact(dependency, Instant::now())).into()
    }
}

#[derive(Debug)]
struct Breaker {
    circuit: Mutex<Circuit>,
    /// For people.
    history: Mutex<History>,
}

/// What the circuit itself need not know.
#[derive(Debug, Clone, Copy)]
struct History {
    /// In a row.
    failures: u32,
    /// When it opened, or closed. A probe in between does not count.
    since: Instant,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            circuit: Mutex::new(Circuit::Closed { failures: 0 }),
            history: Mutex::new(History { failures: 0, since: Instant::now() }),
        }
    }
}

/// A call that is under way. One that is dropped counts as failed, so that a cancelled probe doesn't
/// keep the circuit half-open for ever.
struct Attempt<'a> {
    breaker: &'a Breaker,
    over: bool,
}

impl Breaker {
    /// Lets a call through, or says how long to stay away.
    fn enter(&self, now: Instant) -> Result<Attempt<'_>, Duration> {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        match *circuit {
            Circuit::Closed { .. } => {}
            Circuit::Open { until, pause } if now >= until => *circuit = Circuit::Probing { pause },
            Circuit::Open { until, .. } => return Err(until - now),
            Circuit::Probing { pause } => return Err(pause),
        }
        Ok(Attempt { breaker: self, over: false })
    }

    fn record(&self, failed: bool, now: Instant) {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let was_open = circuit.is_open();
        *circuit = match *circuit {
            _ if !failed => Circuit::Closed { failures: 0 },
            Circuit::Closed { failures } if failures + 1 < THRESHOLD => {
                Circuit::Closed { failures: failures + 1 }
            }
            Circuit::Closed { .. } => Circuit::Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE },
            Circuit::Probing { pause } => {
                let pause = (pause * 2).min(MAX_PAUSE);
                Circuit::Open { until: now + pause, pause }
            }
            // A call that began before the circuit opened tells nothing new.
            open @ Circuit::Open { .. } => open,
        };
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.failures = if failed { history.failures.saturating_add(1) } else { 0 };
        if circuit.is_open() != was_open {
            history.since = now;
        }
    }

    fn is_open(&self) -> bool {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner).is_open()
    }

    fn fact(&self, dependency: Dependency, now: Instant) -> BreakerFact {
        let circuit = *self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let history = *self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let state = match circuit {
            Circuit::Closed { .. } => BreakerState::Closed,
            Circuit::Open { .. } => BreakerState::Open,
            Circuit::Probing { .. } => BreakerState::Probing,
        };
        BreakerFact {
            dependency: dependency.name().to_owned(),
            state,
            failures: history.failures,
            for_seconds: now.saturating_duration_since(history.since).as_secs(),
        }
    }
}

impl Circuit {
    fn is_open(self) -> bool {
        !matches!(self, Self::Closed { .. })
    }
}

impl Attempt<'_> {
    fn ended(mut self, failed: bool) {
        self.over = true;
        self.breaker.record(failed, Instant::now());
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.over {
            self.breaker.record(true, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            breaker.record(true, now);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_in_between_counts() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD - 1, now);
        breaker.record(false, now);
        fail(&breaker, THRESHOLD - 1, now);
        assert!(!breaker.is_open());
        fail(&breaker, 1, now);
        assert!(breaker.is_open());
        assert!(breaker.enter(now).is_err());
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes_the_circuit() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        let later = now + FIRST_PAUSE;
        let probe = breaker.enter(later).unwrap();
        assert!(breaker.enter(later).is_err());
        probe.ended(false);
        assert!(breaker.enter(later).is_ok());
    }

    #[test]
    fn a_probe_that_fails_or_is_dropped_doubles_the_pause() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        drop(breaker.enter(now + FIRST_PAUSE).unwrap());
        let waits = breaker.enter(Instant::now()).err().unwrap();
        assert!(waits > FIRST_PAUSE && waits <= FIRST_PAUSE * 2);
    }

    #[test]
    fn it_tells_since_when_it_is_open_through_probes_that_fail() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(1));
        assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Open, THRESHOLD, 1));
        let probe = breaker.enter(now + FIRST_PAUSE).unwrap();
        assert_eq!(breaker.fact(Dependency::Mail, now).state, BreakerState::Probing);
        probe.ended(true);
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(60));
        let expected = (BreakerState::Open, THRESHOLD + 1, 60);
        assert_eq!((fact.state, fact.failures, fact.for_seconds), expected);
        breaker.record(false, now + Duration::from_secs(60));
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(60));
        assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Closed, 0, 0));
    }
}
