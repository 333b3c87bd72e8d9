//! Makes the broker have what [`topology`](crate::messaging::topology) says, and finds out what it had.

use std::time::Duration;

use futures_util::future::join_all;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ErrorKind, ExchangeKind};
use tokio::time::timeout;
use tracing::{info, warn};

use super::{ANSWER_TIMEOUT, Context};
use crate::messaging::topology::{Argument, QueueSpec};

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
/// What can't be declared is logged and left: a queue that an older version or an operator made with
/// other arguments is as good.
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
    match within(ANSWER_TIMEOUT, queue(connection, spec)).await {
        Ok(Found::Existing) => {}
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
pub(super) async fn depth(connection: &Connection, name: String) -> Option<u64> {
    let channel = connection.create_channel().await.ok()?;
    let queue = channel.queue_declare(name.into(), PASSIVE, FieldTable::default()).await.ok()?;
    Some(queue.message_count().into())
}

enum Found {
    Existing,
    Created,
}

async fn exchange(connection: &Connection, name: &str) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let channel = connection.create_channel().await?;
    channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default()).await
}

/// Asks first whether the queue is there: declaring alone does not tell.
async fn queue(connection: &Connection, spec: &QueueSpec) -> lapin::Result<Found> {
    let name = || spec.name.as_str().into();
    let asking = connection.create_channel().await?;
    let found = match asking.queue_declare(name(), PASSIVE, FieldTable::default()).await {
        Ok(_) => Found::Existing,
        Err(error) if is_not_found(&error) => Found::Created,
        Err(error) => return Err(error),
    };
    let declaring = connection.create_channel().await?;
    declaring.queue_declare(name(), DURABLE, arguments(spec)).await?;
    Ok(found)
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

fn is_not_found(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)
}

/// A broker that does not answer is an error like any other.
pub(super) async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = lapin::Result<T>>,
) -> lapin::Result<T> {
    timeout(limit, asking).await.unwrap_or_else(|elapsed| Err(std::io::Error::from(elapsed).into()))
}
