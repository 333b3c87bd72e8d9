//! The relay beside a broker that is there, and one that is not.

use crate::jobs::queues;
use tokio_util::sync::CancellationToken;

use super::bench::{Bench, PATIENCE};
use super::promises;
use ::jobs::relay;
use broker::Broker;
use database::Db;
use model::JobId;
use model::job::JobState;
use model::{Envelope, Lane};

promises!(both:
    a_relay_without_a_broker_takes_nothing_and_leaves_what_it_was_given_to_others,
    what_found_no_room_in_the_hand_over_is_published_all_the_same,
    what_is_handed_over_at_the_end_without_a_broker_is_due_for_others,
);

const IMAGES: Lane = Lane::ordinary(queues::IMAGES);

/// A relay that runs.
struct Running {
    db: Db,
    broker: Broker,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(bench: &Bench, broker: Broker) -> Self {
        let (db, signals) = bench.another_process_with_a_relay();
        let stop = CancellationToken::new();
        let task = tokio::spawn(relay::run(db.clone(), broker.clone(), signals, stop.clone()));
        Self { db, broker, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.expect("the relay does not end").unwrap();
    }
}

async fn without_a_broker() -> Broker {
    let broker = Broker::in_process();
    broker.close().await;
    broker
}

async fn next(broker: &Broker) -> JobId {
    let mut subscription = broker.subscribe(IMAGES, 1).await;
    let delivery = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("nothing is published");
    let delivery = delivery.unwrap();
    let job = Envelope::parse(&delivery.body).unwrap().job;
    delivery.ack().await;
    job
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async { while !holds().await {} };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn a_relay_without_a_broker_takes_nothing_and_leaves_what_it_was_given_to_others(bench: &mut Bench) {
    let without = Running::start(bench, without_a_broker().await);
    let pending = bench.enqueue().await;
    bench.put(pending.id, JobState::Pending).await;
    bench.set(pending.id, "published = 0").await;
    let handed_over = bench.enqueue_in(&without.db).await;
    until("it is due for others", async || {
        bench.looked_at_again_in(handed_over.id).await <= Some(0)
            && bench.job(handed_over.id).await.published == 0
    })
    .await;
    assert_eq!(bench.state(pending.id).await, JobState::Pending, "it takes nothing");

    let with = Running::start(bench, Broker::in_process());
    let taken = [next(&with.broker).await, next(&with.broker).await];
    assert!(taken.contains(&pending.id) && taken.contains(&handed_over.id), "{taken:?}");
    with.stop().await;
    without.stop().await;
}

async fn what_found_no_room_in_the_hand_over_is_published_all_the_same(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    let (db, signals) = bench.another_process_with_a_relay();
    signals.dropped.add([message]);
    let broker = Broker::in_process();
    // The report of a new broker would publish it, too.
    broker.recreated().await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(relay::run(db, broker.clone(), signals, stop.clone()));
    assert_eq!(next(&broker).await, job.id);
    stop.cancel();
    task.await.unwrap();
}

async fn what_is_handed_over_at_the_end_without_a_broker_is_due_for_others(bench: &mut Bench) {
    let (db, signals) = bench.another_process_with_a_relay();
    let job = bench.enqueue_in(&db).await;
    let stop = CancellationToken::new();
    stop.cancel();
    relay::run(db, without_a_broker().await, signals, stop).await;
    assert!(bench.looked_at_again_in(job.id).await <= Some(0));
}
