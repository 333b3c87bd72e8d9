//! Circuit breakers: a dependency that is away is asked by one probe at a time, while everybody else
//! is told at once that it is away (Nygard, "Release It!").
//!
//! In each process for itself: what one process sees of the network is not what another sees.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use model::process::{BreakerFact, BreakerState};

use crate::outcome::{Dependency, JobError};

/// So many failures in a row open the circuit.
const THRESHOLD: u32 = 5;

/// The first pause before a probe; it doubles with each probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(2);

/// The longest pause between two probes.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// While a circuit is open, so many of those who were turned away come back in a second. Each of them costs some
/// writes of its job's row, whatever the backlog.
const RETURNS_PER_SECOND: u32 = 10;

/// Nobody is sent away for longer than this.
const LONGEST_AWAY: Duration = Duration::from_secs(600);

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
#[derive(Debug, Clone)]
pub struct Breakers(Arc<[(Dependency, Breaker)]>);

impl Breakers {
    /// One for each of these. What is not among them is always asked: without the database or the broker there is
    /// nothing to do meanwhile.
    pub fn of(dependencies: &[Dependency]) -> Self {
        Self(dependencies.iter().map(|dependency| (*dependency, Breaker::default())).collect())
    }

    /// Calls a dependency, unless its circuit is open.
    ///
    /// # Errors
    /// Those of the call; or, without calling, [`JobError::CircuitOpen`].
    pub async fn call<T>(
        &self,
        dependency: Dependency,
        call: impl Future<Output = Result<T, JobError>>,
    ) -> Result<T, JobError> {
        let Some((_, breaker)) = self.0.iter().find(|(known, _)| *known == dependency) else {
            return call.await;
        };
        let attempt = breaker
            .enter(Instant::now(), rand::random())
            .map_err(|retry_after| JobError::CircuitOpen { dependency, retry_after })?;
        let answer = call.await;
        // Any other error says that the dependency answers, or speaks of another one.
        let failed =
            matches!(&answer, Err(JobError::Unavailable { dependency: away, .. }) if *away == dependency);
        attempt.ended(failed);
        let open = breaker.is_open();
        metrics::gauge!("breaker_open", "dependency" => dependency.name()).set(f64::from(u8::from(open)));
        answer
    }

    /// How each of them is.
    pub fn facts(&self) -> Vec<BreakerFact> {
        self.0.iter().map(|(dependency, breaker)| breaker.fact(*dependency, Instant::now())).collect()
    }
}

#[derive(Debug)]
struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    circuit: Circuit,
    /// Rises with each change between closed, open and probing. A call counts only in the one that it began in: one
    /// that began before the circuit opened tells nothing new, and is not the probe.
    generation: u64,
    /// When the last one of those who were turned away is to come back.
    last_return: Instant,
    /// For people: failures in a row.
    failures: u32,
    /// For people: when it opened, or closed. A probe in between does not count.
    since: Instant,
}

impl Default for Breaker {
    fn default() -> Self {
        let now = Instant::now();
        let state = State {
            circuit: Circuit::Closed { failures: 0 },
            generation: 0,
            last_return: now,
            failures: 0,
            since: now,
        };
        Self { state: Mutex::new(state) }
    }
}

/// A call that is under way. One that is dropped tells nothing; but a probe that is dropped counts as failed, so that it
/// doesn't keep the circuit half-open for ever.
struct Attempt<'a> {
    breaker: &'a Breaker,
    generation: u64,
    over: bool,
}

impl Breaker {
    /// Lets a call through, or says how long to stay away. `random` in `0.0..1.0` is for the jitter.
    fn enter(&self, now: Instant, random: f64) -> Result<Attempt<'_>, Duration> {
        let mut state = self.lock();
        match state.circuit {
            Circuit::Closed { .. } => {}
            Circuit::Open { until, pause } if now >= until => state.change(Circuit::Probing { pause }),
            Circuit::Open { until, .. } => return Err(state.turn_away(now, until, random)),
            Circuit::Probing { pause } => return Err(state.turn_away(now, now + pause, random)),
        }
        Ok(Attempt { breaker: self, generation: state.generation, over: false })
    }

    fn record(&self, generation: u64, failed: bool, now: Instant) {
        let mut state = self.lock();
        if generation != state.generation {
            return;
        }
        let was_open = state.circuit.is_open();
        match state.circuit {
            Circuit::Closed { .. } if !failed => state.circuit = Circuit::Closed { failures: 0 },
            Circuit::Closed { failures } if failures + 1 < THRESHOLD => {
                state.circuit = Circuit::Closed { failures: failures + 1 };
            }
            Circuit::Closed { .. } => {
                state.change(Circuit::Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE });
            }
            Circuit::Probing { .. } if !failed => state.change(Circuit::Closed { failures: 0 }),
            Circuit::Probing { pause } => {
                let pause = (pause * 2).min(MAX_PAUSE);
                state.change(Circuit::Open { until: now + pause, pause });
            }
            // No call begins while it is open.
            Circuit::Open { .. } => return,
        }
        state.failures = if failed { state.failures.saturating_add(1) } else { 0 };
        if state.circuit.is_open() != was_open {
            state.since = now;
        }
    }

    fn is_open(&self) -> bool {
        self.lock().circuit.is_open()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fact(&self, dependency: Dependency, now: Instant) -> BreakerFact {
        let State { circuit, failures, since, .. } = *self.lock();
        let state = match circuit {
            Circuit::Closed { .. } => BreakerState::Closed,
            Circuit::Open { .. } => BreakerState::Open,
            Circuit::Probing { .. } => BreakerState::Probing,
        };
        BreakerFact {
            dependency: dependency.name().to_owned(),
            state,
            failures,
            for_seconds: now.saturating_duration_since(since).as_secs(),
        }
    }
}

impl State {
    fn change(&mut self, circuit: Circuit) {
        self.circuit = circuit;
        self.generation += 1;
    }

    /// How long somebody stays away who came before `opens`, when the next probe is likely.
    ///
    /// Those who are turned away stand in a line: the first comes back at `opens`, each other 1 /
    /// [`RETURNS_PER_SECOND`] s after the one before. With N of them a turn is max(`opens` - now,
    /// N / [`RETURNS_PER_SECOND`] s): the more, the longer, and the rate at which they return stays the same. A line
    /// that is longer than [`LONGEST_AWAY`] gets no longer: whoever comes then stays away for half of that time to
    /// all of it, by chance. When the dependency is back, so is everybody within that time.
    fn turn_away(&mut self, now: Instant, opens: Instant, random: f64) -> Duration {
        let next = opens.max(self.last_return + Duration::from_secs(1) / RETURNS_PER_SECOND);
        let away = next.saturating_duration_since(now);
        if away > LONGEST_AWAY {
            return LONGEST_AWAY.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0);
        }
        self.last_return = next;
        away
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
        self.breaker.record(self.generation, failed, Instant::now());
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let probing = || matches!(self.breaker.lock().circuit, Circuit::Probing { .. });
        if !self.over && probing() {
            self.breaker.record(self.generation, true, Instant::now());
        }
    }
}
