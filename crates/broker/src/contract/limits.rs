//! How often a message may come back. RabbitMQ 3.10 and 4 differ there when nothing is set: the one gives it out for
//! ever, the other drops it after twenty times.

use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use serde_json::{Value, json};

use crate::contract::server::Server;
use crate::contract::*;
use crate::topology::{Argument, DELIVERY_LIMIT, Topology};

/// More than the twenty of RabbitMQ 4.
const LOOKS: usize = 30;

/// Takes what is in a queue and gives it back, again and again; says how often there was something.
async fn given_back(channel: &Channel, queue: &str) -> usize {
    for look in 0..LOOKS {
        let mut taken = None;
        // What was given back may need a moment.
        for _ in 0..20 {
            taken = channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap();
            if taken.is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let Some(message) = taken else { return look };
        assert!(message.reject(BasicRejectOptions { requeue: true }).await.unwrap());
    }
    LOOKS
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_message_that_comes_back_again_and_again_stays_in_its_queue_on_every_version() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    let topology = Topology::new(server.prefix());
    let channel = server.connection().await.create_channel().await.unwrap();
    let id = published(&broker, LETTERS).await;
    assert_eq!(given_back(&channel, &topology.lane(LETTERS)).await, LOOKS);
    let mut subscription = broker.subscribe(LETTERS, 1).await;
    assert_eq!(job(&delivered(&mut subscription).await), id);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn without_a_limit_of_ours_rabbitmq_4_drops_what_came_back_twenty_times_and_3_never_does() {
    let server = Server::from_environment();
    let channel = server.connection().await.create_channel().await.unwrap();
    let queue = format!("{}unlimited", server.prefix());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare(queue.as_str().into(), durable, arguments).await.unwrap();
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue.as_str().into(), options, b"x", Default::default()).await.unwrap();
    let seen = given_back(&channel, &queue).await;
    channel.queue_delete(queue.as_str().into(), Default::default()).await.unwrap();
    let expected = if server.major_version().await >= 4 { 21 } else { LOOKS };
    assert_eq!(seen, expected);
}

/// What the server itself says of each queue: an argument that it did not understand would not be there, and a policy
/// of an operator's, or a default of a later version, could be stronger.
#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn every_queue_is_what_it_was_meant_to_be_on_every_version() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    for spec in Topology::new(server.prefix()).queues(Lane::all()) {
        let queue = server.queue(&spec.name).await.unwrap_or_else(|| panic!("{}: there is none", spec.name));
        let told = (&queue["type"], &queue["durable"], &queue["auto_delete"], &queue["exclusive"]);
        assert_eq!(told, (&json!("quorum"), &json!(true), &json!(false), &json!(false)), "{queue}");
        let meant: serde_json::Map<_, _> = spec.arguments.iter().map(in_json).collect();
        assert_eq!(queue["arguments"], Value::Object(meant), "{}", spec.name);

        let is_quarantine = spec.holds.is_some_and(|lane| lane.queue == Queue::QUARANTINE);
        assert_eq!(queue["arguments"]["x-single-active-consumer"] == true, is_quarantine, "{queue}");
        let is_work = spec.name != Topology::new(server.prefix()).dead();
        assert_eq!(delivery_limit(&queue), is_work.then_some(DELIVERY_LIMIT), "{queue}");
        assert_eq!(queue["arguments"]["x-overflow"] == "reject-publish", is_work, "{queue}");
    }
    broker.close().await;
}

fn in_json((name, value): &(&str, Argument)) -> (String, Value) {
    let value = match value {
        Argument::Text(text) => json!(text),
        Argument::Number(number) => json!(number),
        Argument::Flag(flag) => json!(flag),
    };
    ((*name).to_owned(), value)
}

/// The limit that is in force, of all that the management API may tell: the least of what the queue and the policies
/// say, and what a later version says of itself. `None`: the server's own, which differs.
fn delivery_limit(queue: &Value) -> Option<i64> {
    let argued =
        [&queue["arguments"]["x-delivery-limit"], &queue["effective_policy_definition"]["delivery-limit"]];
    let argued = argued.into_iter().filter_map(Value::as_i64).min()?;
    let told = queue["delivery_limit"].as_i64();
    Some(told.map_or(argued, |told| told.min(argued)))
}

/// Two workers consume the quarantine, and one of them has everything.
#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn the_quarantine_has_one_active_consumer_on_every_version() {
    const QUARANTINE: Lane = Lane::ordinary(Queue::QUARANTINE);
    let server = Server::from_environment();
    let (one, other) = (server.connected().await, server.connected().await);
    let mut first = one.subscribe(QUARANTINE, 1).await;
    registered(&first).await;
    let mut second = other.subscribe(QUARANTINE, 1).await;
    registered(&second).await;
    let jobs = [published(&one, QUARANTINE).await, published(&one, QUARANTINE).await];
    let held = delivered(&mut first).await;
    assert_eq!(job(&held), jobs[0]);
    assert!(nothing(&mut second).await, "its turn has not come");
    held.ack().await;
    let held = delivered(&mut first).await;
    assert_eq!(job(&held), jobs[1]);
    held.ack().await;
    first.cancel().await;
    let next = published(&one, QUARANTINE).await;
    assert_eq!(job(&delivered(&mut second).await), next, "now it has");
}
