//! How it all is: the queues, the processes, their circuit breakers, and how the last day went.
//!
//! Computed in a handful of grouped counts whose cost depends on what is unfinished, not on what is over; whoever
//! shows it to many keeps one for all of them.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::OperationError;
use ::jobs::depths::{self, Depth};
use ::jobs::processes::{self, Process};
use ::jobs::samples::{self, Bucket, Counts};
use broker::Broker;
use broker::depths::in_broker;
use database::{Conn, Db, DbError};
use model::process::{BreakerState, Facts, SILENT_AFTER};
use model::{JobId, Timestamp};

/// The rates are those of so many minutes, and of the present one.
const MINUTES: i64 = 5;

/// The length of a point of the charts.
const POINT_SECONDS: i64 = 600;

/// So many jobs are named whose undo keeps crashing.
const NAMED_UNDOS: i64 = 10;

/// How it all is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Overview {
    /// When, by the database's clock.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Timestamp,
    /// Whether whoever looked reaches the broker.
    pub broker: bool,
    /// Every queue.
    pub queues: Vec<QueueOverview>,
    /// Every process of which there was a sign of life in the last day.
    pub processes: Vec<ProcessOverview>,
    /// What the processes think of their dependencies, put together.
    pub breakers: Vec<BreakerOverview>,
    /// Over all queues.
    pub totals: Totals,
    /// Jobs whose undo crashes again and again; some of them, if there are many. Nothing ends them but success.
    #[schema(value_type = Vec<uuid::Uuid>)]
    pub crashing_undos: Vec<JobId>,
}

/// A queue.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct QueueOverview {
    /// Its name.
    #[schema(example = "images")]
    pub name: String,
    /// Jobs that are due: with the broker, or about to be.
    pub due: i64,
    /// For later: delayed, or in backoff.
    pub scheduled: i64,
    /// In flight.
    pub running: i64,
    /// Until other jobs are over.
    pub waiting: i64,
    /// Exhausted or crashed: to be decided on.
    pub dead: i64,
    /// Unfinished jobs of a kind that whoever looked does not know: they wait for a program that does.
    pub unknown: i64,
    /// For how long the oldest that is due has been so.
    pub oldest_seconds: Option<u64>,
    /// Messages that are ready in the broker, both lanes; null when it can't say.
    pub in_broker: Option<u64>,
    /// Since when it is paused.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub paused_since: Option<Timestamp>,
    /// How many processes work on it.
    pub workers: usize,
    /// How many of its jobs they can run at a time, together.
    pub slots: usize,
    /// How it went in the last minutes.
    pub rates: Rates,
}

/// How a queue went in the last five minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub struct Rates {
    /// Jobs claimed a minute.
    pub taken_per_minute: f64,
    /// Jobs done a minute.
    pub done_per_minute: f64,
    /// Jobs that failed for good, a minute.
    pub failed_per_minute: f64,
    /// Failed tries that will be made again, a minute.
    pub retried_per_minute: f64,
    /// How long jobs were due before they were claimed, on the average; null when none was.
    pub mean_wait_ms: Option<i64>,
    /// The longest of these.
    pub longest_wait_ms: Option<i64>,
    /// How long runs took, on the average, in whatever way they ended; null when none did.
    pub mean_run_ms: Option<i64>,
    /// The longest of these.
    pub longest_run_ms: Option<i64>,
}

/// A process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProcessOverview {
    /// A worker's is the one in `jobs.worker`.
    pub id: uuid::Uuid,
    /// `web`, `worker` or `all-in-one`.
    #[schema(example = "worker")]
    pub program: String,
    /// The machine.
    pub host: String,
    /// Its number there.
    pub pid: i32,
    /// The program's version.
    pub version: String,
    /// When it was first seen.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub started_at: Timestamp,
    /// When it was last seen.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub seen_at: Timestamp,
    /// The same, if that is too long ago: it was killed, is frozen, or does not reach the database.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub silent_since: Option<Timestamp>,
    /// What it told then.
    pub facts: Facts,
}

