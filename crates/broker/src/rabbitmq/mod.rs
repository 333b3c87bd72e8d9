//! RabbitMQ, 3.10 and later.
//!
//! - `address`: the URL.
//! - `link`: one connection that comes back by itself, and the declaring of what the broker must have.
//! - `socket`: the TCP connection under a link, which really ends when it is given up.
//! - `publisher`, `subscription`, `pull`, `hints`: what is done over the links.
//!
//! **Two connections** a process, one to publish and one to consume: when the broker's memory or disk
//! alarm goes off, it stops reading from connections that publish, and acks on the same connection
//! would wait behind them. The queue could not be drained by those who drain it.
//!
//! **Our own reconnect loop**, not the client's recovery (lapin's `enable_auto_recover`). That one replays
//! declarations and consumers well, but silently: it can't tell that a queue had to be created anew (the
//! relay must publish its rows again), nor that hints were missed, publishing hangs for the length of an
//! outage instead of failing, and a consumer that the broker cancelled stays cancelled. A loop that
//! connects, declares and offers the connection through a `watch` knows all that, in fewer words than
//! its exceptions would take.
//!
//! Failures are logged here, where they are dealt with. The client logs them too, as errors, and its
//! trace level shows every frame, the login among them: keep the target `lapin` off.

mod address;
pub mod check;
mod declare;
mod former;
mod hints;
mod link;
mod publisher;
mod pull;
mod socket;
mod subscription;

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(test)]
pub(crate) use crate::rabbitmq::socket::connect;
pub use subscription::Subscription;
pub(super) use subscription::Unacked;

use crate::hints::{StatusHint, StatusHints};
use crate::rabbitmq::address::Address;
pub(crate) use crate::rabbitmq::former::Pace;
use crate::rabbitmq::link::{Link, Role};
use crate::rabbitmq::publisher::Publisher;
use crate::rabbitmq::pull::Pull;
use crate::recreated::{Recreated, Reports};
use crate::topology::{Consumed, Topology};
use crate::{Answer, BrokerError, Delivery, PublishError, Publishing};
use model::{Envelope, Lane};
use platform::backoff::Backoff;

/// How long [`crate::Broker::publish`] takes at most.
pub const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long [`crate::Broker::publish_status`] takes at most.
pub const HINT_TIMEOUT: Duration = Duration::from_millis(250);

/// How long connecting may take, TLS and the handshake included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The pauses between two tries to get something from the broker.
const fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(200), Duration::from_secs(5))
}

/// How long the broker may take to answer anything else that we ask of it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the broker is and what we are called there. Has no `Debug`: the URL holds a password.
#[derive(Clone)]
pub struct RabbitMqSettings {
    /// `amqp://user:password@host:5672/vhost`, or `amqps` for TLS (the system's authorities, or those
    /// in the file that `SSL_CERT_FILE` names).
    pub url: String,
    /// Put before the name of every queue and exchange, see [`crate::topology`].
    pub queue_prefix: String,
    /// Shown in the broker's management pages.
    pub connection_name: String,
}

/// See the [module's](self) words.
#[derive(Clone)]
pub struct RabbitMq {
    context: Arc<Context>,
    publisher: Arc<Publisher>,
    consuming: Link,
    pull: Arc<Pull>,
}

