//! Makes the broker have what [`topology`](crate::topology) says, and finds out what it had.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ErrorKind, ExchangeKind};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::rabbitmq::{ANSWER_TIMEOUT, Context};
use crate::topology::{Argument, QueueSpec};

pub(super) const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};
pub(super) const PASSIVE: QueueDeclareOptions = QueueDeclareOptions { passive: true, ..DURABLE };

/// Declares everything, each thing on a channel of its own (an error closes the channel) and all at
/// once: one queue that has lost its majority must not keep the others waiting.
///
/// What can't be declared is logged and left: a queue that an operator made with other arguments is as good.
/// (This program's own arguments change with the queue's name, see [`topology`](crate::topology).)
pub(super) async fn all(context: &Context, connection: &Connection) {
    let _one_at_a_time = context.declaring.lock().await;
    let queues = context.topology.queues(context.wanted());
    let queues = join_all(queues.iter().map(|spec| queue_or_warn(context, connection, spec)));
    tokio::join!(exchange_or_warn(context, connection), queues);
}

async fn exchange_or_warn(context: &Context, connection: &Connection) {
    let events = context.topology.events();
    if let Err(error) = within(ANSWER_TIMEOUT, exchange(connection, &events)).await {
        warn!(exchange = %events, %error, "can't declare the exchange; using what is there");
    }
}

async fn queue_or_warn(context: &Context, connection: &Connection, spec: &QueueSpec) {
    let found = within(ANSWER_TIMEOUT, queue(connection, spec)).await;
    let differs = if let Ok(Found::Other(_)) = found { 1.0 } else { 0.0 };
    metrics::gauge!("queue_arguments_differ", "queue" => spec.name.clone()).set(differs);
    match found {
        Ok(Found::Existing) => {}
        Ok(Found::Other(difference)) => warn!(
            queue = %spec.name,
            difference,
            "the queue has other arguments than this program gives it; using it as it is"
        ),
        Ok(Found::Created) => {
            info!(queue = %spec.name, "created the queue");
            if let Some(lane) = spec.holds {
                context.recreated.add(lane);
            }
        }
        Err(error) => warn!(queue = %spec.name, %error, "can't declare the queue; using what is there"),
    }
}

/// How many messages are ready in a queue, if it exists.
pub(super) async fn depth(connection: &Connection, name: &str) -> Option<u64> {
    Some(find(connection, name).await.ok()??.messages)
}

/// What a queue is like now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Existing {
    /// Those that are ready.
    pub(super) messages: u64,
    pub(super) consumers: u32,
}

/// Looks whether a queue exists.
pub(super) async fn find(connection: &Connection, name: &str) -> lapin::Result<Option<Existing>> {
    let channel = connection.create_channel().await?;
    match channel.queue_declare(name.into(), PASSIVE, FieldTable::default()).await {
        Ok(queue) => {
            Ok(Some(Existing { messages: queue.message_count().into(), consumers: queue.consumer_count() }))
        }
        Err(error) if error_kind(&error) == Some(AMQPSoftError::NOTFOUND) => Ok(None),
        Err(error) => Err(error),
    }
}

enum Found {
    Existing,
    Created,
    /// With other arguments; the broker names the first one that differs.
    Other(String),
}

async fn exchange(connection: &Connection, name: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let channel = connection.create_channel().await?;
    channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// Asks first whether the queue is there: declaring alone does not tell.
async fn queue(connection: &Connection, spec: &QueueSpec) -> lapin::Result<Found> {
    let found = match find(connection, &spec.name).await? {
        Some(_) => Found::Existing,
        None => Found::Created,
    };
    let declaring = connection.create_channel().await?;
    match declaring.queue_declare(spec.name.as_str().into(), DURABLE, arguments(spec)).await {
        Ok(_) => Ok(found),
        Err(error) if error_kind(&error) == Some(AMQPSoftError::PRECONDITIONFAILED) => {
            Ok(Found::Other(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn arguments(spec: &QueueSpec) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in &spec.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
            Argument::Flag(flag) => AMQPValue::Boolean(*flag),
        };
        table.insert((*name).into(), value);
    }
    table
}

pub(super) fn error_kind(error: &lapin::Error) -> Option<AMQPSoftError> {
    let ErrorKind::ProtocolError(error) = error.kind() else { return None };
    match error.kind() {
        AMQPErrorKind::Soft(kind) => Some(kind.clone()),
        AMQPErrorKind::Hard(_) => None,
    }
}

/// A broker that does not answer is an error like any other.
pub(super) async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = lapin::Result<T>>,
) -> lapin::Result<T> {
    timeout(limit, asking).await.unwrap_or_else(|elapsed| Err(std::io::Error::from(elapsed).into()))
}

#[cfg(test)]
mod tests {
    use lapin::ConnectionProperties;

    use super::*;
    use crate::topology::Topology;
    use model::{Lane, Queue};

    #[tokio::test]
    #[ignore = "needs servers: scripts/test"]
    async fn a_queue_with_other_arguments_is_found_out_and_the_argument_is_named() {
        let url = std::env::var("TEST_AMQP_URL").expect("TEST_AMQP_URL: see scripts/test");
        let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
        let prefix = format!("test-{}.", uuid::Uuid::now_v7());
        let mut specs = Topology::new(prefix).queues([Lane::ordinary(Queue::CALLBACKS)]);
        let mut spec = specs.pop().unwrap();
        assert!(matches!(queue(&connection, &spec).await.unwrap(), Found::Created));
        assert!(matches!(queue(&connection, &spec).await.unwrap(), Found::Existing));
        for (name, value) in &mut spec.arguments {
            if *name == "x-delivery-limit" {
                *value = Argument::Number(7);
            }
        }
        let found = queue(&connection, &spec).await.unwrap();
        let Found::Other(difference) = found else { panic!("it was declared") };
        assert!(difference.contains("x-delivery-limit") && difference.contains('7'), "{difference}");
        let channel = connection.create_channel().await.unwrap();
        channel.queue_delete(spec.name.into(), Default::default()).await.unwrap();
    }
}
