//! Consuming a queue: a task that registers the consumer again and again, and hands on what arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;

use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, Consumer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::backoff::Backoff;
use super::declare::within;
use super::link::Link;
use super::{ANSWER_TIMEOUT, Context};
use crate::messaging::delivery::{self, Delivery, Properties, Settled};

/// A consumer of one queue. Its task works also while nobody asks for the next delivery, so that a
/// busy worker stays registered.
pub struct Subscription {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    consuming: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// How to ack a delivery.
#[derive(Debug)]
pub(in crate::messaging) struct Unacked {
    acker: Acker,
    /// Keeps the channel open, because only the channel that delivered can ack.
    _channel: Channel,
}

impl Subscription {
    pub(super) fn start(context: Arc<Context>, link: Link, queue: String, prefetch: u16) -> Self {
        // Bounded by the prefetch, on the broker's side.
        let (sender, deliveries) = mpsc::unbounded_channel();
        let consuming = Arc::new(AtomicBool::new(false));
        let consumer = Task {
            queue,
            prefetch: prefetch.max(1),
            deliveries: sender,
            consuming: consuming.clone(),
            context: context.clone(),
        };
        let task = context.tasks.spawn(consumer.run(link));
        Self { deliveries, consuming, task }
    }

    pub(in crate::messaging) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = self.deliveries.recv().await?;
            // What waited here while the connection was lost is delivered again.
            if matches!(&delivery.unacked, delivery::Unacked::RabbitMq(unacked) if unacked.acker.usable()) {
                return Some(delivery);
            }
        }
    }

    pub(in crate::messaging) fn is_consuming(&self) -> bool {
        self.consuming.load(Ordering::Acquire)
    }

    pub(in crate::messaging) async fn cancel(self) {
        drop(self.deliveries);
        if let Err(error) = self.task.await {
            warn!(%error, "the consumer's task ended badly");
        }
    }
}

impl Unacked {
    pub(in crate::messaging) async fn ack(self) -> Settled {
        match timeout(ANSWER_TIMEOUT, self.acker.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => Settled::Acked,
            _ => Settled::Stale,
        }
    }
}

/// Why consuming ended.
enum Ended {
    /// Nobody wants deliveries any more.
    Unsubscribed,
    /// The broker cancelled the consumer, or the channel or the connection is gone.
    Lost,
}

struct Task {
    queue: String,
    prefetch: u16,
    deliveries: mpsc::UnboundedSender<Delivery>,
    consuming: Arc<AtomicBool>,
    context: Arc<Context>,
}

impl Task {
    async fn run(self, mut link: Link) {
        let mut backoff = Backoff::default();
        loop {
            let connection = tokio::select! {
                () = self.deliveries.closed() => return,
                connection = link.wait() => connection,
            };
            let Some(connection) = connection else { return };
            match within(ANSWER_TIMEOUT, self.register(&connection)).await {
                Ok((channel, consumer)) => {
                    backoff.reset();
                    if let Ended::Unsubscribed = self.hand_on(channel, consumer).await {
                        return;
                    }
                    warn!(queue = %self.queue, "the consumer is no longer registered");
                }
                Err(error) => warn!(queue = %self.queue, %error, "can't register the consumer"),
            }
            // Perhaps the queue is missing. Declaring what is there does no harm.
            self.context.missing.notify_one();
            tokio::select! {
                () = self.deliveries.closed() => return,
                () = sleep(backoff.next()) => {}
            }
        }
    }

    async fn register(&self, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions { global: false }).await?;
        let queue = self.queue.as_str().into();
        // An empty tag: the broker makes one up.
        let consuming =
            channel.basic_consume(queue, "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let consumer = consuming.await?;
        debug!(queue = %self.queue, "the consumer is registered");
        Ok((channel, consumer))
    }

    async fn hand_on(&self, channel: Channel, mut consumer: Consumer) -> Ended {
        let _registered = Registered::new(&self.consuming);
        loop {
            let arrived = tokio::select! {
                () = self.deliveries.closed() => {
                    let cancelling = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
                    let _ = within(ANSWER_TIMEOUT, cancelling).await;
                    return Ended::Unsubscribed;
                }
                arrived = consumer.next() => arrived,
            };
            let message = match arrived {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    debug!(queue = %self.queue, %error, "the consumer failed");
                    return Ended::Lost;
                }
                None => return Ended::Lost,
            };
            let unacked = Unacked { acker: message.acker, _channel: channel.clone() };
            let delivery = Delivery {
                body: message.data,
                properties: properties(&message.properties),
                redelivered: message.redelivered,
                unacked: delivery::Unacked::RabbitMq(unacked),
            };
            if self.deliveries.send(delivery).is_err() {
                // The receiver went away just now: the loop sees it as closed.
                continue;
            }
        }
    }
}

fn properties(sent: &lapin::BasicProperties) -> Properties {
    let text =
        |field: &Option<lapin::types::ShortString>| field.as_ref().map(|text| text.as_str().to_owned());
    Properties {
        message_id: text(sent.message_id()),
        reply_to: text(sent.reply_to()),
        correlation_id: text(sent.correlation_id()),
    }
}

/// Sets the flag for as long as it lives.
struct Registered<'a>(&'a AtomicBool);

impl<'a> Registered<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Release);
        Self(flag)
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
