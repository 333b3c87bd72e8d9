//! Keeps up with the queues while the worker runs: which are paused, and, for a worker on `*`, which were named
//! since it started.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::jobs::queues;
use database::DbError;
use model::Queue;
use platform::outage::Outage;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "look at the queues";

/// How often it looks: so long a pause may take to be heard of.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How long the database may take for a look.
const PATIENCE: Duration = Duration::from_secs(5);

/// The paused queues, as this worker knows them; `None` before its first look.
pub type Paused = watch::Sender<Option<BTreeSet<Queue>>>;

/// Looks until `stop`. A new queue is told to `found`, once, if the worker follows new ones.
pub async fn run(worker: Arc<Worker>, found: mpsc::Sender<Queue>, stop: CancellationToken) {
    let mut known: BTreeSet<Queue> = worker.queues.slots.iter().map(|(queue, _)| *queue).collect();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut outage = Outage::of("the look at the queues");
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        let all = match look(&worker).await {
            Ok(all) => all,
            Err(error) => {
                // What was paused stays so.
                outage.failed(&error);
                continue;
            }
        };
        outage.over();
        if worker.queues.follow {
            for (queue, _) in all.iter().filter(|(queue, _)| known.insert(*queue)) {
                tokio::select! {
                    // An error only says that the worker stops.
                    _ = found.send(*queue) => {}
                    () = worker.stop.cancelled() => break,
                }
            }
        }
        let paused: BTreeSet<Queue> =
            all.into_iter().filter(|(_, since)| since.is_some()).map(|(queue, _)| queue).collect();
        worker.paused.send_if_modified(|now| {
            let changed = now.as_ref() != Some(&paused);
            *now = Some(paused);
            changed
        });
    }
}

async fn look(worker: &Worker) -> Result<Vec<(Queue, Option<model::Timestamp>)>, DbError> {
    worker.services.db.look_in_time(PATIENCE, async |c| queues::with_pauses(c).await).await
}
