//! Publishing: jobs with a confirm, hints without.
//!
//! A channel has one message in flight at a time, and there are many channels. On a shared one the
//! client (lapin 4.12) pairs a returned (unroutable) message with whichever confirm it handles next, not
//! with its own: with 40 in flight, a third of them to a missing queue, 2 of 8,000 were taken for sent
//! though they were lost. Alone on its channel there is nothing to mix up; and what goes wrong, a timeout
//! or a future dropped half-way, ends with its channel.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;

use crate::hints::StatusHint;
use crate::rabbitmq::link::Link;
use crate::rabbitmq::{Context, HINT_TIMEOUT, PUBLISH_TIMEOUT, declare};
use crate::{Answer, PublishError, Publishing};
use model::{Envelope, Lane};

/// Messages in flight at most; the others wait their turn. Channels are opened as they are needed.
const CHANNELS: usize = 64;

const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// The default exchange: its routing keys are the names of the queues.
const DEFAULT_EXCHANGE: &str = "";

pub(super) struct Publisher {
    link: Link,
    context: Arc<Context>,
    turns: Semaphore,
    idle: Mutex<Vec<Channel>>,
    hints: Mutex<Option<Channel>>,
    failures: Mutex<Failures>,
}

/// What became of the last publishes.
#[derive(Debug, Default)]
struct Failures {
    in_a_row: u32,
    last: Option<Instant>,
}

/// So many failures in a row say that publishing fails, and not one message.
const FAILURES: u32 = 3;

/// Nobody knows how it is so long after the last failure: nothing else may have been published since.
const FORGOTTEN: Duration = Duration::from_secs(60);

impl Failures {
    fn note(&mut self, result: Result<(), PublishError>, at: Instant) {
        match result {
            // A missing queue is an answer, too: the broker takes messages.
            Ok(()) | Err(PublishError::Unroutable) => *self = Self::default(),
            // One queue that is full says nothing of the others.
            Err(PublishError::Refused) => {}
            Err(_) => *self = Self { in_a_row: self.in_a_row.saturating_add(1), last: Some(at) },
        }
    }

    fn are_all(&self, at: Instant) -> bool {
        let recent = self.last.is_some_and(|last| at.duration_since(last) < FORGOTTEN);
        self.in_a_row >= FAILURES && recent
    }
}

