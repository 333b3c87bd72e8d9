//! What every broker does: the same tests against each. What only a server can do is in [`server`]
//! (one RabbitMQ), [`generations`] (what it held before an argument changed), [`limits`] (where its versions
//! differ) and [`faults`] (a RabbitMQ that is stopped and killed).

mod faults;
mod generations;
mod limits;
mod server;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use server::Server;
use tokio::time::timeout;

use crate::*;
use model::JobId;
use model::{Queue, QueueInfo};

const COPIES: Lane = Lane::ordinary(Queue::new("copies"));
const LETTERS: Lane = Lane::ordinary(Queue::new("letters"));
const SUMS: Lane = Lane::ordinary(Queue::new("sums"));

const QUEUES: &[QueueInfo] = &[
    QueueInfo::computing(COPIES.queue),
    QueueInfo::waiting(LETTERS.queue),
    QueueInfo::one_at_a_time(SUMS.queue),
];

/// Far longer than anything here takes, far shorter than anybody's patience.
const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a delivery that should not come to come.
const QUIET: Duration = Duration::from_millis(300);

fn envelope() -> Envelope {
    Envelope {
        job: JobId::new(),
        kind: "copy".into(),
        version: 1,
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        correlation_id: Some("c-1".into()),
    }
}

fn job(delivery: &Delivery) -> JobId {
    job_of(&delivery.body)
}

fn job_of(body: &[u8]) -> JobId {
    Envelope::parse(body).unwrap().job
}

async fn delivered(subscription: &mut Subscription) -> Delivery {
    timeout(PATIENCE, subscription.next())
        .await
        .expect("nothing was delivered")
        .expect("the broker is closed")
}

async fn nothing(subscription: &mut Subscription) -> bool {
    timeout(QUIET, subscription.next()).await.is_err()
}

async fn published(broker: &Broker, lane: Lane) -> JobId {
    let envelope = envelope();
    broker.publish(lane, &envelope).await.unwrap();
    envelope.job
}

/// Waits for something that the broker does in its own time.
async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

