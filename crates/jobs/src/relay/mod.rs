//! The relay: the only publisher of jobs. Every process runs one.
//!
//! It publishes what its own process handed over after a commit, looks at the table for what became
//! due (woken by a commit that made something due, at the time of the next row that will be, and every
//! few seconds), and passes on status changes.
//! A message that is lost anywhere on the way is published again by any process's relay: that is all
//! the recovery there is.
//!
//! **It takes nothing that it can't pass on.** While there is nothing to publish by, the table is left to the relays
//! of other processes, and what was handed over is made due for them. While publishing fails, one message at a time
//! is tried. What was not published is due again: at once if it was our link that broke, else ever later.

pub mod due;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::relay::due::{Taken, take};
use crate::share::promote;
use crate::sweep::{Swept, sweep};
use crate::unpublished::{broker_is_new, lane_was_recreated, not_published};
use broker::{Broker, PublishError, Publishing, Recreated, StatusHint};
use database::{Db, Dropped, Publication, Rooms, SignalReceivers, StatusChange};
use model::Lane;
use platform::backoff::Backoff;
use platform::outage::Outage;

/// How often an idle relay looks at the table, whatever it knows: another process may have made something due that has
/// no relay itself.
const IDLE: Duration = Duration::from_secs(3);

/// What is due, and was held by somebody, is looked for again no sooner.
const SOON: Duration = Duration::from_millis(50);

/// While there is nothing to publish by.
const AWAY: Duration = Duration::from_secs(1);

/// How often each process sweeps: so late is, at worst, what nobody was told of.
const SWEEP_EVERY: Duration = Duration::from_secs(15);

/// The most rows of one look, and the most messages in flight at once.
const BATCH: usize = 100;

/// After a look that failed, the next comes no sooner than this.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// The pauses while nothing that is tried is published.
const FAILING: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));

/// When a message is tried again that the broker did not take: in about 15 s, then ever later.
const NOT_TAKEN: Backoff = Backoff::new(Duration::from_secs(15), Duration::from_secs(300));

/// Runs until `stop`; what was handed over by then is still published.
pub async fn run(db: Db, broker: Broker, signals: SignalReceivers, stop: CancellationToken) {
    let SignalReceivers { publications, dropped, changes, rooms, wake } = signals;
    let relay = Relay {
        db,
        broker,
        stop,
        dropped,
        rooms,
        blocked: Mutex::new(Outage::of("publishing of jobs")),
        database: Mutex::new(Outage::of("the relay's look at the table")),
        troubled: Mutex::default(),
    };
    tokio::join!(
        relay.publish_handed_over(publications),
        relay.publish_due(&wake),
        relay.pass_on_changes(changes),
        relay.republish_recreated(),
        relay.sweep_now_and_then(&wake),
    );
    // The row of each says that it is published: that was never true.
    relay.leave_dropped_to_others().await;
}

struct Relay {
    db: Db,
    broker: Broker,
    stop: CancellationToken,
    /// What must be written back: there was no room for it, or the database was away.
    dropped: Dropped,
    /// Whose parked jobs there is room for.
    rooms: Rooms,
    /// The broker takes nothing, though there is a connection.
    blocked: Mutex<Outage>,
    /// The table can't be looked at, or written.
    database: Mutex<Outage>,
    /// The lanes whose messages the broker does not take, though it can be reached.
    troubled: Mutex<HashMap<Lane, Trouble>>,
}

struct Trouble {
    backoff: Backoff,
    outage: Outage,
}

