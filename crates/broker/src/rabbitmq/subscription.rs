//! Consuming a queue: a task that registers the consumer again and again, and hands on what arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;

use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions,
};
use lapin::types::FieldTable;
use lapin::{Acker, Channel, Connection, Consumer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::delivery::{self, Delivery, Properties, Settled};
use crate::rabbitmq::declare::within;
use crate::rabbitmq::link::Link;
use crate::rabbitmq::{ANSWER_TIMEOUT, Context, former};
use crate::topology::Consumed;

/// As long as a queue of the present generation may be quiet.
pub(super) const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A consumer of one queue, and of those that it was before its arguments changed. Its tasks work also while
/// nobody asks for the next delivery, so that a busy worker stays registered.
pub struct Subscription {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    consuming: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

/// How to ack a delivery.
#[derive(Debug)]
pub(crate) struct Unacked {
    pub(super) acker: Acker,
    /// Keeps the channel open, because only the channel that delivered can ack.
    pub(super) _channel: Channel,
}

impl Subscription {
    pub(super) fn start(context: &Arc<Context>, link: &Link, queues: Consumed, prefetch: u16) -> Self {
        // Bounded by the prefetch, on the broker's side.
        let (sender, deliveries) = mpsc::unbounded_channel();
        let consuming = Arc::new(AtomicBool::new(false));
        let consumer = |queue: String, consuming: &Arc<AtomicBool>| Task {
            queue,
            prefetch: prefetch.max(1),
            deliveries: sender.clone(),
            consuming: consuming.clone(),
            context: context.clone(),
        };
        let mut tasks = vec![context.tasks.spawn(consumer(queues.name, &consuming).run(link.clone()))];
        for queue in queues.former {
            let former = consumer(queue, &Arc::default());
            tasks.push(context.tasks.spawn(former::drain(former, link.clone(), queues.disposable)));
        }
        Self { deliveries, consuming, tasks }
    }

    pub(crate) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let delivery = self.deliveries.recv().await?;
            // What waited here while the connection was lost is delivered again.
            if matches!(&delivery.unacked, delivery::Unacked::RabbitMq(unacked) if unacked.acker.usable()) {
                return Some(delivery);
            }
        }
    }

    pub(crate) fn is_consuming(&self) -> bool {
        self.consuming.load(Ordering::Acquire)
    }

    pub(crate) fn is_holding(&self) -> bool {
        !self.deliveries.is_empty()
    }

    pub(crate) async fn cancel(mut self) {
        // The tasks see this as the wish to end; what they still send comes out below.
        self.deliveries.close();
        for task in self.tasks {
            if let Err(error) = task.await {
                warn!(%error, "the consumer's task ended badly");
            }
        }
        // The tasks are gone, and with them the senders: this ends.
        while let Some(delivery) = self.deliveries.recv().await {
            delivery.give_back().await;
        }
    }
}

impl Unacked {
    pub(crate) async fn ack(self) -> Settled {
        match timeout(ANSWER_TIMEOUT, self.acker.ack(BasicAckOptions::default())).await {
            Ok(Ok(true)) => Settled::Acked,
            _ => Settled::Stale,
        }
    }

    pub(crate) async fn give_back(self) -> Settled {
        let requeue = BasicNackOptions { requeue: true, ..Default::default() };
        match timeout(ANSWER_TIMEOUT, self.acker.nack(requeue)).await {
            Ok(Ok(true)) => Settled::GivenBack,
            _ => Settled::Stale,
        }
    }
}

/// Why consuming ended.
pub(super) enum Ended {
    /// Nobody wants deliveries any more.
    Unsubscribed,
    /// The broker cancelled the consumer, or the channel or the connection is gone.
    Lost,
    /// Nothing came for so long.
    Quiet,
}

/// The consumer of one queue.
pub(super) struct Task {
    pub(super) queue: String,
    prefetch: u16,
    pub(super) deliveries: mpsc::UnboundedSender<Delivery>,
    consuming: Arc<AtomicBool>,
    pub(super) context: Arc<Context>,
}

impl Task {
    async fn run(self, mut link: Link) {
        let mut backoff = crate::rabbitmq::backoff();
        loop {
            let connection = tokio::select! {
                () = self.deliveries.closed() => return,
                connection = link.wait() => connection,
            };
            let Some(connection) = connection else { return };
            match within(ANSWER_TIMEOUT, self.register(&connection)).await {
                Ok((channel, consumer)) => {
                    backoff.reset();
                    if let Ended::Unsubscribed = self.hand_on(channel, consumer, NEVER).await {
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
                () = sleep(backoff.pause()) => {}
            }
        }
    }

    pub(super) async fn register(&self, connection: &Connection) -> lapin::Result<(Channel, Consumer)> {
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

    /// Hands on what arrives, until nothing has for `quiet`.
    pub(super) async fn hand_on(&self, channel: Channel, mut consumer: Consumer, quiet: Duration) -> Ended {
        let _registered = Registered::new(&self.consuming);
        loop {
            let arrived = tokio::select! {
                () = self.deliveries.closed() => {
                    cancel(&channel, consumer).await;
                    return Ended::Unsubscribed;
                }
                arrived = consumer.next() => arrived,
                () = sleep(quiet) => {
                    cancel(&channel, consumer).await;
                    return Ended::Quiet;
                }
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
            // The receiver may go away just now: the loop sees it as closed.
            if let Err(refused) = self.deliveries.send(delivery) {
                refused.0.give_back().await;
            }
        }
    }
}

/// Ends the consumer and gives back what arrived meanwhile: its channel may live on for a long run, and holds
/// what it delivered for as long.
async fn cancel(channel: &Channel, mut consumer: Consumer) {
    let cancelling = channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
    if within(ANSWER_TIMEOUT, cancelling).await.is_err() {
        return;
    }
    let requeue = BasicNackOptions { requeue: true, ..Default::default() };
    while let Ok(Some(Ok(message))) = timeout(ANSWER_TIMEOUT, consumer.next()).await {
        let _ = timeout(ANSWER_TIMEOUT, message.acker.nack(requeue)).await;
    }
}

pub(super) fn properties(sent: &lapin::BasicProperties) -> Properties {
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
