//! The queue between web and worker: transport only. The row in the database says what must happen;
//! a message only says "look now", so a lost, doubled, late or reordered one does no harm.
//!
//! One enum, two brokers, one contract (`contract.rs` runs the same tests against both):
//!
//! - [`rabbitmq`]: quorum queues and publisher confirms, for processes on their own machines.
//! - [`in_process`]: volatile, for web and worker in one program.
//! - [`topology`]: the names and arguments of everything that the broker must have, as data.
//!
//! What holds for both: delivery is at least once; order is not promised; a delivery is settled by
//! [`Delivery::ack`], or given back by whoever did nothing for it; what is neither is delivered again once its
//! channel is gone. Delays,
//! retries and schedules are no business of the broker: they are `run_at` in the database.

#[cfg(test)]
mod contract;
mod delivery;
pub mod depths;
mod hints;
pub mod in_process;
pub mod measured;
pub mod rabbitmq;
mod recreated;
pub mod topology;

pub use delivery::{Delivery, Properties, Settled, Subscription};
pub use hints::{HintEvent, StatusHint, StatusHints};
pub use in_process::InProcess;
pub use rabbitmq::{RabbitMq, RabbitMqSettings};
pub use recreated::Recreated;

use model::{Envelope, Lane};

/// The message broker. Cloning is cheap: all clones are the same broker.
#[derive(Clone)]
pub enum Broker {
    /// See [`RabbitMq`].
    RabbitMq(RabbitMq),
    /// See [`InProcess`].
    InProcess(InProcess),
}

/// The broker can't be set up: a mistake in the settings, so the program should not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Not the URL of an AMQP broker. The text never contains the URL, which holds a password.
    #[error("not an AMQP URL (amqp://user:password@host:5672/vhost): {0}")]
    Url(String),
    /// The names of queues are at most 255 bytes in AMQP, and readable in every tool.
    #[error("a queue prefix is at most 100 ASCII letters, digits, '.', '-' and '_'")]
    QueuePrefix,
}

/// The message may not have reached the broker: publish it again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection, or it was lost before the broker answered.
    #[error("not connected to the broker")]
    NotConnected,
    /// The broker takes no messages until its memory or disk alarm is over. It still delivers.
    #[error("the broker blocks publishers (memory or disk alarm)")]
    Blocked,
    /// The queue does not exist. It is being declared again.
    #[error("the queue does not exist")]
    Unroutable,
    /// The queue did not take the message: it is full, say.
    #[error("the queue refused the message")]
    Refused,
    /// The broker does not let us publish.
    #[error("the broker does not let us publish")]
    Forbidden,
    /// No answer within [`rabbitmq::PUBLISH_TIMEOUT`].
    #[error("the broker did not confirm in time")]
    TimedOut,
}

/// How publishing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// As far as anybody knows.
    Works,
    /// The last publishes all failed, though the broker can be reached.
    Fails,
    /// Nothing can be published now: there is no connection, or it is blocked.
    Away(PublishError),
}

/// An answer to a program elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The same for an answer that is sent again.
    pub message_id: &'a str,
    /// As it was sent with the question.
    pub correlation_id: Option<&'a str>,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The answer.
    pub body: &'a [u8],
}

impl Broker {
    /// A broker that lives and dies with this process.
    pub fn in_process() -> Self {
        Self::InProcess(InProcess::default())
    }

    /// RabbitMQ. Returns at once and connects in the background, again and again: a program starts
    /// while the broker is down. Must be called within the main tokio runtime, which runs that task.
    ///
    /// # Errors
    /// [`BrokerError`] when the settings make no sense.
    pub fn rabbitmq(settings: RabbitMqSettings) -> Result<Self, BrokerError> {
        RabbitMq::start(settings).map(Self::RabbitMq)
    }

    /// Hands a message to the broker. `Ok` means that the broker has it, on disk if it has one:
    /// confirmed, and not returned as unroutable.
    ///
    /// # Errors
    /// [`PublishError`]; the message may have arrived nevertheless. Answers within
    /// [`rabbitmq::PUBLISH_TIMEOUT`], also during an outage.
    pub async fn publish(&self, lane: Lane, envelope: &Envelope) -> Result<(), PublishError> {
        match self {
            Self::RabbitMq(broker) => broker.publish(lane, envelope).await,
            Self::InProcess(broker) => broker.publish(lane, envelope),
        }
    }

