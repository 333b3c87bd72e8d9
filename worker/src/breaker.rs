//! Circuit breakers: a dependency that is away is asked by one probe at a time, while everybody else
//! is told at once that it is away (Nygard, "Release It!").
//!
//! In each process for itself: what one process sees of the network is not what another sees.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use shared::domain::process::{BreakerFact, BreakerState};

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

/// A call that is under way. One that is dropped counts as failed, so that a cancelled probe doesn't
/// keep the circuit half-open for ever.
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
        if !self.over {
            self.breaker.record(self.generation, true, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A call that begins and ends.
    fn ends(breaker: &Breaker, failed: bool, now: Instant) {
        let generation = breaker.lock().generation;
        breaker.record(generation, failed, now);
    }

    fn fail(breaker: &Breaker, times: u32, now: Instant) {
        for _ in 0..times {
            ends(breaker, true, now);
        }
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_a_success_in_between_counts() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD - 1, now);
        ends(&breaker, false, now);
        fail(&breaker, THRESHOLD - 1, now);
        assert!(!breaker.is_open());
        fail(&breaker, 1, now);
        assert!(breaker.is_open());
        assert!(breaker.enter(now, 0.5).is_err());
    }

    #[test]
    fn one_probe_at_a_time_and_its_success_closes_the_circuit() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        let later = now + FIRST_PAUSE;
        let probe = breaker.enter(later, 0.5).unwrap();
        assert!(breaker.enter(later, 0.5).is_err());
        probe.ended(false);
        assert!(breaker.enter(later, 0.5).is_ok());
    }

    #[test]
    fn a_probe_that_fails_or_is_dropped_doubles_the_pause() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        drop(breaker.enter(now + FIRST_PAUSE, 0.5).unwrap());
        let waits = breaker.enter(Instant::now(), 0.5).err().unwrap();
        assert!(waits > FIRST_PAUSE && waits <= FIRST_PAUSE * 2);
    }

    #[test]
    fn it_tells_since_when_it_is_open_through_probes_that_fail() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        fail(&breaker, THRESHOLD, now);
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(1));
        assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Open, THRESHOLD, 1));
        let probe = breaker.enter(now + FIRST_PAUSE, 0.5).unwrap();
        assert_eq!(breaker.fact(Dependency::Mail, now).state, BreakerState::Probing);
        probe.ended(true);
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(60));
        let expected = (BreakerState::Open, THRESHOLD + 1, 60);
        assert_eq!((fact.state, fact.failures, fact.for_seconds), expected);
        let later = now + Duration::from_secs(60);
        let probe = breaker.enter(later, 0.5).unwrap();
        breaker.record(probe.generation, false, later);
        let fact = breaker.fact(Dependency::Mail, now + Duration::from_secs(60));
        assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Closed, 0, 0));
    }

    #[test]
    fn a_call_from_before_the_probe_is_not_the_probe() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let (late_failure, late_success) =
            (breaker.enter(now, 0.5).unwrap(), breaker.enter(now, 0.5).unwrap());
        fail(&breaker, THRESHOLD, now);
        late_success.ended(false);
        assert_eq!(breaker.fact(Dependency::Blobs, now).state, BreakerState::Open);
        let probe = breaker.enter(now + FIRST_PAUSE, 0.5).unwrap();
        late_failure.ended(true);
        assert_eq!(breaker.fact(Dependency::Blobs, now).state, BreakerState::Probing);
        probe.ended(false);
        assert_eq!(breaker.fact(Dependency::Blobs, now).state, BreakerState::Closed);
    }

    /// By [`State::turn_away`]: ten thousand jobs that wait for one gateway, each of which comes back when it was told
    /// to and is turned away again.
    #[test]
    fn the_more_are_turned_away_the_longer_each_stays_and_so_many_come_back_in_a_second() {
        let (breaker, begun) = (Breaker::default(), Instant::now());
        let seconds = |secs| Duration::from_secs(secs);
        let mut state = *breaker.lock();
        let few: Vec<Duration> = (0..20).map(|_| state.turn_away(begun, begun + FIRST_PAUSE, 0.5)).collect();
        assert_eq!(few[0], FIRST_PAUSE, "the first one is the next probe");
        assert_eq!(few[19], FIRST_PAUSE + seconds(19) / RETURNS_PER_SECOND);

        for (backlog, most_in_a_second) in [(100, 11), (2_000, 11), (10_000, 45)] {
            let mut state = *breaker.lock();
            // The same numbers each time (Knuth's constants).
            let mut seed = 1_u64;
            let mut away = |now: Instant| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let random = f64::from(u32::try_from(seed >> 32).unwrap()) / f64::from(u32::MAX);
                let stays = state.turn_away(now, now + seconds(2), random);
                assert!(stays <= LONGEST_AWAY, "{stays:?}");
                now + stays
            };
            let mut returns: Vec<Instant> = (0..backlog).map(|_| away(begun)).collect();
            for second in 0..3_600 {
                let now = begun + seconds(second);
                let mut came = 0;
                for back in returns.iter_mut().filter(|back| **back <= now) {
                    *back = away(now);
                    came += 1;
                }
                assert!(came <= most_in_a_second, "{backlog}: {came} in second {second}");
            }
        }
    }

    #[tokio::test]
    async fn an_error_that_is_no_outage_of_the_dependency_opens_no_circuit() {
        let breakers = Breakers::default();
        for _ in 0..2 * THRESHOLD {
            let error = JobError::failed("this blob is not ours to read");
            let answer: Result<(), _> = breakers.call(Dependency::Blobs, async { Err(error) }).await;
            assert!(matches!(answer, Err(JobError::Failed(_))));
            let error = JobError::unavailable(Dependency::Database, "away");
            let answer: Result<(), _> = breakers.call(Dependency::Blobs, async { Err(error) }).await;
            assert!(matches!(answer, Err(JobError::Unavailable { .. })));
        }
        assert!(breakers.facts().iter().all(|fact| fact.state == BreakerState::Closed));
    }
}