/// What all processes together think of a dependency.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BreakerOverview {
    /// What is behind it.
    #[schema(example = "payments")]
    pub dependency: String,
    /// The worst that one of them thinks.
    pub state: BreakerState,
    /// Since when the first of these thinks so.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub since: Timestamp,
    /// How many of them don't ask it, or only try.
    pub not_closed: usize,
    /// Of so many.
    pub processes: usize,
    /// The most failures in a row that one of them saw.
    pub failures: u32,
}

/// Over all queues.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Totals {
    /// Jobs that are due.
    pub due: i64,
    /// For later.
    pub scheduled: i64,
    /// In flight.
    pub running: i64,
    /// Until other jobs are over.
    pub waiting: i64,
    /// Exhausted or crashed jobs.
    pub dead: i64,
    /// Messages that were put aside because they are no jobs.
    pub dead_messages: i64,
    /// Jobs done a minute.
    pub done_per_minute: f64,
    /// Jobs that failed for good, a minute.
    pub failed_per_minute: f64,
    /// Queues that are paused.
    pub paused: usize,
    /// Processes that are silent.
    pub silent: usize,
}

/// Looks at everything.
///
/// # Errors
/// Those of the database. A broker that is away leaves its numbers out.
pub async fn look(db: &Db, broker: &Broker) -> Result<Overview, OperationError> {
    let mut conn = db.conn().await?;
    let depths = depths::by_queue(&mut conn).await?;
    let crashing_undos = match depths.values().any(|depth| depth.crashing > 0) {
        true => depths::crashing_undos(&mut conn, NAMED_UNDOS).await?,
        false => Vec::new(),
    };
    let dead_messages = depths::dead_messages(&mut conn).await?;
    let (lately, window) = samples::lately(&mut conn, MINUTES).await?;
    let (processes, at) = known_processes(&mut conn).await?;
    // Nothing is held while the broker is asked: the embedded database has one connection.
    drop(conn);
    let messages = in_broker(broker, depths.keys().map(String::as_str)).await;
    let lately: BTreeMap<String, Counts> = lately.into_iter().collect();
    let minutes = window.as_secs_f64() / 60.0;
    let queues: Vec<QueueOverview> = depths
        .into_iter()
        .map(|(name, depth)| {
            let counts = lately.get(&name).copied().unwrap_or_default();
            let in_broker = messages.get(&name).copied();
            queue(name, &depth, in_broker, rates(&counts, minutes), &processes)
        })
        .collect();
    let totals = totals(&queues, &processes, dead_messages);
    let breakers = breakers(&processes);
    Ok(Overview { at, broker: broker.connected(), queues, processes, breakers, totals, crashing_undos })
}

/// Every process of which there was a sign of life in the last day.
///
/// # Errors
/// Those of the database.
pub async fn processes(db: &Db) -> Result<Vec<ProcessOverview>, OperationError> {
    Ok(known_processes(&mut db.conn().await?).await?.0)
}

async fn known_processes(conn: &mut Conn) -> Result<(Vec<ProcessOverview>, Timestamp), DbError> {
    let (found, now) = processes::all(conn).await?;
    Ok((found.into_iter().map(|process| process_overview(process, now)).collect(), now))
}

fn process_overview(process: Process, now: Timestamp) -> ProcessOverview {
    let Process { identity, started_at, seen_at, facts } = process;
    ProcessOverview {
        id: identity.id.0,
        program: identity.program,
        host: identity.host,
        pid: identity.pid,
        version: identity.version,
        started_at,
        seen_at,
        silent_since: (now.since(seen_at) > SILENT_AFTER).then_some(seen_at),
        // Those of another version may be told in words that this one can't read.
        facts: serde_json::from_value(facts).unwrap_or_default(),
    }
}