impl Relay {
    /// Jobs born `queued`: they need no look at the table.
    async fn publish_handed_over(&self, mut publications: mpsc::Receiver<Publication>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = tokio::select! {
                biased;
                received = publications.recv_many(&mut batch, BATCH) => received,
                () = self.stop.cancelled() => return,
            };
            if received == 0 {
                return;
            }
            let batch = std::mem::take(&mut batch);
            match self.broker.publishing() {
                Publishing::Works => {
                    self.publish(batch).await;
                }
                // Others may be able to.
                Publishing::Fails | Publishing::Away(_) => self.write_back(batch, Duration::ZERO).await,
            }
        }
    }

    /// Jobs that became due, and messages that nobody took in time.
    async fn publish_due(&self, wake: &Notify) {
        let mut failing = FAILING;
        while !self.stop.is_cancelled() {
            self.leave_dropped_to_others().await;
            let limit = match self.broker.publishing() {
                Publishing::Works => BATCH,
                // One that is tried tells how it is now.
                Publishing::Fails => 1,
                Publishing::Away(error) => {
                    // A connection that is lost is logged by its link.
                    if error != PublishError::NotConnected {
                        lock(&self.blocked).failed(&error);
                    }
                    tokio::select! {
                        () = self.stop.cancelled() => return,
                        () = self.broker.until_reachable() => {}
                        () = sleep(AWAY) => {}
                    }
                    continue;
                }
            };
            lock(&self.blocked).over();
            let due = match promote(&self.db, &self.rooms.take()).await {
                // Of rooms that are forgotten here the sweep knows.
                Ok(_) => take(&self.db, limit as i64).await,
                Err(error) => Err(error),
            };
            let (taken, published, next_in) = match due {
                Ok(Taken { messages, next_in }) => {
                    lock(&self.database).over();
                    (messages.len(), self.publish(messages).await, next_in)
                }
                Err(error) => {
                    lock(&self.database).failed(&error);
                    self.pause(AFTER_ERROR, Some(wake)).await;
                    continue;
                }
            };
            if taken > 0 && published == 0 {
                // Each commit wakes: that would be a look for each.
                self.pause(failing.pause(), None).await;
                continue;
            }
            failing.reset();
            let pause = match next_in {
                // Then it asks what comes next.
                _ if taken > 0 => Duration::ZERO,
                Some(next_in) => next_in.clamp(SOON, IDLE),
                None => IDLE,
            };
            self.pause(pause, Some(wake)).await;
        }
    }

    async fn pause(&self, pause: Duration, wake: Option<&Notify>) {
        let woken = async {
            match wake {
                Some(wake) => wake.notified().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = sleep(pause) => {}
            () = woken => {}
        }
    }

    async fn sweep_now_and_then(&self, wake: &Notify) {
        loop {
            // Not all processes at once.
            let pause = SWEEP_EVERY.mul_f64(rand::random_range(0.8..1.0));
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = sleep(pause) => {}
            }
            match sweep(&self.db).await {
                Ok(swept) if swept == Swept::default() => {}
                Ok(swept) => {
                    tracing::debug!(?swept, "swept");
                    wake.notify_one();
                }
                Err(error) => lock(&self.database).failed(&error),
            }
        }
    }

    /// Publishes all at once, and writes back what was not published. Returns how many were.
    async fn publish(&self, messages: Vec<Publication>) -> usize {
        if messages.is_empty() {
            return 0;
        }
        let begun = Instant::now();
        let sent = messages.iter().map(|message| self.broker.publish(message.lane, &message.envelope));
        let outcomes = join_all(sent).await;
        let total = messages.len();
        let mut failed: HashMap<Lane, (PublishError, Vec<Publication>)> = HashMap::new();
        let mut published = Vec::with_capacity(total);
        for (message, outcome) in std::iter::zip(messages, outcomes) {
            match outcome {
                Ok(()) => published.push(message.lane),
                Err(error) => {
                    failed.entry(message.lane).or_insert((error, Vec::new())).1.push(message);
                }
            }
        }
        let count = published.len();
        metrics::counter!("relay_published_total").increment(count as u64);
        metrics::counter!("relay_failed_total").increment((total - count) as u64);
        metrics::histogram!("relay_publish_seconds").record(begun.elapsed().as_secs_f64());
        for lane in published {
            if let Some(mut trouble) = lock(&self.troubled).remove(&lane) {
                trouble.outage.over();
            }
        }
        let broken = matches!(self.broker.publishing(), Publishing::Away(_));
        for (lane, (error, messages)) in failed {
            // At once for others, if it is our link that broke, even if it is back by now.
            let of_the_link = matches!(error, PublishError::NotConnected | PublishError::Blocked);
            let delay = if broken || of_the_link { Duration::ZERO } else { self.not_taken(lane, error) };
            self.write_back(messages, delay).await;
        }
        count
    }

    /// The broker does not take this lane's messages: when it is to be tried again.
    fn not_taken(&self, lane: Lane, error: PublishError) -> Duration {
        let mut troubled = lock(&self.troubled);
        let trouble = troubled.entry(lane).or_insert_with(|| Trouble {
            backoff: NOT_TAKEN,
            outage: Outage::of(format!("publishing to the queue {lane}")),
        });
        trouble.outage.failed(&error);
        trouble.backoff.pause()
    }

    /// What can't be written now is kept: it would be a minute late otherwise, or more.
    async fn write_back(&self, messages: Vec<Publication>, delay: Duration) {
        if let Err(error) = not_published(&self.db, &messages, delay).await {
            lock(&self.database).failed(&error);
            self.dropped.add(messages);
        }
    }

    async fn leave_dropped_to_others(&self) {
        loop {
            let dropped = self.dropped.take(BATCH);
            if dropped.is_empty() {
                return;
            }
            if let Err(error) = not_published(&self.db, &dropped, Duration::ZERO).await {
                lock(&self.database).failed(&error);
                self.dropped.add(dropped);
                return;
            }
        }
    }

    /// Tells the web processes which jobs changed. Best effort: they look for themselves now and then.
    async fn pass_on_changes(&self, mut changes: mpsc::Receiver<StatusChange>) {
        loop {
            let change = tokio::select! {
                biased;
                change = changes.recv() => change,
                () = self.stop.cancelled() => return,
            };
            let Some(StatusChange { job, version }) = change else { return };
            self.broker.publish_status(StatusHint { job, version }).await;
        }
    }

    /// What was made anew is empty: what was in it must be published again, at once.
    async fn republish_recreated(&self) {
        loop {
            let new = tokio::select! {
                new = self.broker.recreated() => new,
                () = self.stop.cancelled() => return,
            };
            loop {
                let marked = match new {
                    Recreated::Everything => broker_is_new(&self.db).await,
                    Recreated::Lane(lane) => lane_was_recreated(&self.db, lane).await,
                };
                match marked {
                    Ok(0) => break,
                    Ok(rows) => {
                        tracing::info!(?new, rows, "it is new and empty: publishing its jobs again");
                        break;
                    }
                    Err(error) if error.may_pass() && !self.stop.is_cancelled() => sleep(AFTER_ERROR).await,
                    Err(error) => {
                        tracing::warn!(%error, ?new, "could not mark jobs for publishing");
                        break;
                    }
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
