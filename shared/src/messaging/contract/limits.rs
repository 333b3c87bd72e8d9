//! How often a message may come back. RabbitMQ 3.10 and 4 differ there when nothing is set: the one gives it out for
//! ever, the other drops it after twenty times.

use lapin::Channel;
use lapin::options::{BasicGetOptions, BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::server::Server;
use super::*;
use crate::messaging::topology::Topology;

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
    let id = published(&broker, ORDERS).await;
    assert_eq!(given_back(&channel, &topology.lane(ORDERS)).await, LOOKS);
    let mut subscription = broker.subscribe(ORDERS, 1).await;
    assert_eq!(job(&delivered(&mut subscription).await), id);
    server.clean_up().await;
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