/// What both links and all tasks of a broker share.
struct Context {
    address: Address,
    connection_name: String,
    /// How long an attempt to connect may take.
    connect_timeout: Duration,
    topology: Topology,
    /// How patient it is with queues of former generations.
    pace: Pace,
    /// What must be there: the lanes that the program was built with, and those named since.
    lanes: std::sync::Mutex<BTreeSet<Lane>>,
    recreated: Reports,
    /// Held while declaring, so that one missing queue is reported once.
    declaring: Mutex<()>,
    /// Somebody found a queue missing.
    missing: Notify,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl RabbitMq {
    pub(super) fn start(settings: RabbitMqSettings) -> Result<Self, BrokerError> {
        let topology = Topology::new(settings.queue_prefix.as_str());
        Self::start_with(settings, topology, Pace::default(), CONNECT_TIMEOUT)
    }

    /// As [`RabbitMq::start`], with other queues than this program's and other patience.
    pub(super) fn start_with(
        settings: RabbitMqSettings,
        topology: Topology,
        pace: Pace,
        connect_timeout: Duration,
    ) -> Result<Self, BrokerError> {
        if !is_prefix(&settings.queue_prefix) {
            return Err(BrokerError::QueuePrefix);
        }
        let context = Arc::new(Context {
            address: Address::parse(&settings.url)?,
            connection_name: settings.connection_name,
            connect_timeout,
            topology,
            pace,
            lanes: std::sync::Mutex::new(Lane::all().collect()),
            recreated: Reports::default(),
            declaring: Mutex::default(),
            missing: Notify::new(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let publishing = Link::start(context.clone(), Role::Publish);
        let consuming = Link::start(context.clone(), Role::Consume);
        let publisher = Arc::new(Publisher::new(publishing, context.clone()));
        let pull = Arc::new(Pull::new(consuming.clone()));
        Ok(Self { context, publisher, consuming, pull })
    }

    pub(super) async fn publish(&self, lane: Lane, envelope: &Envelope) -> Result<(), PublishError> {
        self.publisher.publish(lane, envelope).await
    }

    pub(super) fn subscribe(&self, lane: Lane, prefetch: u16) -> Subscription {
        self.context.want(lane);
        self.consume(self.context.topology.consumed_lane(lane), prefetch)
    }

    /// Of the present generation: the former ones have consumers of their own.
    pub(super) async fn take(&self, lane: Lane) -> Option<Delivery> {
        self.pull.take(&self.context.topology.lane(lane)).await
    }

    pub(super) fn submissions(&self, prefetch: u16) -> Subscription {
        self.consume(self.context.topology.consumed_submissions(), prefetch)
    }

    fn consume(&self, queues: Consumed, prefetch: u16) -> Subscription {
        Subscription::start(&self.context, &self.consuming, queues, prefetch)
    }

    pub(super) async fn reply(&self, queue: &str, answer: Answer<'_>) -> Result<(), PublishError> {
        self.publisher.reply(queue, answer).await
    }

    pub(super) async fn publish_status(&self, hint: StatusHint) {
        self.publisher.publish_status(hint).await;
    }

    pub(super) fn status_hints(&self) -> StatusHints {
        hints::listen(&self.context, self.consuming.clone())
    }

    pub(super) fn connected(&self) -> bool {
        self.publisher.connected() && self.consuming.connection().is_some()
    }

    pub(super) fn publishing(&self) -> Publishing {
        self.publisher.publishing()
    }

    pub(super) async fn until_reachable(&self) {
        self.publisher.until_reachable().await;
    }

    pub(super) async fn recreated(&self) -> Recreated {
        self.context.recreated.next().await
    }

    pub(super) async fn depth(&self, lane: Lane) -> Option<u64> {
        let connection = self.consuming.connection()?;
        let Consumed { name, former, .. } = self.context.topology.consumed_lane(lane);
        let asking = async {
            let mut depth = declare::depth(&connection, &name).await?;
            for queue in &former {
                depth += declare::depth(&connection, queue).await.unwrap_or(0);
            }
            Some(depth)
        };
        tokio::time::timeout(ANSWER_TIMEOUT, asking).await.ok()?
    }

    pub(super) async fn close(&self) {
        self.context.closing.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
    }
}

impl Context {
    /// Has the lane declared, now if it is new and with the others from then on.
    fn want(&self, lane: Lane) {
        if self.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(lane) {
            self.missing.notify_one();
        }
    }

    fn wanted(&self) -> Vec<Lane> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

fn is_prefix(text: &str) -> bool {
    text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_plain_and_short() {
        for good in ["", "wqw.", "shop-1_test."] {
            assert!(is_prefix(good), "{good}");
        }
        for bad in ["a b", "ü", "line\n", &"x".repeat(101)] {
            assert!(!is_prefix(bad), "{bad}");
        }
    }
}