fn queue(
    name: String,
    depth: &Depth,
    in_broker: Option<u64>,
    rates: Rates,
    processes: &[ProcessOverview],
) -> QueueOverview {
    let alive = processes.iter().filter(|process| process.silent_since.is_none());
    let slots = alive.flat_map(|process| &process.facts.queues).filter(|slots| slots.queue == name);
    let slots: Vec<usize> = slots.map(|slots| slots.slots).collect();
    QueueOverview {
        name,
        due: depth.due,
        scheduled: depth.scheduled,
        running: depth.running,
        waiting: depth.waiting,
        dead: depth.dead,
        unknown: depth.unknown,
        oldest_seconds: depth.oldest_seconds,
        in_broker,
        paused_since: depth.paused_at,
        workers: slots.len(),
        slots: slots.iter().sum(),
        rates,
    }
}

fn rates(counts: &Counts, minutes: f64) -> Rates {
    let a_minute = |count: i64| count as f64 / minutes.max(1.0);
    let some = |count: i64, value: i64| (count > 0).then_some(value);
    Rates {
        taken_per_minute: a_minute(counts.taken),
        done_per_minute: a_minute(counts.succeeded),
        failed_per_minute: a_minute(counts.failed),
        retried_per_minute: a_minute(counts.retried),
        mean_wait_ms: some(counts.taken, counts.wait_ms / counts.taken.max(1)),
        longest_wait_ms: some(counts.taken, counts.longest_wait_ms),
        mean_run_ms: some(counts.runs, counts.run_ms / counts.runs.max(1)),
        longest_run_ms: some(counts.runs, counts.longest_run_ms),
    }
}

fn totals(queues: &[QueueOverview], processes: &[ProcessOverview], dead_messages: i64) -> Totals {
    let mut totals = Totals { dead_messages, ..Totals::default() };
    for queue in queues {
        totals.due += queue.due;
        totals.scheduled += queue.scheduled;
        totals.running += queue.running;
        totals.waiting += queue.waiting;
        totals.dead += queue.dead;
        totals.done_per_minute += queue.rates.done_per_minute;
        totals.failed_per_minute += queue.rates.failed_per_minute;
        totals.paused += usize::from(queue.paused_since.is_some());
    }
    totals.silent = processes.iter().filter(|process| process.silent_since.is_some()).count();
    totals
}

/// A silent process knows nothing of now.
fn breakers(processes: &[ProcessOverview]) -> Vec<BreakerOverview> {
    let mut all: BTreeMap<&str, BreakerOverview> = BTreeMap::new();
    for process in processes.iter().filter(|process| process.silent_since.is_none()) {
        for fact in &process.facts.breakers {
            let age = chrono::TimeDelta::seconds(i64::try_from(fact.for_seconds).unwrap_or(0));
            let since = Timestamp(process.seen_at.0.checked_sub_signed(age).unwrap_or(process.seen_at.0));
            let merged = all.entry(&fact.dependency).or_insert_with(|| BreakerOverview {
                dependency: fact.dependency.clone(),
                state: fact.state,
                since,
                not_closed: 0,
                processes: 0,
                failures: 0,
            });
            if fact.state > merged.state {
                (merged.state, merged.since) = (fact.state, since);
            } else if fact.state == merged.state {
                merged.since = merged.since.min(since);
            }
            merged.not_closed += usize::from(fact.state != BreakerState::Closed);
            merged.processes += 1;
            merged.failures = merged.failures.max(fact.failures);
        }
    }
    all.into_values().collect()
}

/// A queue's last hours.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueueHistory {
    /// Its name.
    pub queue: String,
    /// Ten minutes each, the oldest first.
    pub points: Vec<Point>,
}

/// Ten minutes of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Point {
    /// When they begin.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Timestamp,
    /// The most jobs that were due; null when nobody looked.
    pub depth: Option<i64>,
    /// Jobs that were done.
    pub done: i64,
    /// Jobs that failed for good.
    pub failed: i64,
}

