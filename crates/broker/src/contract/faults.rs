//! A RabbitMQ that goes down, politely and not: what was confirmed is still delivered.
//!
//! `TEST_FAULT_RABBITMQ_CTL` is a program that takes `stop`, `start` or `kill` and returns when it is
//! done, for the broker at `TEST_FAULT_AMQP_URL`, which no other test uses.

use std::process::Stdio;
use std::sync::Mutex;

use crate::contract::server::{Server, variable};
use crate::contract::*;

/// The tests of this module share one broker.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A broker that restarts on a busy machine takes its time: after a crash it reads its logs again and
/// elects a leader for each queue, and answers nobody meanwhile.
const RESTART: Duration = Duration::from_secs(120);

async fn control(verb: &str) {
    let program = variable("TEST_FAULT_RABBITMQ_CTL");
    let mut command = tokio::process::Command::new(program);
    // A started server must not keep the test's own output open.
    command.arg(verb).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = timeout(RESTART, command.status()).await.unwrap().unwrap();
    assert!(status.success(), "{verb}: {status}");
}

/// Publishes in batches until told otherwise, and remembers what was confirmed.
async fn publish_all_the_time(broker: &Broker, confirmed: &Mutex<HashSet<JobId>>) {
    loop {
        let envelopes: Vec<_> = (0..20).map(|_| envelope()).collect();
        let start = Instant::now();
        let results = join_all(envelopes.iter().map(|one| broker.publish(COPIES, one))).await;
        assert!(start.elapsed() < rabbitmq::PUBLISH_TIMEOUT + Duration::from_secs(1));
        let sent = std::iter::zip(&envelopes, &results).filter(|(_, result)| result.is_ok());
        confirmed.lock().unwrap().extend(sent.map(|(envelope, _)| envelope.job));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn consume_all_the_time(subscription: &mut Subscription, seen: &Mutex<HashSet<JobId>>) {
    while let Some(delivery) = subscription.next().await {
        // Before the ack: this future may be dropped while it waits.
        seen.lock().unwrap().insert(job(&delivery));
        delivery.ack().await;
    }
}

/// RabbitMQ 3.10 writes down which quorum queues it has some seconds after it made them. One that is killed
/// before that finds them without a leader, for minutes or for ever. An orderly stop writes it down.
async fn let_it_write_down_its_queues(broker: &Broker) {
    control("stop").await;
    control("start").await;
    within(RESTART, "connected again", async || broker.connected()).await;
}

async fn nothing_confirmed_is_lost_when_the_broker_goes_down(verb: &str) {
    let _turn = TURN.lock().await;
    let server = Server::new(variable("TEST_FAULT_AMQP_URL"), None);
    let broker = server.connected().await;
    if verb == "kill" {
        let_it_write_down_its_queues(&broker).await;
    }
    let mut subscription = broker.subscribe(COPIES, 50).await;
    let mut hints = broker.status_hints();
    assert_eq!(timeout(PATIENCE, hints.next()).await.unwrap(), Some(HintEvent::Missed));
    registered(&subscription).await;
    let (confirmed, seen) = (Mutex::default(), Mutex::default());
    let count = |ids: &Mutex<HashSet<JobId>>| ids.lock().unwrap().len();

    let outage = async {
        within(RESTART, "work flows", async || count(&seen) > 100).await;
        control(verb).await;
        eventually("the loss is seen", async || !broker.connected()).await;
        assert!(broker.publish(COPIES, &envelope()).await.is_err());
        let before = count(&confirmed);
        control("start").await;
        within(RESTART, "work flows again", async || count(&confirmed) > before + 100).await;
    };
    tokio::select! {
        () = outage => {}
        () = publish_all_the_time(&broker, &confirmed) => unreachable!("publishes for ever"),
        () = consume_all_the_time(&mut subscription, &seen) => panic!("the stream ended"),
    }
    let all_seen = within(RESTART, "every confirmed message was seen", async || {
        confirmed.lock().unwrap().is_subset(&seen.lock().unwrap())
    });
    tokio::select! {
        () = all_seen => {}
        () = consume_all_the_time(&mut subscription, &seen) => panic!("the stream ended"),
    }
    println!("{verb}: {} confirmed, {} seen", count(&confirmed), count(&seen));
    within(RESTART, "the consumer is registered", async || subscription.is_consuming()).await;
    assert_eq!(timeout(RESTART, hints.next()).await.unwrap(), Some(HintEvent::Missed));
    broker.close().await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn nothing_confirmed_is_lost_when_the_broker_is_stopped_and_started() {
    nothing_confirmed_is_lost_when_the_broker_goes_down("stop").await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed_and_started() {
    nothing_confirmed_is_lost_when_the_broker_goes_down("kill").await;
}