    /// Begins to consume a lane of a queue, with at most `prefetch` deliveries unacked at a time (at least 1).
    /// Survives reconnects by itself.
    pub async fn subscribe(&self, lane: Lane, prefetch: u16) -> Subscription {
        match self {
            Self::RabbitMq(broker) => Subscription::RabbitMq(broker.subscribe(lane, prefetch)),
            Self::InProcess(broker) => Subscription::InProcess(broker.subscribe(lane, prefetch)),
        }
    }

    /// A message that is ready in the lane now; `None` when there is none, or the broker can't say. For a consumer
    /// that has room for one more: a message that it takes so is not counted by any prefetch.
    pub async fn take(&self, lane: Lane) -> Option<Delivery> {
        match self {
            Self::RabbitMq(broker) => broker.take(lane).await,
            Self::InProcess(broker) => broker.take(lane),
        }
    }

    /// Begins to consume what programs elsewhere submit; `None` where no other program can come in.
    pub fn submissions(&self, prefetch: u16) -> Option<Subscription> {
        match self {
            Self::RabbitMq(broker) => Some(Subscription::RabbitMq(broker.submissions(prefetch))),
            Self::InProcess(_) => None,
        }
    }

    /// Answers a program elsewhere on the queue that it named.
    ///
    /// # Errors
    /// As [`Broker::publish`]; [`PublishError::Unroutable`] when the queue is gone.
    pub async fn reply(&self, queue: &str, answer: Answer<'_>) -> Result<(), PublishError> {
        match self {
            Self::RabbitMq(broker) => broker.reply(queue, answer).await,
            Self::InProcess(_) => Err(PublishError::Unroutable),
        }
    }

    /// Tells every process that a job's public representation changed. Best effort: unconfirmed, not
    /// stored, given up after [`rabbitmq::HINT_TIMEOUT`].
    pub async fn publish_status(&self, hint: StatusHint) {
        match self {
            Self::RabbitMq(broker) => broker.publish_status(hint).await,
            Self::InProcess(broker) => broker.publish_status(hint),
        }
    }

    /// The hints of all processes, from now on. One stream a process is enough.
    pub fn status_hints(&self) -> StatusHints {
        match self {
            Self::RabbitMq(broker) => broker.status_hints(),
            Self::InProcess(broker) => broker.status_hints(),
        }
    }

    /// Whether the broker can be reached right now, for readiness.
    pub fn connected(&self) -> bool {
        match self {
            Self::RabbitMq(broker) => broker.connected(),
            Self::InProcess(broker) => broker.connected(),
        }
    }

    /// Whether publishing works: there is a connection to publish by, the broker does not block it, and the last
    /// publishes were not all refused. Unlike [`Broker::connected`] it tells of an alarm, of revoked rights and of
    /// a broker that no longer answers.
    pub fn can_publish(&self) -> bool {
        self.publishing() == Publishing::Works
    }

    /// How publishing goes.
    pub fn publishing(&self) -> Publishing {
        match self {
            Self::RabbitMq(broker) => broker.publishing(),
            Self::InProcess(broker) if broker.connected() => Publishing::Works,
            Self::InProcess(_) => Publishing::Away(PublishError::NotConnected),
        }
    }

    /// Waits until there is a connection to publish by that is not blocked. Dropping the future loses nothing.
    pub async fn until_reachable(&self) {
        match self {
            Self::RabbitMq(broker) => broker.until_reachable().await,
            Self::InProcess(broker) if broker.connected() => {}
            Self::InProcess(_) => std::future::pending().await,
        }
    }

    /// What had to be created next: it was not there, so the messages that it may have held are gone, and its rows
    /// are due for publishing. The in-process broker reports itself once, at its start. One task a process should
    /// ask; dropping the future loses nothing.
    pub async fn recreated(&self) -> Recreated {
        match self {
            Self::RabbitMq(broker) => broker.recreated().await,
            Self::InProcess(broker) => broker.recreated().await,
        }
    }

    /// How many messages are ready in the lane (those at consumers are not counted), or `None` when
    /// the broker can't say now. For metrics: asks the broker each time.
    pub async fn depth(&self, lane: Lane) -> Option<u64> {
        match self {
            Self::RabbitMq(broker) => broker.depth(lane).await,
            Self::InProcess(broker) => Some(broker.depth(lane)),
        }
    }

    /// Closes the connections. Streams end, publishing fails, and whatever is unacked is delivered
    /// again by a broker that outlives the process.
    pub async fn close(&self) {
        match self {
            Self::RabbitMq(broker) => broker.close().await,
            Self::InProcess(broker) => broker.close(),
        }
    }
}
