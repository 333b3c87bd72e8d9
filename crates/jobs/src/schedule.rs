//! What happens at set times, as a table: name, cron expression in UTC, job.
//!
//! Every worker looks at the table; none leads (see [`crate::schedules`]). A job is given the time of its
//! tick and of the run before: one that covers what lies between leaves nothing out when ticks were missed.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::errors::CronError;

use crate::enqueue::{Enqueued, Options, enqueue_unique};
use database::{DbError, Tx};
use model::Kind;
use model::Timestamp;

/// Which run of an entry this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The tick of the run before, if there was one.
    pub last: Option<Timestamp>,
    /// The tick of this run.
    pub at: Timestamp,
}

/// A kind of job that runs at set times.
pub trait Scheduled: Kind {
    /// The arguments of a tick's job.
    fn at(tick: Tick) -> Self;
}

/// An entry's job, being enqueued.
pub type EnqueueFuture<'a> = Pin<Box<dyn Future<Output = Result<Enqueued, DbError>> + Send + 'a>>;

/// Something that happens at set times.
pub struct Entry {
    /// Its stable name, in the table `schedules` and in metrics.
    pub name: &'static str,
    /// When: minute, hour, day of the month, month, day of the week, in UTC.
    pub cron: &'static str,
    /// The kind of its job.
    pub kind: &'static str,
    /// Enqueues the job of a tick, unless the one before is unfinished.
    pub enqueue: for<'a> fn(&'a mut Tx, &'static str, Tick) -> EnqueueFuture<'a>,
}

static SCHEDULE: OnceLock<&'static [Entry]> = OnceLock::new();

pub(super) fn register(schedule: &'static [Entry]) {
    SCHEDULE.get_or_init(|| schedule);
}

/// The application's schedule.
pub fn schedule() -> &'static [Entry] {
    SCHEDULE.get().copied().unwrap_or_default()
}

impl Entry {
    /// An entry whose job is of kind `K`.
    pub const fn of<K: Scheduled>(name: &'static str, cron: &'static str) -> Self {
        Self { name, cron, kind: K::NAME, enqueue: enqueue_erased::<K> }
    }

    /// Its cron expression, read.
    ///
    /// # Errors
    /// It is none, or one that never comes.
    pub fn parse(&self) -> Result<Cron, CronError> {
        let cron: Cron = self.cron.parse()?;
        cron.find_next_occurrence(&DateTime::<Utc>::UNIX_EPOCH, false)?;
        Ok(cron)
    }

    /// The first tick after `time`.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        self.parse().ok()?.find_next_occurrence(&time.0, false).ok().map(Timestamp)
    }

    /// What is due at `now`, if the next tick was to be at `next_at`.
    pub fn due(&self, next_at: Timestamp, now: Timestamp) -> Option<Due> {
        if next_at > now {
            return None;
        }
        let mut due = Due { tick: next_at, missed: 0, next: self.next_after(next_at)? };
        while due.next <= now && due.missed < MOST_COUNTED {
            due = Due { tick: due.next, missed: due.missed + 1, next: self.next_after(due.next)? };
        }
        if due.next <= now {
            due.next = self.next_after(now)?;
        }
        Some(due)
    }
}

/// Missed ticks are counted up to here: an entry of each minute that slept for a month.
const MOST_COUNTED: i32 = 50_000;

/// A tick whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The newest tick that has passed: the one that runs.
    pub tick: Timestamp,
    /// How many passed before it and are not made up for.
    pub missed: i32,
    /// The first one that has not passed.
    pub next: Timestamp,
}

fn enqueue_erased<'a, K: Scheduled>(tx: &'a mut Tx, name: &'static str, tick: Tick) -> EnqueueFuture<'a> {
    Box::pin(async move {
        // By the entry, not by the kind: a kind may be renamed.
        let key = format!("schedule:{name}");
        enqueue_unique(tx, &key, &K::at(tick), Options::default()).await
    })
}

#[cfg(test)]
mod tests {
    use model::Queue;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Nightly {}

    impl Kind for Nightly {
        const NAME: &'static str = "nightly";
        const QUEUE: Queue = Queue::CALLBACKS;
    }

    impl Scheduled for Nightly {
        fn at(_: Tick) -> Self {
            Self {}
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse().unwrap())
    }

    #[test]
    fn what_never_comes_or_is_no_cron_expression_is_refused() {
        for cron in ["", "0 0 30 2 *", "61 * * * *", "daily"] {
            let entry = Entry { cron, ..Entry::of::<Nightly>("x", "") };
            assert!(entry.parse().is_err(), "{cron}");
        }
    }

    #[test]
    fn missed_ticks_become_one_and_are_counted() {
        let entry = Entry::of::<Nightly>("x", "30 2 * * *");
        let next_at = at("2026-03-01T02:30:00Z");
        assert_eq!(entry.due(next_at, at("2026-03-01T02:29:59Z")), None);
        let on_time = Due { tick: next_at, missed: 0, next: at("2026-03-02T02:30:00Z") };
        assert_eq!(entry.due(next_at, at("2026-03-01T02:30:00Z")), Some(on_time));
        let late = Due { tick: at("2026-03-04T02:30:00Z"), missed: 3, next: at("2026-03-05T02:30:00Z") };
        assert_eq!(entry.due(next_at, at("2026-03-04T12:00:00Z")), Some(late));
    }

    #[test]
    fn an_entry_that_slept_for_years_is_not_counted_for_ever() {
        let entry = Entry::of::<Nightly>("x", "* * * * *");
        let due = entry.due(at("2020-01-01T00:00:00Z"), at("2026-01-01T00:00:30Z")).unwrap();
        assert_eq!((due.missed, due.next), (MOST_COUNTED, at("2026-01-01T00:01:00Z")));
    }
}
