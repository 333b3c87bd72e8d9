//! The relay: the only publisher of jobs. Every process runs one.
//!
//! It publishes what its own process handed over after a commit, looks at the table for what became
//! due (woken by a commit that made something due, else once a second), and passes on status changes.
//! A message that is lost anywhere on the way is published again by any process's relay: that is all
//! the recovery there is.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Broker, StatusHint};
use crate::db::jobs::relay::{confirmed, lane_was_recreated, take_due};
use crate::db::{Db, DbError, Publication, SignalReceivers, StatusChange};

/// How often an idle relay looks at the table.
const IDLE: Duration = Duration::from_secs(1);

/// The most rows of one look, and the most messages in flight at once.
const BATCH: usize = 100;

/// After a look that failed, the next comes no sooner than this.
const AFTER_ERROR: Duration = Duration::from_secs(1);

/// Runs until `stop`; what was handed over by then is still published.
pub async fn run(db: Db, broker: Broker, signals: SignalReceivers, stop: CancellationToken) {
    let SignalReceivers { publications, changes, wake } = signals;
    tokio::join!(
        publish_handed_over(&db, &broker, publications, &stop),
        publish_due(&db, &broker, &wake, &stop),
        pass_on_changes(&broker, changes, &stop),
        republish_recreated(&db, &broker, &stop),
    );
}

/// Jobs born `queued`: they need no look at the table.
async fn publish_handed_over(
    db: &Db,
    broker: &Broker,
    mut publications: mpsc::Receiver<Publication>,
    stop: &CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            biased;
            received = publications.recv_many(&mut batch, BATCH) => received,
            () = stop.cancelled() => return,
        };
        if received == 0 {
            return;
        }
        publish(db, broker, std::mem::take(&mut batch)).await;
    }
}

/// Jobs that became due, and messages that nobody took in time.
async fn publish_due(db: &Db, broker: &Broker, wake: &tokio::sync::Notify, stop: &CancellationToken) {
    loop {
        let pause = match take_due(db, BATCH as i64).await {
            Ok(due) => {
                let full = due.len() == BATCH;
                publish(db, broker, due).await;
                if full { Duration::ZERO } else { IDLE }
            }
            Err(error) => {
                tracing::warn!(%error, "the relay could not look at the table");
                AFTER_ERROR
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            () = wake.notified() => {}
        }
    }
}

/// Publishes all at once. One that fails does not hold up the others: its row says when it is tried
/// again.
async fn publish(db: &Db, broker: &Broker, messages: Vec<Publication>) {
    if messages.is_empty() {
        return;
    }
    let begun = Instant::now();
    let sent = messages.iter().map(|message| broker.publish(message.lane, &message.envelope));
    let outcomes = join_all(sent).await;
    let total = messages.len();
    let mut first_error = None;
    let mut there = Vec::with_capacity(total);
    for (message, outcome) in messages.into_iter().zip(outcomes) {
        match outcome {
            Ok(()) => there.push(message),
            Err(error) => first_error = Some(error),
        }
    }
    metrics::counter!("relay_published_total").increment(there.len() as u64);
    metrics::histogram!("relay_publish_seconds").record(begun.elapsed().as_secs_f64());
    if let Some(error) = first_error {
        let failed = total - there.len();
        metrics::counter!("relay_failed_total").increment(failed as u64);
        tracing::warn!(%error, failed, total, "messages were not published; they will be again in 15 s");
    }
    if let Err(error) = confirmed(db, &there).await {
        tracing::warn!(%error, "confirms were not recorded; the messages will be published again in 15 s");
    }
}

/// Tells the web processes which jobs changed. Best effort: they look for themselves now and then.
async fn pass_on_changes(
    broker: &Broker,
    mut changes: mpsc::Receiver<StatusChange>,
    stop: &CancellationToken,
) {
    loop {
        let change = tokio::select! {
            biased;
            change = changes.recv() => change,
            () = stop.cancelled() => return,
        };
        let Some(StatusChange { job, version }) = change else { return };
        broker.publish_status(StatusHint { job, version }).await;
    }
}

/// A lane that was made anew is empty: what was in it must be published again, at once.
async fn republish_recreated(db: &Db, broker: &Broker, stop: &CancellationToken) {
    loop {
        let lane = tokio::select! {
            lane = broker.recreated() => lane,
            () = stop.cancelled() => return,
        };
        loop {
            match lane_was_recreated(db, lane).await {
                Ok(0) => break,
                Ok(rows) => {
                    tracing::info!(queue = %lane, rows, "the queue is new: publishing its jobs again");
                    break;
                }
                Err(DbError::Unavailable(_)) if !stop.is_cancelled() => tokio::time::sleep(AFTER_ERROR).await,
                Err(error) => {
                    tracing::warn!(%error, queue = %lane, "could not mark the queue's jobs for publishing");
                    break;
                }
            }
        }
    }
}
