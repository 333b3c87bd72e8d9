//! Starts what the schedule says, at its times. Every worker runs one of these loops; they don't need to
//! agree, because each tick is a compare-and-set on one row.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::jobs::schedule::Entry;
use ::jobs::schedule::schedule;
use ::jobs::schedules;
use database::{DbError, in_time};
use platform::outage::Outage;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "scheduler";

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long the database may take for a look. A tick whose commit was not answered was taken, or is due at the next.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often the table is written into the database again: while two versions of this program run side by
/// side, each may have another one.
const MIRROR_EVERY: Duration = Duration::from_secs(60);

/// Looks for ticks until `stop`.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut mirrored: Option<Instant> = None;
    let mut outage = Outage::of("the look at the schedule");
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        match in_time(PATIENCE, look_once(&worker, &mut mirrored)).await {
            Ok(()) => outage.over(),
            Err(error) => outage.failed(&error),
        }
    }
}

async fn look_once(worker: &Worker, mirrored: &mut Option<Instant>) -> Result<(), DbError> {
    let db = &worker.services.db;
    if mirrored.is_none_or(|then| then.elapsed() > MIRROR_EVERY) {
        schedules::mirror(db, schedule()).await?;
        *mirrored = Some(Instant::now());
    }
    let due = schedules::due(db).await?;
    for entry in schedule().iter().filter(|entry| due.iter().any(|name| name == entry.name)) {
        // One that fails must not hold up the others.
        if let Err(error) = tick(worker, entry).await {
            tracing::error!(schedule = entry.name, %error, "a tick of the schedule could not be taken");
        }
    }
    Ok(())
}

async fn tick(worker: &Worker, entry: &'static Entry) -> Result<(), DbError> {
    let Some(ticked) = schedules::tick(&worker.services.db, entry).await? else { return Ok(()) };
    let missed = u64::try_from(ticked.missed).unwrap_or(0);
    metrics::counter!("schedule_missed_total", "name" => entry.name).increment(missed);
    let outcome = if ticked.job.is_some() { "enqueued" } else { "overlapped" };
    metrics::counter!("schedule_ticks_total", "name" => entry.name, "outcome" => outcome).increment(1);
    match ticked.job {
        Some(job) => tracing::info!(schedule = entry.name, %job, missed, "the schedule started a job"),
        None => tracing::warn!(schedule = entry.name, "the job of the tick before is unfinished: left out"),
    }
    Ok(())
}
