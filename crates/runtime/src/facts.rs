//! What a worker tells of itself with each heartbeat.

use crate::presence::common_facts;
use model::ProcessId;
use model::process::{Facts, MOST_RUNS, Slots};

use crate::{Worker, health};

/// Which process the worker is, how it is, what it runs, and what it thinks of its dependencies.
pub fn tell(worker: &Worker) -> (ProcessId, Facts) {
    (worker.lease.id().into(), facts(worker))
}

fn facts(worker: &Worker) -> Facts {
    let mut runs = worker.running.facts();
    let running = runs.len();
    runs.truncate(MOST_RUNS);
    let queues = worker.consumed().into_iter();
    Facts {
        dead_parts: health::dead_parts(worker).into_iter().map(str::to_owned).collect(),
        queues: queues.map(|(queue, slots)| Slots { queue: queue.name().to_owned(), slots }).collect(),
        running,
        runs,
        breakers: worker.services.breakers.facts(),
        ..common_facts(&worker.services.db, &worker.services.broker, &worker.stop)
    }
}