impl Publisher {
    pub(super) fn new(link: Link, context: Arc<Context>) -> Self {
        Self {
            link,
            context,
            turns: Semaphore::new(CHANNELS),
            idle: Mutex::default(),
            hints: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(super) fn connected(&self) -> bool {
        self.link.connection().is_some()
    }

    pub(super) fn publishing(&self) -> Publishing {
        match self.link.trouble() {
            Some(trouble) => Publishing::Away(trouble),
            None if lock(&self.failures).are_all(Instant::now()) => Publishing::Fails,
            None => Publishing::Works,
        }
    }

    pub(super) async fn until_reachable(&self) {
        self.link.until_usable().await;
    }

    pub(super) async fn publish(&self, lane: Lane, envelope: &Envelope) -> Result<(), PublishError> {
        self.context.want(lane);
        let name = self.context.topology.lane(lane);
        let result = self.publish_to(&name, &envelope.to_bytes(), properties(envelope)).await;
        if result == Err(PublishError::Unroutable) {
            self.context.missing.notify_one();
        }
        result
    }

    /// To a queue that need not be ours: if it is missing, that is all.
    pub(super) async fn reply(&self, queue: &str, answer: Answer<'_>) -> Result<(), PublishError> {
        let mut properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(answer.content_type.into())
            .with_message_id(answer.message_id.into());
        if let Some(Ok(id)) = answer.correlation_id.map(ShortString::try_new) {
            properties = properties.with_correlation_id(id);
        }
        self.publish_to(queue, answer.body, properties).await
    }

    async fn publish_to(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), PublishError> {
        let answer = timeout(PUBLISH_TIMEOUT, self.publish_in_turn(queue, body, properties)).await;
        let result = answer.unwrap_or(Err(PublishError::TimedOut));
        lock(&self.failures).note(result, Instant::now());
        result
    }

    async fn publish_in_turn(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
    ) -> Result<(), PublishError> {
        let _turn = self.turns.acquire().await;
        let channel = self.channel().await?;
        let confirmation = confirmed(&channel, queue, body, properties).await.map_err(lost)?;
        lock(&self.idle).push(channel);
        match confirmation {
            // It is returned first and confirmed nevertheless.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => Err(PublishError::Unroutable),
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Nack(None) | Confirmation::NotRequested => Err(PublishError::Refused),
        }
    }

    /// A channel in confirm mode with nothing in flight.
    async fn channel(&self) -> Result<Channel, PublishError> {
        let connection = self.usable()?;
        while let Some(channel) = self.take_idle() {
            // Those of an earlier connection are of no use.
            if channel.status().connected() {
                return Ok(channel);
            }
        }
        let channel = connection.create_channel().await.map_err(lost)?;
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(lost)?;
        Ok(channel)
    }

    fn usable(&self) -> Result<Arc<Connection>, PublishError> {
        match self.link.trouble() {
            Some(trouble) => Err(trouble),
            None => self.link.connection().ok_or(PublishError::NotConnected),
        }
    }

    fn take_idle(&self) -> Option<Channel> {
        lock(&self.idle).pop()
    }

    pub(super) async fn publish_status(&self, hint: StatusHint) {
        match timeout(HINT_TIMEOUT, self.send_hint(hint)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(job = %hint.job, %error, "a status hint was not sent"),
            Err(_) => debug!(job = %hint.job, "a status hint was not sent in time"),
        }
    }

    async fn send_hint(&self, hint: StatusHint) -> Result<(), PublishError> {
        let channel = self.hint_channel().await?;
        let body = serde_json::to_vec(&hint).unwrap_or_default();
        let properties = BasicProperties::default().with_delivery_mode(TRANSIENT);
        let exchange = self.context.topology.events().into();
        let key = hint.job.to_string().into();
        let sent =
            channel.basic_publish(exchange, key, BasicPublishOptions::default(), &body, properties).await;
        sent.map(|_| ()).map_err(lost)
    }

    /// The channel of all hints: without confirms, they can share one.
    async fn hint_channel(&self) -> Result<Channel, PublishError> {
        let connection = self.usable()?;
        let current = lock(&self.hints).clone();
        match current {
            Some(channel) if channel.status().connected() => Ok(channel),
            replaced => {
                if replaced.is_some() {
                    // Closed by the broker: the exchange may be missing.
                    self.context.missing.notify_one();
                }
                let channel = connection.create_channel().await.map_err(lost)?;
                *lock(&self.hints) = Some(channel.clone());
                Ok(channel)
            }
        }
    }
}

async fn confirmed(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    properties: BasicProperties,
) -> lapin::Result<Confirmation> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    channel.basic_publish(DEFAULT_EXCHANGE.into(), queue.into(), options, body, properties).await?.await
}

/// The envelope's facts where the broker's tools show them. The body is what counts, so a text that is
/// too long for its property (255 bytes) is only left out here.
fn properties(envelope: &Envelope) -> BasicProperties {
    let mut properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(envelope.job.to_string().into());
    if let Ok(kind) = ShortString::try_new(envelope.kind.as_str()) {
        properties = properties.with_type(kind);
    }
    if let Some(Ok(id)) = envelope.correlation_id.as_deref().map(ShortString::try_new) {
        properties = properties.with_correlation_id(id);
    }
    if let Some(traceparent) = &envelope.traceparent {
        let mut headers = FieldTable::default();
        headers.insert("traceparent".into(), AMQPValue::LongString(traceparent.as_str().into()));
        properties = properties.with_headers(headers);
    }
    properties
}

/// Whatever goes wrong between us and the broker, the message may not have arrived. An error of the channel alone is
/// the broker's no: we may not write there.
fn lost(error: lapin::Error) -> PublishError {
    debug!(%error, "publishing failed");
    match declare::error_kind(&error) {
        Some(_) => PublishError::Forbidden,
        None => PublishError::NotConnected,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::JobId;

    #[test]
    fn publishing_fails_when_the_last_publishes_all_failed_and_not_for_ever() {
        let mut failures = Failures::default();
        let now = Instant::now();
        for _ in 1..FAILURES {
            failures.note(Err(PublishError::Forbidden), now);
        }
        for _ in 0..FAILURES {
            failures.note(Err(PublishError::Refused), now);
        }
        assert!(!failures.are_all(now), "one queue that refuses is not the broker");
        failures.note(Err(PublishError::TimedOut), now);
        assert!(failures.are_all(now));
        assert!(!failures.are_all(now + FORGOTTEN), "nobody knows any more");
        failures.note(Err(PublishError::Unroutable), now);
        assert!(!failures.are_all(now), "the broker answers");
    }

    #[test]
    fn properties_repeat_the_envelope_and_leave_out_what_does_not_fit() {
        let mut envelope = Envelope {
            job: JobId::new(),
            kind: "copy".into(),
            version: 1,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            correlation_id: Some("c-1".into()),
        };
        let fitting = properties(&envelope);
        assert_eq!(fitting.message_id().as_ref().unwrap().as_str(), envelope.job.to_string());
        assert_eq!(fitting.kind().as_ref().unwrap().as_str(), "copy");
        assert_eq!(fitting.correlation_id().as_ref().unwrap().as_str(), "c-1");
        assert!(fitting.headers().as_ref().unwrap().inner().contains_key("traceparent"));

        envelope.correlation_id = Some("c".repeat(300));
        assert_eq!(properties(&envelope).correlation_id(), &None);
    }
}