/// How every queue fared in the last `hours`, at most a day of them.
///
/// # Errors
/// Those of the database.
pub async fn history(db: &Db, hours: usize) -> Result<Vec<QueueHistory>, OperationError> {
    let points = hours.clamp(1, 24) * 6;
    let all = samples::history(&mut db.conn().await?, POINT_SECONDS, points).await?;
    let point = |bucket: &Bucket| Point {
        at: bucket.at,
        depth: bucket.depth,
        done: bucket.done,
        failed: bucket.failed,
    };
    let history = |(queue, buckets): (String, Vec<Bucket>)| QueueHistory {
        queue,
        points: buckets.iter().map(point).collect(),
    };
    Ok(all.into_iter().map(history).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::process::{BreakerFact, Slots};

    fn at(seconds: i64) -> Timestamp {
        Timestamp(chrono::DateTime::from_timestamp(seconds, 0).unwrap())
    }

    fn process(silent: bool, breakers: &[(BreakerState, u32, u64)]) -> ProcessOverview {
        let breakers = breakers.iter().map(|(state, failures, for_seconds)| BreakerFact {
            dependency: "mail".to_owned(),
            state: *state,
            failures: *failures,
            for_seconds: *for_seconds,
        });
        let queues = vec![Slots { queue: "mail".to_owned(), slots: 2 }];
        ProcessOverview {
            id: uuid::Uuid::nil(),
            program: "worker".to_owned(),
            host: String::new(),
            pid: 1,
            version: String::new(),
            started_at: at(0),
            seen_at: at(1000),
            silent_since: silent.then_some(at(1000)),
            facts: Facts { breakers: breakers.collect(), queues, ..Facts::default() },
        }
    }

    #[test]
    fn the_worst_that_a_living_process_thinks_counts() {
        let all = [
            process(false, &[(BreakerState::Closed, 1, 900)]),
            process(false, &[(BreakerState::Open, 7, 60)]),
            process(false, &[(BreakerState::Open, 5, 90)]),
            process(false, &[(BreakerState::Probing, 5, 300)]),
            process(true, &[(BreakerState::Open, 99, 999)]),
        ];
        let expected = BreakerOverview {
            dependency: "mail".to_owned(),
            state: BreakerState::Open,
            since: at(910),
            not_closed: 3,
            processes: 4,
            failures: 7,
        };
        assert_eq!(breakers(&all), [expected]);
    }

    #[test]
    fn slots_of_silent_processes_are_none() {
        let all = [process(false, &[]), process(false, &[]), process(true, &[])];
        let mail = queue("mail".to_owned(), &Depth::default(), Some(3), Rates::default(), &all);
        assert_eq!((mail.workers, mail.slots, mail.in_broker), (2, 4, Some(3)));
        assert_eq!(totals(&[mail], &all, 5).silent, 1);
    }

    #[test]
    fn a_process_turns_silent_after_thirty_seconds() {
        let identity =
            ::jobs::processes::Identity::of_this_process(model::Program::Web, model::ProcessId::new());
        let seen = |now| {
            let process = Process {
                identity: identity.clone(),
                started_at: at(0),
                seen_at: at(1000),
                facts: serde_json::json!("what a later version tells"),
            };
            process_overview(process, at(now))
        };
        assert_eq!(seen(1030).silent_since, None);
        assert_eq!(seen(1031).silent_since, Some(at(1000)));
        assert_eq!(seen(1031).facts, Facts::default());
    }

    #[test]
    fn rates_are_a_minute_and_means_are_of_what_there_was() {
        let counts = Counts {
            taken: 10,
            succeeded: 5,
            failed: 1,
            retried: 4,
            wait_ms: 1000,
            longest_wait_ms: 700,
            run_ms: 500,
            longest_run_ms: 90,
            runs: 20,
        };
        let rates = rates(&counts, 5.0);
        assert_eq!((rates.taken_per_minute, rates.done_per_minute), (2.0, 1.0));
        assert_eq!((rates.mean_wait_ms, rates.longest_wait_ms), (Some(100), Some(700)));
        assert_eq!((rates.mean_run_ms, rates.longest_run_ms), (Some(25), Some(90)));
        assert_eq!(super::rates(&Counts::default(), 5.0), Rates::default());
    }
}
