//! One consumer a queue: takes a message when a slot is free, and hands it to the runner. What is in the
//! queue's express lane comes first.
//!
//! Concurrency is bounded by the slots; the broker's prefetch only bounds what lies in this process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared::jobs::Queue;
use shared::messaging::{Broker, Delivery, Subscription};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Worker, runner};

/// How often a waiting consumer gives a sign of life.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// Consumes until the worker's stop token is set; returns when everything taken is settled. While the queue is
/// paused nothing is taken: the subscriptions are given back, and what runs is finished.
pub async fn run(worker: Arc<Worker>, queue: Queue, slots: usize) {
    let prefetch = u16::try_from(slots).unwrap_or(u16::MAX);
    let free = Arc::new(Semaphore::new(slots));
    let mut paused = worker.paused.subscribe();
    let mut runs = JoinSet::new();
    while until_open(&worker, queue, &mut paused).await {
        let mut lanes = Lanes::subscribe(&worker.services.broker, queue, prefetch).await;
        loop {
            while runs.try_join_next().is_some() {}
            let taken = tokio::select! {
                taken = next(&worker, queue, &mut lanes, &free) => taken,
                () = until_paused(queue, &mut paused) => None,
            };
            let Some((delivery, slot)) = taken else { break };
            let worker = worker.clone();
            runs.spawn(async move {
                runner::handle(&worker, queue, delivery).await;
                drop(slot);
            });
        }
        lanes.cancel().await;
    }
    while runs.join_next().await.is_some() {}
}

/// The paused queues, as a consumer hears of them.
type Paused = watch::Receiver<Option<BTreeSet<Queue>>>;

/// Waits until the queue is known not to be paused; `false` when the worker stops.
async fn until_open(worker: &Worker, queue: Queue, paused: &mut Paused) -> bool {
    let is_open = |paused: &Option<BTreeSet<Queue>>| paused.as_ref().is_some_and(|all| !all.contains(&queue));
    if paused.borrow().as_ref().is_some_and(|all| all.contains(&queue)) {
        tracing::info!(%queue, "the queue is paused");
    }
    loop {
        worker.pulse.beat(queue.name());
        tokio::select! {
            () = worker.stop.cancelled() => return false,
            known = paused.wait_for(is_open) => return known.is_ok(),
            () = tokio::time::sleep(SIGN_OF_LIFE) => {}
        }
    }
}

async fn until_paused(queue: Queue, paused: &mut Paused) {
    let is_paused =
        |paused: &Option<BTreeSet<Queue>>| paused.as_ref().is_some_and(|all| all.contains(&queue));
    // An error only says that the worker is gone.
    let _ = paused.wait_for(is_paused).await;
}

/// A message and a slot to run it in; `None` when the worker stops.
async fn next(
    worker: &Worker,
    queue: Queue,
    lanes: &mut Lanes,
    free: &Arc<Semaphore>,
) -> Option<(Delivery, OwnedSemaphorePermit)> {
    let slot = loop {
        tokio::select! {
            () = worker.stop.cancelled() => return None,
            slot = free.clone().acquire_owned() => break slot.ok()?,
            () = tokio::time::sleep(SIGN_OF_LIFE) => worker.pulse.beat(queue.name()),
        }
    };
    loop {
        // A consumer that the broker took away counts as dead, unless the broker itself is away.
        if lanes.are_consuming() || !worker.services.broker.connected() {
            worker.pulse.beat(queue.name());
        }
        tokio::select! {
            () = worker.stop.cancelled() => return None,
            delivery = lanes.next() => return Some((delivery?, slot)),
            () = tokio::time::sleep(SIGN_OF_LIFE) => {}
        }
    }
}

/// The subscriptions of a queue.
struct Lanes {
    express: Subscription,
    ordinary: Subscription,
}

impl Lanes {
    async fn subscribe(broker: &Broker, queue: Queue, prefetch: u16) -> Self {
        let [express, ordinary] = queue.lanes();
        Self {
            express: broker.subscribe(express, prefetch).await,
            ordinary: broker.subscribe(ordinary, prefetch).await,
        }
    }

    async fn next(&mut self) -> Option<Delivery> {
        tokio::select! {
            biased;
            delivery = self.express.next() => delivery,
            delivery = self.ordinary.next() => delivery,
        }
    }

    fn are_consuming(&self) -> bool {
        self.express.is_consuming() && self.ordinary.is_consuming()
    }

    async fn cancel(self) {
        tokio::join!(self.express.cancel(), self.ordinary.cancel());
    }
}
