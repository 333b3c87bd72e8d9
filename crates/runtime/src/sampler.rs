//! Writes down how the queues fare: every few seconds what came of this worker's runs, and once a minute, in one
//! worker of all, how much there is of everything.
//!
//! For people only, so no trouble here is anybody else's: what can't be written is kept for the next time, nothing
//! waits for it, and unlike the other loops this one gives no sign of life that a restart could depend on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::jobs::{depths, samples};
use broker::depths::in_broker;
use database::DbError;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// How often it writes.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// How long samples are kept: the charts show a day.
const KEEP: Duration = Duration::from_secs(48 * 3600);

/// How long the last figures of a worker that stops may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// Writes until `stop`, and once more then.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(WRITE_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => break,
        }
        let sampled = sample(&worker).await;
        if sampled.is_err() {
            metrics::counter!("samples_failed_total").increment(1);
        }
        match sampled {
            Ok(()) => failing = false,
            // An outage is one line, not one every few seconds.
            Err(error) if failing => tracing::debug!(%error, "still no samples of the queues"),
            Err(error) => {
                tracing::warn!(%error, "samples of the queues could not be written");
                failing = true;
            }
        }
    }
    if !matches!(tokio::time::timeout(GOODBYE, write_counts(&worker)).await, Ok(Ok(()))) {
        tracing::debug!("the last figures of this worker were not written");
    }
}

async fn sample(worker: &Worker) -> Result<(), DbError> {
    write_counts(worker).await?;
    let db = &worker.services.db;
    let mut conn = db.conn().await?;
    if !samples::depths_are_missing(&mut conn).await? {
        return Ok(());
    }
    let depths = depths::by_queue(&mut conn).await?;
    samples::forget(&mut conn, KEEP).await?;
    // Nothing is held while the broker is asked: the embedded database has one connection.
    drop(conn);
    let messages: BTreeMap<String, u64> =
        in_broker(&worker.services.broker, depths.keys().map(String::as_str)).await;
    samples::write_depths(db, &depths, &messages).await
}

async fn write_counts(worker: &Worker) -> Result<(), DbError> {
    let counted = worker.tally.take();
    if counted.is_empty() {
        return Ok(());
    }
    let written = samples::add(&worker.services.db, &counted).await;
    if written.is_err() {
        worker.tally.put_back(counted);
    }
    written
}
