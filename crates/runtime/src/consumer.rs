//! One consumer a queue: takes a message when a slot is free, and hands it to the runner. What is in the
//! queue's express lane comes first.
//!
//! Concurrency is bounded by the slots; the broker's prefetch only bounds what lies in this process. **A worker
//! without a free slot holds no message that another could run**: both lanes together may have twice as many in
//! flight as there are slots, so what lies here while no slot is free is given back, and its lane is suspended. As
//! long as it is, messages are taken one by one, each when a slot is free, until there is none left; then the
//! broker sends them again. So only a queue with work in both lanes and no slot free pays for it, with a question
//! for each message.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use broker::{Broker, Delivery, Subscription};
use futures_util::future::join_all;
use model::{Lane, Queue};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::{Worker, runner};

/// How often a waiting consumer gives a sign of life.
pub(crate) const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// How long a delivery may lie here without a free slot: one is free in a moment where jobs are short, or when the
/// broker sent the next message for an ack and its run is just ending.
const GRACE: Duration = Duration::from_millis(50);

/// Consumes until the worker's stop token is set; returns when everything taken is settled. While the queue is
/// paused nothing is taken: the subscriptions are given back, and what runs is finished.
pub async fn run(worker: Arc<Worker>, queue: Queue, slots: usize) {
    // Of the quarantine one job runs at a time, whatever `QUEUES` says.
    let slots = if queue == Queue::QUARANTINE { 1 } else { slots };
    let prefetch = u16::try_from(slots).unwrap_or(u16::MAX);
    let free = Arc::new(Semaphore::new(slots));
    let mut paused = worker.paused.subscribe();
    let mut runs = JoinSet::new();
    while until_open(&worker, queue, &mut paused).await {
        let mut lanes = Lanes::subscribe(worker.services.broker.clone(), queue, prefetch).await;
        while let Some((lane, delivery, slot)) = next(&worker, queue, &mut lanes, &free, &mut paused).await {
            while runs.try_join_next().is_some() {}
            let worker = worker.clone();
            runs.spawn(async move {
                runner::handle(&worker, lane, delivery).await;
                drop(slot);
            });
        }
        if queue == Queue::QUARANTINE {
            // The next worker's turn comes with the end of the subscription: not while a job of it runs here.
            while runs.join_next().await.is_some() {}
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

/// Waits until nothing more may be taken: the worker stops, or the queue is paused.
async fn until_halted(worker: &Worker, queue: Queue, paused: &mut Paused) {
    let is_paused =
        |paused: &Option<BTreeSet<Queue>>| paused.as_ref().is_some_and(|all| all.contains(&queue));
    tokio::select! {
        () = worker.stop.cancelled() => {}
        // An error only says that the worker is gone.
        _ = paused.wait_for(is_paused) => {}
    }
}

/// A message and a slot to run it in; `None` when nothing more may be taken. To be awaited to its end: a delivery
/// that is dropped half-way is lost until its channel is gone.
async fn next(
    worker: &Worker,
    queue: Queue,
    lanes: &mut Lanes,
    free: &Arc<Semaphore>,
    paused: &mut Paused,
) -> Option<(Lane, Delivery, OwnedSemaphorePermit)> {
    let mut beat = tokio::time::interval(SIGN_OF_LIFE);
    let slot = loop {
        tokio::select! {
            biased;
            () = until_halted(worker, queue, paused) => return None,
            slot = free.clone().acquire_owned() => break slot.ok()?,
            _ = beat.tick() => worker.pulse.beat(queue.name()),
            // Of the quarantine nobody else could run what lies here: one at a time runs of all, and it is ours.
            () = tokio::time::sleep(GRACE), if queue != Queue::QUARANTINE => {
                beating(worker, queue, lanes.give_back_what_lies()).await;
            }
        }
    };
    loop {
        // A consumer that the broker took away counts as dead, unless the broker itself is away.
        if lanes.are_consuming() || !worker.services.broker.connected() {
            worker.pulse.beat(queue.name());
        }
        if let Some((lane, delivery)) = beating(worker, queue, lanes.take()).await {
            return Some((lane, delivery, slot));
        }
        tokio::select! {
            biased;
            () = until_halted(worker, queue, paused) => return None,
            next = lanes.next() => return next.map(|(lane, delivery)| (lane, delivery, slot)),
            () = tokio::time::sleep(SIGN_OF_LIFE) => {}
        }
    }
}

/// Asks the broker something, which may take some time-outs when it does not answer.
async fn beating<T>(worker: &Worker, queue: Queue, asking: impl Future<Output = T>) -> T {
    let mut asking = std::pin::pin!(asking);
    loop {
        tokio::select! {
            answer = &mut asking => return answer,
            () = tokio::time::sleep(SIGN_OF_LIFE) => worker.pulse.beat(queue.name()),
        }
    }
}

/// A queue's lanes, the one to look at first before the other.
struct Lanes {
    broker: Broker,
    prefetch: u16,
    lanes: Vec<Consumed>,
}

struct Consumed {
    lane: Lane,
    /// `None` while it is suspended.
    subscription: Option<Subscription>,
    /// Whether something lay here at the last look without a free slot.
    lay: bool,
}

impl Lanes {
    async fn subscribe(broker: Broker, queue: Queue, prefetch: u16) -> Self {
        let mut lanes = Vec::new();
        for lane in queue.lanes() {
            // Of the quarantine's two only one is used: a consumer of each would be two jobs at a time.
            if queue == Queue::QUARANTINE && lane.express {
                continue;
            }
            let subscription = Some(broker.subscribe(lane, prefetch).await);
            lanes.push(Consumed { lane, subscription, lay: false });
        }
        Self { broker, prefetch, lanes }
    }

    /// Suspends each lane of which something has lain here for a while.
    async fn give_back_what_lies(&mut self) {
        for consumed in &mut self.lanes {
            let lies = consumed.subscription.as_ref().is_some_and(Subscription::is_holding);
            if lies && consumed.lay {
                tracing::debug!(lane = %consumed.lane, "no slot is free: giving back what came");
                metrics::counter!("lanes_suspended_total", "queue" => consumed.lane.queue.name())
                    .increment(1);
                if let Some(subscription) = consumed.subscription.take() {
                    subscription.cancel().await;
                }
            }
            consumed.lay = lies;
        }
    }

    /// A message of a suspended lane, unless one of a lane before it lies here. A lane that is empty is consumed
    /// again.
    async fn take(&mut self) -> Option<(Lane, Delivery)> {
        for consumed in &mut self.lanes {
            match &consumed.subscription {
                Some(subscription) if subscription.is_holding() => return None,
                Some(_) => {}
                None => {
                    let taken = self.broker.take(consumed.lane).await;
                    if let Some(delivery) = taken {
                        return Some((consumed.lane, delivery));
                    }
                    let again = self.broker.subscribe(consumed.lane, self.prefetch).await;
                    (consumed.subscription, consumed.lay) = (Some(again), false);
                }
            }
        }
        None
    }

    /// The next delivery of a lane that is consumed. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<(Lane, Delivery)> {
        let next = self.lanes.iter_mut().filter_map(|consumed| {
            let (lane, subscription) = (consumed.lane, consumed.subscription.as_mut()?);
            Some(Box::pin(async move { subscription.next().await.map(|delivery| (lane, delivery)) }))
        });
        let mut next: Vec<_> = next.collect();
        // In their order, so that the express lane comes first.
        std::future::poll_fn(|cx| {
            let ready = next.iter_mut().map(|next| next.as_mut().poll(cx)).find(Poll::is_ready);
            ready.unwrap_or(Poll::Pending)
        })
        .await
    }

    fn are_consuming(&self) -> bool {
        self.lanes
            .iter()
            .filter_map(|consumed| consumed.subscription.as_ref())
            .all(Subscription::is_consuming)
    }

    async fn cancel(self) {
        join_all(
            self.lanes.into_iter().filter_map(|consumed| consumed.subscription).map(Subscription::cancel),
        )
        .await;
    }
}

#[cfg(test)]
mod tests {
    use broker::RabbitMqSettings;
    use model::Envelope;
    use model::JobId;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    const EXPRESS: Lane = Lane { queue: Queue::CALLBACKS, express: true };
    const ORDINARY: Lane = Lane::ordinary(Queue::CALLBACKS);

    async fn process(prefix: &str) -> Broker {
        let url = std::env::var("TEST_AMQP_URL").expect("TEST_AMQP_URL: see scripts/test");
        let (queue_prefix, connection_name) = (prefix.to_owned(), prefix.to_owned());
        Broker::rabbitmq(RabbitMqSettings { url, queue_prefix, connection_name }).unwrap()
    }

    async fn published(broker: &Broker, lane: Lane) -> JobId {
        let envelope = Envelope {
            job: JobId::new(),
            kind: "send_email".into(),
            version: 1,
            traceparent: None,
            correlation_id: None,
        };
        until("it is published", async || broker.publish(lane, &envelope).await.is_ok()).await;
        envelope.job
    }

    async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
    }

    fn job(delivery: &Delivery) -> JobId {
        Envelope::parse(&delivery.body).unwrap().job
    }

    /// As a worker does that has no free slot, for as long as `meanwhile` takes.
    async fn without_a_slot<T>(lanes: &mut Lanes, meanwhile: impl Future<Output = T>) -> T {
        let busy = async {
            loop {
                lanes.give_back_what_lies().await;
                tokio::time::sleep(GRACE).await;
            }
        };
        tokio::select! {
            () = busy => unreachable!("is busy for ever"),
            done = meanwhile => done,
        }
    }

    #[tokio::test]
    #[ignore = "needs servers: scripts/test"]
    async fn what_a_busy_worker_was_sent_is_done_by_an_idle_one() {
        let prefix = format!("test-{}.", JobId::new());
        let (one, two) = (process(&prefix).await, process(&prefix).await);
        let mut busy = Lanes::subscribe(one.clone(), Queue::CALLBACKS, 2).await;
        until("it consumes", async || busy.are_consuming()).await;
        // All that there is goes to the busy one, which is alone.
        let sent = [published(&one, EXPRESS).await, published(&one, ORDINARY).await];
        until("both lie there", async || {
            busy.lanes.iter().all(|lane| lane.subscription.as_ref().is_some_and(Subscription::is_holding))
        })
        .await;
        let mut idle = Lanes::subscribe(two.clone(), Queue::CALLBACKS, 2).await;
        let taken = async {
            let mut taken = Vec::new();
            while taken.len() < 2 {
                let (_, delivery) = idle.next().await.unwrap();
                taken.push(job(&delivery));
                delivery.ack().await;
            }
            taken.sort();
            taken
        };
        let taken = tokio::time::timeout(PATIENCE, without_a_slot(&mut busy, taken)).await.unwrap();
        assert_eq!(taken, sent);
        idle.cancel().await;

        // Its next message comes when it has a slot, the express one first.
        let (ordinary, express) = (published(&one, ORDINARY).await, published(&one, EXPRESS).await);
        for expected in [express, ordinary] {
            let mut delivery = None;
            until("it takes one", async || {
                delivery = busy.take().await;
                delivery.is_some()
            })
            .await;
            let (_, delivery) = delivery.unwrap();
            assert_eq!(job(&delivery), expected);
            delivery.ack().await;
        }
        // When there is none left, the broker sends again.
        assert!(busy.take().await.is_none());
        until("it consumes", async || busy.are_consuming()).await;
        let last = published(&one, ORDINARY).await;
        let (_, delivery) = tokio::time::timeout(PATIENCE, busy.next()).await.unwrap().unwrap();
        assert_eq!(job(&delivery), last);
        delivery.ack().await;
        busy.cancel().await;
        one.close().await;
        two.close().await;
        delete_queues(&prefix).await;
    }

    async fn delete_queues(prefix: &str) {
        let api = std::env::var("TEST_RABBITMQ_API").expect("TEST_RABBITMQ_API: see scripts/test");
        let client = reqwest::Client::new();
        let lanes = Lane::all().map(|lane| lane.to_string());
        for queue in lanes.chain(["dead".into(), "submit".into()]) {
            client.delete(format!("{api}/api/queues/%2f/{prefix}{queue}")).send().await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_quarantine_has_one_consumer() {
        let lanes = Lanes::subscribe(Broker::in_process(), Queue::QUARANTINE, 1).await;
        let lanes: Vec<Lane> = lanes.lanes.iter().map(|consumed| consumed.lane).collect();
        assert_eq!(lanes, [Lane::ordinary(Queue::QUARANTINE)]);
    }
}