async fn within(patience: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < patience, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn registered(subscription: &Subscription) {
    eventually("the consumer is registered", async || subscription.is_consuming()).await;
}

async fn a_message_is_delivered_until_it_is_acked(broker: &Broker) {
    let mut first = broker.subscribe(COPIES, 10).await;
    let id = published(broker, COPIES).await;
    let delivery = delivered(&mut first).await;
    assert_eq!((job(&delivery), delivery.redelivered), (id, false));
    assert_eq!(delivery.ack().await, Settled::Acked);
    first.cancel().await;

    let mut second = broker.subscribe(COPIES, 10).await;
    registered(&second).await;
    assert!(nothing(&mut second).await);
    assert_eq!(broker.depth(COPIES).await, Some(0));
}

async fn queues_are_separate(broker: &Broker) {
    let mut sums = broker.subscribe(SUMS, 10).await;
    let letter = published(broker, LETTERS).await;
    assert!(nothing(&mut sums).await);
    let mut letters = broker.subscribe(LETTERS, 10).await;
    assert_eq!(job(&delivered(&mut letters).await), letter);
}

async fn the_express_lane_of_a_queue_is_a_line_of_its_own(broker: &Broker) {
    let [express, ordinary] = SUMS.queue.lanes();
    let mut first = broker.subscribe(express, 10).await;
    let slow = published(broker, ordinary).await;
    assert!(nothing(&mut first).await);
    let fast = published(broker, express).await;
    assert_eq!(job(&delivered(&mut first).await), fast);
    let mut other = broker.subscribe(ordinary, 10).await;
    assert_eq!(job(&delivered(&mut other).await), slow);
}

async fn a_queue_that_is_named_while_the_program_runs_is_there_when_it_is_used(broker: &Broker) {
    let lane = Lane::ordinary(Queue::named("named-later").unwrap());
    let mut subscription = broker.subscribe(lane, 1).await;
    registered(&subscription).await;
    let id = published(broker, lane).await;
    let delivery = delivered(&mut subscription).await;
    assert_eq!(job(&delivery), id);
    delivery.ack().await;
    let other = Lane::ordinary(Queue::named("published-first").unwrap());
    eventually("it takes messages", async || broker.publish(other, &envelope()).await.is_ok()).await;
    assert_eq!(broker.depth(other).await, Some(1));
}

async fn what_is_unacked_is_delivered_again_once_its_channel_is_gone(broker: &Broker) {
    let mut first = broker.subscribe(COPIES, 10).await;
    let forgotten = published(broker, COPIES).await;
    let acked = published(broker, COPIES).await;
    assert_eq!(job(&delivered(&mut first).await), forgotten);
    let late = delivered(&mut first).await;

    let mut second = broker.subscribe(COPIES, 10).await;
    assert!(nothing(&mut second).await, "a dropped delivery stays unacked while its channel lives");
    first.cancel().await;
    assert!(nothing(&mut second).await, "one delivery is still out");
    assert_eq!(job(&late), acked);
    assert_eq!(late.ack().await, Settled::Acked, "acks work after the cancel");

    let again = delivered(&mut second).await;
    assert_eq!((job(&again), again.redelivered), (forgotten, true));
    assert!(nothing(&mut second).await);
}

async fn the_prefetch_bounds_what_is_unacked(broker: &Broker) {
    let mut subscription = broker.subscribe(COPIES, 2).await;
    for _ in 0..3 {
        published(broker, COPIES).await;
    }
    let first = delivered(&mut subscription).await;
    let _second = delivered(&mut subscription).await;
    assert!(nothing(&mut subscription).await);
    first.ack().await;
    delivered(&mut subscription).await;
}

async fn what_is_given_back_is_delivered_to_whoever_can_take_it(broker: &Broker) {
    let mut busy = broker.subscribe(COPIES, 2).await;
    let (first, second) = (published(broker, COPIES).await, published(broker, COPIES).await);
    let delivery = delivered(&mut busy).await;
    assert_eq!(job(&delivery), first);
    let kept = delivered(&mut busy).await;
    assert_eq!(job(&kept), second);
    busy.cancel().await;
    let mut idle = broker.subscribe(COPIES, 2).await;
    registered(&idle).await;
    assert_eq!(delivery.give_back().await, Settled::GivenBack);
    let again = delivered(&mut idle).await;
    assert_eq!((job(&again), again.redelivered), (first, true));
    assert_eq!(kept.ack().await, Settled::Acked, "its neighbour is not given back");
    again.ack().await;
    assert!(nothing(&mut idle).await);
}

async fn a_cancel_gives_back_what_was_not_handed_out(broker: &Broker) {
    let mut leaving = broker.subscribe(COPIES, 10).await;
    registered(&leaving).await;
    let mut all = HashSet::new();
    for _ in 0..5 {
        all.insert(published(broker, COPIES).await);
    }
    let handed_out = delivered(&mut leaving).await;
    all.remove(&job(&handed_out));
    leaving.cancel().await;
    let mut staying = broker.subscribe(COPIES, 10).await;
    let mut taken = HashSet::new();
    for _ in 0..4 {
        let delivery = delivered(&mut staying).await;
        taken.insert(job(&delivery));
        delivery.ack().await;
    }
    assert_eq!(taken, all);
    assert_eq!(handed_out.ack().await, Settled::Acked);
}

async fn competing_consumers_share_the_messages(broker: &Broker) {
    let mut consumers = Vec::new();
    for _ in 0..3 {
        let consumer = broker.subscribe(COPIES, 1).await;
        registered(&consumer).await;
        consumers.push(consumer);
    }
    let published: HashSet<_> =
        join_all((0..30).map(|_| published(broker, COPIES))).await.into_iter().collect();
    assert_eq!(published.len(), 30);
    let mut seen = HashSet::new();
    while seen.len() < 30 {
        // Nobody can take more than one at a time, so each gets its share.
        let held = join_all(consumers.iter_mut().map(|consumer| timeout(PATIENCE, consumer.next()))).await;
        for delivery in held.into_iter().map(|delivery| delivery.unwrap().unwrap()) {
            assert!(seen.insert(job(&delivery)), "delivered twice");
            delivery.ack().await;
        }
    }
    assert_eq!(seen, published);
}

async fn two_thousand_in_flight_are_all_confirmed(broker: &Broker) {
    let envelopes: Vec<_> = (0..2000).map(|_| envelope()).collect();
    let start = Instant::now();
    let results = join_all(envelopes.iter().map(|envelope| broker.publish(COPIES, envelope))).await;
    println!("2000 published in {:?}", start.elapsed());
    assert!(results.iter().all(Result::is_ok), "{:?}", results.iter().find(|result| result.is_err()));
    eventually("all are in the queue", async || broker.depth(COPIES).await == Some(2000)).await;
}

async fn hints_reach_every_listener(broker: &Broker) {
    let mut listeners = [broker.status_hints(), broker.status_hints()];
    for listener in &mut listeners {
        let registered = timeout(PATIENCE, listener.next()).await.unwrap();
        assert_eq!(registered, Some(HintEvent::Missed));
    }
    let hint = StatusHint { job: JobId::new(), version: 3 };
    eventually("connected", async || broker.connected()).await;
    broker.publish_status(hint).await;
    for listener in &mut listeners {
        assert_eq!(timeout(PATIENCE, listener.next()).await.unwrap(), Some(HintEvent::Changed(hint)));
    }
}

async fn closing_ends_every_stream_and_publishing_fails(broker: &Broker) {
    let mut subscription = broker.subscribe(SUMS, 1).await;
    registered(&subscription).await;
    let mut hints = broker.status_hints();
    assert_eq!(timeout(PATIENCE, hints.next()).await.unwrap(), Some(HintEvent::Missed));
    timeout(PATIENCE, broker.close()).await.unwrap();
    assert!(!broker.connected() && !broker.can_publish() && !subscription.is_consuming());
    assert!(broker.take(SUMS).await.is_none());
    assert!(timeout(PATIENCE, subscription.next()).await.unwrap().is_none());
    assert_eq!(timeout(PATIENCE, hints.next()).await.unwrap(), None);
    assert_eq!(broker.publish(SUMS, &envelope()).await, Err(PublishError::NotConnected));
}

async fn what_is_new_is_reported_once(broker: &Broker) {
    let mut expected: Vec<Recreated> = match broker {
        Broker::RabbitMq(_) => Lane::all().map(Recreated::Lane).collect(),
        Broker::InProcess(_) => vec![Recreated::Everything],
    };
    let mut new = Vec::new();
    for _ in &expected {
        new.push(timeout(PATIENCE, broker.recreated()).await.unwrap());
    }
    new.sort();
    expected.sort();
    assert_eq!(new, expected);
    assert!(timeout(QUIET, broker.recreated()).await.is_err());
}

async fn a_message_is_taken_without_a_subscription_if_there_is_one(broker: &Broker) {
    assert!(broker.take(COPIES).await.is_none());
    let (first, second) = (published(broker, COPIES).await, published(broker, COPIES).await);
    let one = broker.take(COPIES).await.unwrap();
    let other = broker.take(COPIES).await.unwrap();
    assert_eq!((job(&one), job(&other)), (first, second));
    assert!(broker.take(COPIES).await.is_none());
    assert_eq!(one.ack().await, Settled::Acked);
    assert_eq!(other.give_back().await, Settled::GivenBack);
    let mut again = broker.subscribe(COPIES, 1).await;
    assert_eq!(job(&delivered(&mut again).await), second);
    assert!(nothing(&mut again).await);
}

macro_rules! contract {
    ($($test:ident),* $(,)?) => {
        mod in_process_broker {
            use super::*;
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(&Broker::in_process()).await;
                }
            )*
        }
        mod rabbitmq_broker {
            use super::*;
            $(
                #[tokio::test]
                #[ignore = "needs servers: scripts/test"]
                async fn $test() {
                    let server = Server::from_environment();
                    super::$test(&server.connected().await).await;
                }
            )*
        }
    };
}

contract!(
    a_message_is_delivered_until_it_is_acked,
    queues_are_separate,
    the_express_lane_of_a_queue_is_a_line_of_its_own,
    a_queue_that_is_named_while_the_program_runs_is_there_when_it_is_used,
    what_is_unacked_is_delivered_again_once_its_channel_is_gone,
    the_prefetch_bounds_what_is_unacked,
    what_is_given_back_is_delivered_to_whoever_can_take_it,
    a_cancel_gives_back_what_was_not_handed_out,
    competing_consumers_share_the_messages,
    two_thousand_in_flight_are_all_confirmed,
    hints_reach_every_listener,
    closing_ends_every_stream_and_publishing_fails,
    what_is_new_is_reported_once,
    a_message_is_taken_without_a_subscription_if_there_is_one,
);

#[tokio::test]
async fn bytes_that_are_no_envelope_arrive_as_they_are() {
    let in_process = InProcess::default();
    in_process.push(LETTERS, b"\xff\x00 not json".to_vec()).unwrap();
    let mut subscription = Broker::InProcess(in_process).subscribe(LETTERS, 1).await;
    assert_eq!(delivered(&mut subscription).await.body, b"\xff\x00 not json");
}
