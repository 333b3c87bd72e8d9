//! Back pressure: who has many unfinished jobs, or comes when there are very many in all, is told to come back
//! later instead of making the queue longer. What was accepted is always done.
//!
//! When to come back is computed from the pace at which jobs end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shared::db::jobs::status::{unfinished_and_ended, unfinished_of};
use shared::db::{Conn, Db};
use shared::domain::CustomerId;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;

/// How often this process counts all jobs. In between it goes by the last count.
const COUNT_EVERY: Duration = Duration::from_secs(2);

/// The pace is that of the last minute.
const WINDOW: Duration = Duration::from_secs(60);

/// Nobody is sent away for longer than this.
const LONGEST: Duration = Duration::from_secs(300);

/// The limits, and what was counted last.
#[derive(Debug, Clone)]
pub struct Pressure {
    per_customer: i64,
    in_all: i64,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    unfinished: i64,
    ended_in_window: i64,
}

impl Pressure {
    /// Limits of unfinished jobs.
    pub fn new(per_customer: u32, in_all: u32) -> Self {
        Self { per_customer: per_customer.into(), in_all: in_all.into(), counts: Arc::default() }
    }

    /// Lets a customer's new job in.
    ///
    /// # Errors
    /// [`ApiError::Overloaded`] when there are very many jobs in all, [`ApiError::TooManyUnfinished`] when many of
    /// them are the customer's; each with the time after which it may be otherwise.
    pub async fn admit(&self, conn: &mut Conn, customer: CustomerId) -> Result<(), ApiError> {
        let counts = *self.lock();
        if counts.unfinished >= self.in_all {
            return Err(ApiError::Overloaded(counts.wait(counts.unfinished, self.in_all)));
        }
        let own = unfinished_of(conn, customer, self.per_customer).await?;
        if own >= self.per_customer {
            return Err(ApiError::TooManyUnfinished(counts.wait(own, self.per_customer)));
        }
        Ok(())
    }

    /// Counts now and then, until `stop`.
    pub async fn count(self, db: Db, stop: CancellationToken) {
        let mut tick = tokio::time::interval(COUNT_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            let counted =
                db.run(|db| async move { unfinished_and_ended(&mut db.conn().await?, WINDOW).await });
            // Without the database nothing is accepted either.
            if let Ok((unfinished, ended_in_window)) = counted.await {
                *self.lock() = Counts { unfinished, ended_in_window };
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// How long until, at this pace, a tenth of what is allowed is free again: whoever comes back should find
    /// room, and not be one of many who find room for one.
    fn wait(self, unfinished: i64, limit: i64) -> Duration {
        if self.ended_in_window == 0 {
            return LONGEST;
        }
        let too_many = (unfinished - limit * 9 / 10).max(1);
        let seconds = too_many.saturating_mul(WINDOW.as_secs().cast_signed()) / self.ended_in_window;
        Duration::from_secs(seconds.unsigned_abs()).clamp(Duration::from_secs(1), LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_sent_away_comes_back_when_a_tenth_is_free_at_the_present_pace() {
        let pace = |ended_in_window| Counts { unfinished: 0, ended_in_window };
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
        ];
        for (counts, unfinished, limit, seconds) in table {
            assert_eq!(counts.wait(unfinished, limit).as_secs(), seconds, "{counts:?} {unfinished}");
        }
    }
}
