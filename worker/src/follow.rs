//! A worker on `*` also works on queues that are named while it runs, without a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared::db::jobs::queues;
use shared::jobs::Queue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Looks for queues that nobody here works on, and tells `found` of each once, until `stop`.
pub async fn run(worker: Arc<Worker>, found: mpsc::Sender<Queue>, stop: CancellationToken) {
    let mut known: BTreeSet<Queue> = worker.queues.slots.iter().map(|(queue, _)| *queue).collect();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        match look(&worker).await {
            Ok(all) => {
                for queue in all.into_iter().filter(|queue| known.insert(*queue)) {
                    // An error only says that the worker stops.
                    let _ = found.send(queue).await;
                }
            }
            Err(error) => tracing::warn!(%error, "could not look for new queues"),
        }
    }
}

async fn look(worker: &Worker) -> Result<Vec<Queue>, shared::db::DbError> {
    queues::all(&mut worker.services.db.read().await?).await
}
