use super::*;

const FILES: Dependency = Dependency::new("files");
const MAIL: Dependency = Dependency::new("mail");

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
fn a_call_that_is_dropped_is_no_failure() {
    let (breaker, now) = (Breaker::default(), Instant::now());
    for _ in 0..2 * THRESHOLD {
        drop(breaker.enter(now, 0.5).unwrap());
    }
    assert!(!breaker.is_open());
}

#[test]
fn it_tells_since_when_it_is_open_through_probes_that_fail() {
    let (breaker, now) = (Breaker::default(), Instant::now());
    fail(&breaker, THRESHOLD, now);
    let fact = breaker.fact(MAIL, now + Duration::from_secs(1));
    assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Open, THRESHOLD, 1));
    let probe = breaker.enter(now + FIRST_PAUSE, 0.5).unwrap();
    assert_eq!(breaker.fact(MAIL, now).state, BreakerState::Probing);
    probe.ended(true);
    let fact = breaker.fact(MAIL, now + Duration::from_secs(60));
    let expected = (BreakerState::Open, THRESHOLD + 1, 60);
    assert_eq!((fact.state, fact.failures, fact.for_seconds), expected);
    let later = now + Duration::from_secs(60);
    let probe = breaker.enter(later, 0.5).unwrap();
    breaker.record(probe.generation, false, later);
    let fact = breaker.fact(MAIL, now + Duration::from_secs(60));
    assert_eq!((fact.state, fact.failures, fact.for_seconds), (BreakerState::Closed, 0, 0));
}

#[test]
fn a_call_from_before_the_probe_is_not_the_probe() {
    let (breaker, now) = (Breaker::default(), Instant::now());
    let (late_failure, late_success) = (breaker.enter(now, 0.5).unwrap(), breaker.enter(now, 0.5).unwrap());
    fail(&breaker, THRESHOLD, now);
    late_success.ended(false);
    assert_eq!(breaker.fact(FILES, now).state, BreakerState::Open);
    let probe = breaker.enter(now + FIRST_PAUSE, 0.5).unwrap();
    late_failure.ended(true);
    assert_eq!(breaker.fact(FILES, now).state, BreakerState::Probing);
    probe.ended(false);
    assert_eq!(breaker.fact(FILES, now).state, BreakerState::Closed);
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
    let breakers = Breakers::of(&[FILES, MAIL]);
    for _ in 0..2 * THRESHOLD {
        let error = JobError::failed("this blob is not ours to read");
        let answer: Result<(), _> = breakers.call(FILES, async { Err(error) }).await;
        assert!(matches!(answer, Err(JobError::Failed(_))));
        let error = JobError::unavailable(Dependency::DATABASE, "away");
        let answer: Result<(), _> = breakers.call(FILES, async { Err(error) }).await;
        assert!(matches!(answer, Err(JobError::Unavailable { .. })));
    }
    assert!(breakers.facts().iter().all(|fact| fact.state == BreakerState::Closed));
}
