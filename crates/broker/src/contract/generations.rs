//! An argument of the queues changes: programs of both generations run side by side, and nothing stays behind.

use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;

use crate::contract::server::Server;
use crate::contract::*;
use crate::rabbitmq::Pace;
use crate::topology::Topology;

/// As patient as a test.
const PACE: Pace = Pace {
    quiet: Duration::from_secs(2),
    look: Duration::from_millis(200),
    gone: Duration::from_millis(200),
};

/// A process of the next release, which has another delivery limit.
async fn next_release(server: &Server) -> Broker {
    let topology = Topology::of_the_next_generation(server.prefix());
    let broker = RabbitMq::start_with(server.settings(), topology, PACE, rabbitmq::CONNECT_TIMEOUT)
        .map(Broker::RabbitMq)
        .unwrap();
    eventually("connected", async || broker.connected()).await;
    broker
}

fn former(server: &Server) -> String {
    Topology::new(server.prefix()).lane(COPIES)
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_changed_argument_makes_a_new_queue_and_the_former_one_is_drained_and_deleted() {
    let server = Server::from_environment();
    let last = server.connected().await;
    let left: HashSet<JobId> = [published(&last, COPIES).await, published(&last, COPIES).await].into();
    last.close().await;

    let next = next_release(&server).await;
    let mut subscription = next.subscribe(COPIES, 10).await;
    let deliveries = [delivered(&mut subscription).await, delivered(&mut subscription).await];
    assert_eq!(deliveries.iter().map(job).collect::<HashSet<_>>(), left);
    let new = published(&next, COPIES).await;
    let delivery = delivered(&mut subscription).await;
    assert_eq!(job(&delivery), new);
    delivery.ack().await;
    for delivery in deliveries {
        assert_eq!(delivery.ack().await, Settled::Acked);
    }

    let queue = Topology::of_the_next_generation(server.prefix()).lane(COPIES);
    assert_ne!(queue, former(&server));
    let arguments = server.queue(&queue).await.unwrap()["arguments"]["x-delivery-limit"].clone();
    assert_eq!(arguments, crate::contract::topology::DELIVERY_LIMIT - 1, "the changed argument is in force");
    eventually("the former queue is gone", async || server.queue(&former(&server)).await.is_none()).await;
    let later = published(&next, COPIES).await;
    assert_eq!(job(&delivered(&mut subscription).await), later);
    next.close().await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn programs_of_the_last_release_go_on_with_the_former_queue_and_may_come_back() {
    let server = Server::from_environment();
    let (last, next) = (server.connected().await, next_release(&server).await);
    let mut of_last = last.subscribe(COPIES, 10).await;
    registered(&of_last).await;
    let mut of_next = [next.subscribe(COPIES, 10).await, next.subscribe(COPIES, 10).await];
    let new = published(&next, COPIES).await;
    let [one, other] = &mut of_next;
    let taken = tokio::select! { taken = delivered(one) => taken, taken = delivered(other) => taken };
    assert_eq!(job(&taken), new);
    taken.ack().await;
    assert!(nothing(&mut of_last).await, "a new message goes to the new queue only");

    // The new consumers lose their interest in the quiet queue, the old one has it on.
    tokio::time::timeout(PATIENCE, alone_at(&server)).await.unwrap();
    let old = published(&last, COPIES).await;
    let delivery = delivered(&mut of_last).await;
    assert_eq!(job(&delivery), old);
    delivery.ack().await;

    of_last.cancel().await;
    eventually("the former queue is gone", async || server.queue(&former(&server)).await.is_none()).await;
    // A web program of the last release is still there: it finds its queue missing, and makes it again.
    eventually("it publishes again", async || last.publish(COPIES, &envelope()).await.is_ok()).await;
    let [one, other] = &mut of_next;
    let late = tokio::select! { taken = delivered(one) => taken, taken = delivered(other) => taken };
    late.ack().await;
    last.close().await;
    next.close().await;
}

/// Until one consumer is left at the former queue.
async fn alone_at(server: &Server) {
    let connection = server.connection().await;
    eventually("one consumer is left", async || {
        let channel = connection.create_channel().await.unwrap();
        let passive = lapin::options::QueueDeclareOptions { passive: true, ..Default::default() };
        let queue = channel.queue_declare(former(server).into(), passive, Default::default()).await.unwrap();
        queue.consumer_count() == 1
    })
    .await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn submissions_to_the_former_queue_are_taken_for_as_long_as_it_is_there() {
    let server = Server::from_environment();
    server.connected().await.close().await;
    let next = next_release(&server).await;
    let mut submissions = next.submissions(10).unwrap();
    let (former, present) =
        (Topology::new(server.prefix()).submit(), Topology::of_the_next_generation(server.prefix()).submit());
    // Quiet for longer than a queue of jobs may be.
    let two_looks = PACE.quiet + PACE.look * 5;
    assert!(timeout(two_looks, submissions.next()).await.is_err());
    let channel = server.connection().await.create_channel().await.unwrap();
    for queue in [&former, &present] {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let body = queue.as_bytes();
        channel.basic_publish("".into(), queue.as_str().into(), options, body, properties).await.unwrap();
    }
    let mut taken = HashSet::new();
    for _ in 0..2 {
        let delivery = delivered(&mut submissions).await;
        taken.insert(String::from_utf8(delivery.body.clone()).unwrap());
        delivery.ack().await;
    }
    assert_eq!(taken, HashSet::from([former.clone(), present]));
    assert!(server.queue(&former).await.is_some(), "whoever knows its name can go on");
    next.close().await;
}
