//! `--drain`: works until nothing is left to do in its queues, then ends. For what is to be empty before a
//! change, and for a worker that comes only when there is work.
//!
//! Nothing new is begun meanwhile: no schedule, no watched folder, no submissions. Left to do is what is
//! queued or running, here or elsewhere, what is due within [`SOON`], and what the broker holds; not left to
//! do are jobs for later, in a longer backoff, waiting for jobs of other queues, or of a paused queue.

use std::time::Duration;

use ::jobs::queues;
use ::jobs::remaining::remaining;
use database::DbError;
use model::Queue;

use crate::Worker;

/// What is due so soon is waited for. Shorter than the time for which a job is left to a newer program,
/// which would be waited for for ever.
pub const SOON: Duration = Duration::from_secs(10);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until there is nothing left to do. Gives the number of jobs that are left for later.
pub async fn until_empty(worker: &Worker) -> i64 {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match look(worker).await {
            Ok(Some(later)) => return later,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "could not look what is left to do"),
        }
    }
}

/// `None` while there is something to do.
async fn look(worker: &Worker) -> Result<Option<i64>, DbError> {
    let mut conn = worker.services.db.conn().await?;
    let mut worked: Vec<Queue> = worker.queues.slots.iter().map(|(queue, _)| *queue).collect();
    let known = queues::with_pauses(&mut conn).await?;
    if worker.queues.follow {
        worked.extend(known.iter().map(|(queue, _)| *queue));
        worked.sort_unstable();
        worked.dedup();
    }
    let left = remaining(&mut conn, &worked, SOON).await?;
    drop(conn);
    if left.now > 0 {
        return Ok(None);
    }
    let is_open = |queue: &Queue| known.iter().all(|(paused, since)| paused != queue || since.is_none());
    for lane in worked.into_iter().filter(is_open).flat_map(Queue::lanes) {
        // A broker that is away may hold anything.
        if worker.services.broker.depth(lane).await != Some(0) {
            return Ok(None);
        }
    }
    Ok(Some(left.later))
}
