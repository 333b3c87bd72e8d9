//! Back pressure: who has many unfinished jobs, or comes when there are very many in all, is told to come back
//! later instead of making the queue longer. What was accepted is always done.
//!
//! When to come back is computed from the pace at which jobs end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::jobs::samples;
use ::jobs::status::{unfinished, unfinished_of};
use database::{Conn, Db, DbError};
use shared::domain::CustomerId;
use tokio_util::sync::CancellationToken;

use crate::http::error::ApiError;

/// How often this process counts all jobs, while anybody asks. In between it goes by the last count.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// Nobody is sent away for longer than this.
const LONGEST: Duration = Duration::from_secs(300);

/// The limits, and what was counted last.
#[derive(Debug, Clone)]
pub struct Pressure {
    per_customer: i64,
    in_all: i64,
    counts: Arc<Mutex<Counts>>,
    /// Whether somebody asked since the last count.
    asked: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// How many there are, but no more than are allowed.
    unfinished: i64,
    /// How many ended lately,
    ended: i64,
    /// and within which time.
    window: Duration,
}

impl Pressure {
    /// Limits of unfinished jobs.
    pub fn new(per_customer: u32, in_all: u32) -> Self {
        let asked = Arc::new(AtomicBool::new(true));
        Self { per_customer: per_customer.into(), in_all: in_all.into(), counts: Arc::default(), asked }
    }

    /// Lets a customer's new job in.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] when there are very many jobs in all, [`ApiError::TooManyUnfinished`] when many of
    /// them are the customer's; each with the time after which it may be otherwise.
    pub async fn admit(&self, conn: &mut Conn, customer: CustomerId) -> Result<(), ApiError> {
        self.admit_with(unfinished_of(conn, customer, self.per_customer).await?)
    }

    /// So many unfinished jobs a customer may have. Nobody needs to count more.
    pub fn per_customer(&self) -> i64 {
        self.per_customer
    }

    /// As [`Pressure::admit`], of a customer who has so many unfinished jobs.
    ///
    /// # Errors
    /// As [`Pressure::admit`].
    pub fn admit_with(&self, own: i64) -> Result<(), ApiError> {
        self.asked.store(true, Ordering::Relaxed);
        let counts = *self.lock();
        if counts.unfinished >= self.in_all {
            return Err(ApiError::Overloaded(counts.wait(counts.unfinished, self.in_all)));
        }
        if own >= self.per_customer {
            return Err(ApiError::TooManyUnfinished(counts.wait(own, self.per_customer)));
        }
        Ok(())
    }

    /// Counts now and then, until `stop`: at the start, and when somebody asked since the last time. While
    /// there are too many it goes on, so that whoever asks next is not sent away by what is long over.
    pub async fn count(self, db: Db, stop: CancellationToken) {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let is_full = self.lock().unfinished >= self.in_all;
            if !self.asked.swap(false, Ordering::Relaxed) && !is_full {
                continue;
            }
            let in_all = self.in_all;
            match db.run(move |db| async move { count(&mut db.conn().await?, in_all).await }).await {
                Ok(counts) => *self.lock() = counts,
                // Without the database nothing is accepted either.
                Err(_) => self.asked.store(true, Ordering::Relaxed),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn count(conn: &mut Conn, in_all: i64) -> Result<Counts, DbError> {
    let unfinished = unfinished(conn, in_all).await?;
    let (ended, window) = samples::ended_lately(conn).await?;
    Ok(Counts { unfinished, ended, window })
}

impl Counts {
    /// How long until, at this pace, a tenth of what is allowed is free again: whoever comes back should find
    /// room, and not be one of many who find room for one. (What there is above the limit is not counted:
    /// then it takes longer, and who comes back too early is told again.)
    fn wait(self, unfinished: i64, limit: i64) -> Duration {
        if self.ended == 0 {
            return LONGEST;
        }
        let too_many = (unfinished - limit * 9 / 10).max(1);
        let seconds = too_many.saturating_mul(self.window.as_secs().cast_signed()) / self.ended;
        Duration::from_secs(seconds.unsigned_abs()).clamp(Duration::from_secs(1), LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_away_comes_back_when_a_tenth_is_free_at_the_present_pace() {
        let pace = |ended| Counts { unfinished: 0, ended, window: Duration::from_secs(60) };
        let table = [
            // 100 too many at 10 a second
            (pace(600), 1000, 1000, 10),
            (pace(6000), 1000, 1000, 1),
            (pace(6000), 1100, 1000, 2),
            (pace(60_000), 1000, 1000, 1),
            // so slow that nobody knows
            (pace(1), 1000, 1000, 300),
            (pace(0), 1000, 1000, 300),
            (pace(600), 1, 1, 1),
            // The same pace, over a longer time.
            (Counts { window: Duration::from_secs(100), ..pace(1000) }, 1000, 1000, 10),
        ];
        for (counts, unfinished, limit, seconds) in table {
            assert_eq!(counts.wait(unfinished, limit).as_secs(), seconds, "{counts:?} {unfinished}");
        }
    }
}
