//! What a consumer holds: a subscription, and deliveries that it acks.

use crate::{in_process, rabbitmq};

/// A stream of deliveries. Dropping it stops consuming, as [`Subscription::cancel`] does.
pub enum Subscription {
    /// From RabbitMQ.
    RabbitMq(rabbitmq::Subscription),
    /// From the in-process broker.
    InProcess(in_process::Subscription),
}

/// A message at a consumer. The broker keeps it until it is acked or given back.
///
/// One that is dropped unacked stays unacked, and counts against the prefetch, until its channel is
/// gone: when the connection is lost, or when the subscription and its last delivery are dropped. Then
/// it is delivered again.
#[derive(Debug)]
pub struct Delivery {
    /// The bytes as they were published, by whoever published them.
    pub body: Vec<u8>,
    /// Whether it was delivered before, perhaps. Informative only: a duplicate need not have it.
    pub redelivered: bool,
    /// What the sender said beside the body. Our own messages say it in the body.
    pub properties: Properties,
    pub(super) unacked: Unacked,
}

/// AMQP's own fields of a message, as far as somebody looks at them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// The sender's name for the message.
    pub message_id: Option<String>,
    /// The queue that awaits an answer.
    pub reply_to: Option<String>,
    /// To be repeated in the answer.
    pub correlation_id: Option<String>,
}

/// The way back to the broker that a delivery came from.
#[derive(Debug)]
pub(super) enum Unacked {
    RabbitMq(rabbitmq::Unacked),
    InProcess(in_process::Unacked),
}

/// What became of an ack, or of giving back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The broker was told to forget it. (AMQP does not confirm that: a crash may still lose the ack.)
    Acked,
    /// The broker was told to deliver it again, to whoever can take it.
    GivenBack,
    /// The channel that the delivery came by is gone: the broker delivers the message again.
    Stale,
}

impl Subscription {
    /// The next delivery; waits while the broker is away. `None` after [`crate::Broker::close`].
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Delivery> {
        match self {
            Self::RabbitMq(subscription) => subscription.next().await,
            Self::InProcess(subscription) => subscription.next().await,
        }
    }

    /// Whether the broker has this consumer registered now, for liveness. False while disconnected,
    /// and after the broker cancelled the consumer (its queue was deleted) until it is there again.
    pub fn is_consuming(&self) -> bool {
        match self {
            Self::RabbitMq(subscription) => subscription.is_consuming(),
            Self::InProcess(subscription) => subscription.is_consuming(),
        }
    }

    /// Whether a delivery lies in this process that [`Subscription::next`] would hand out now, and that no other
    /// consumer can get meanwhile. (The in-process broker has one place for all: nothing lies elsewhere.)
    pub fn is_holding(&self) -> bool {
        match self {
            Self::RabbitMq(subscription) => subscription.is_holding(),
            Self::InProcess(_) => false,
        }
    }

    /// Stops consuming. Deliveries that were handed out can still be acked; those that were not are given
    /// back to the queue at once.
    pub async fn cancel(self) {
        match self {
            Self::RabbitMq(subscription) => subscription.cancel().await,
            Self::InProcess(subscription) => drop(subscription),
        }
    }
}

impl Delivery {
    /// Tells the broker to forget the message: its job is done, put back, or not ours to do.
    pub async fn ack(self) -> Settled {
        match self.unacked {
            Unacked::RabbitMq(unacked) => unacked.ack().await,
            Unacked::InProcess(unacked) => unacked.ack(),
        }
    }

    /// Tells the broker to deliver the message again, here or to another consumer: nothing was done for it.
    ///
    /// A broker counts this against its delivery limit
    /// ([`DELIVERY_LIMIT`](crate::topology::DELIVERY_LIMIT)): not for a loop.
    pub async fn give_back(self) -> Settled {
        match self.unacked {
            Unacked::RabbitMq(unacked) => unacked.give_back().await,
            Unacked::InProcess(unacked) => unacked.give_back(),
        }
    }
}
