//! The supervisor: gives the jobs of dead or frozen workers to others. Every worker runs one; they
//! don't need to agree, because each lapse is one row lock.

use std::sync::Arc;
use std::time::Instant;

use shared::db::jobs::lease::end_lapsed;
use shared::domain::job::JobState;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "supervisor";

/// The most jobs of one look.
const BATCH: i64 = 100;

/// Looks for lapsed leases every third of a lease, until `stop`.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let pause = worker.lease / 3;
    let mut tick = tokio::time::interval(pause);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut looked_at: Option<Instant> = None;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        // After an outage of the database, or a freeze of this process, leases lie lapsed that their
        // owners had no way to renew: they get the time for it first.
        let was_away = looked_at.is_none_or(|then| then.elapsed() > pause * 2);
        let outcome = if was_away { worker.services.db.ping().await } else { look(&worker).await };
        match outcome {
            Ok(()) => looked_at = Some(Instant::now()),
            Err(error) => {
                looked_at = None;
                tracing::warn!(%error, "the supervisor could not look for lapsed leases");
            }
        }
    }
}

async fn look(worker: &Worker) -> Result<(), shared::db::DbError> {
    for (job, state) in end_lapsed(&worker.services.db, BATCH).await? {
        metrics::counter!("jobs_lapsed_total", "kind" => job.kind_name().to_owned()).increment(1);
        worker.tally.lapsed(&job.queue, state);
        if state == JobState::Failed {
            tracing::error!(job = %job.id, kind = job.kind, "the job's lease lapsed too often: it is given up");
        } else {
            tracing::warn!(job = %job.id, kind = job.kind, "a lease lapsed; its job is put back");
        }
    }
    Ok(())
}
