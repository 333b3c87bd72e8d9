//! Listening to status hints: each process has a queue of its own, which vanishes with its connection.

use std::sync::Arc;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, Consumer};
use tokio::sync::broadcast;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::hints::{CAPACITY, HintEvent, StatusHints};
use crate::rabbitmq::declare::within;
use crate::rabbitmq::link::Link;
use crate::rabbitmq::{ANSWER_TIMEOUT, Context};
use crate::topology::HINTS_KEPT;

/// Starts to listen; ends when the stream is dropped or the broker closed.
pub(super) fn listen(context: &Arc<Context>, link: Link) -> StatusHints {
    let (sender, receiver) = broadcast::channel(CAPACITY);
    let exchange = context.topology.events();
    let task = run(context.clone(), link, exchange, sender);
    context.tasks.spawn(task);
    StatusHints::unregistered(receiver)
}

async fn run(context: Arc<Context>, mut link: Link, exchange: String, hints: broadcast::Sender<HintEvent>) {
    let mut backoff = crate::rabbitmq::backoff();
    let listening = async {
        while let Some(connection) = link.wait().await {
            match within(ANSWER_TIMEOUT, register(&connection, &exchange)).await {
                Ok((_channel, consumer)) => {
                    backoff.reset();
                    let _ = hints.send(HintEvent::Missed);
                    hand_on(consumer, &hints).await;
                }
                Err(error) => {
                    warn!(%exchange, %error, "can't listen to status hints");
                    // Perhaps the exchange is missing.
                    context.missing.notify_one();
                }
            }
            sleep(backoff.pause()).await;
        }
    };
    tokio::select! {
        () = hints.closed() => {}
        () = listening => {}
    }
}

async fn register(connection: &Connection, exchange: &str) -> lapin::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    let own = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(HINTS_KEPT));
    let queue = channel.queue_declare("".into(), own, arguments).await?.name().clone();
    let every = "#".into();
    channel
        .queue_bind(queue.clone(), exchange.into(), every, QueueBindOptions::default(), FieldTable::default())
        .await?;
    let unacked = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consumer = channel.basic_consume(queue, "".into(), unacked, FieldTable::default()).await?;
    Ok((channel, consumer))
}

async fn hand_on(mut consumer: Consumer, hints: &broadcast::Sender<HintEvent>) {
    while let Some(Ok(message)) = consumer.next().await {
        match serde_json::from_slice(&message.data) {
            // An error only says that the reader is gone, which the caller sees as well.
            Ok(hint) => drop(hints.send(HintEvent::Changed(hint))),
            Err(error) => debug!(%error, "not a status hint"),
        }
    }
}
