//! A look at the broker that changes nothing: can it be reached, and does it have what it should?

use std::time::Duration;

use futures_util::future::join_all;
use lapin::Connection;
use lapin::options::QueueDeclareOptions;
use lapin::protocol::AMQPSoftError;
use lapin::{ConnectionProperties, ErrorKind};

use crate::BrokerError;
use crate::rabbitmq::address::Address;
use crate::rabbitmq::declare::{self, DURABLE, PASSIVE};
use crate::rabbitmq::{RabbitMqSettings, is_prefix, socket};
use crate::topology::{QueueSpec, Topology};
use model::Lane;

/// How long each answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the broker has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Queues that are there as they should be.
    pub there: usize,
    /// Those that are not: the first program that starts makes them.
    pub missing: Vec<String>,
    /// Those that have other arguments, in the broker's words.
    pub different: Vec<String>,
}

/// Why the broker could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] BrokerError),
    /// It does not answer, or refuses us.
    #[error("{address}: {error}")]
    Broker {
        /// Without user and password.
        address: String,
        /// What it said.
        error: Box<lapin::Error>,
    },
}

/// How a queue is.
enum Queue {
    There,
    Missing,
    Different(String),
}

/// Connects, looks at the queues of these lanes and at our own, and hangs up.
///
/// # Errors
/// The broker can't be looked at.
pub async fn look(settings: &RabbitMqSettings, lanes: Vec<Lane>) -> Result<Found, CheckError> {
    if !is_prefix(&settings.queue_prefix) {
        return Err(BrokerError::QueuePrefix.into());
    }
    let address = Address::parse(&settings.url)?;
    let broken = |error| CheckError::Broker { address: address.to_string(), error: Box::new(error) };
    let properties =
        ConnectionProperties::default().with_connection_name(settings.connection_name.as_str().into());
    let connection = socket::connect(address.uri(), properties, PATIENCE).await.map_err(broken)?;
    let specs = Topology::new(settings.queue_prefix.clone()).queues(lanes);
    let looks = specs.iter().map(|spec| declare::within(PATIENCE, queue(&connection, spec)));
    let looks = join_all(looks).await;
    // The look is over, whatever the broker says to this.
    let _ = connection.close(200, "bye".into()).await;
    let mut found = Found::default();
    for (spec, look) in specs.iter().zip(looks) {
        match look.map_err(broken)? {
            Queue::There => found.there += 1,
            Queue::Missing => found.missing.push(spec.name.clone()),
            Queue::Different(words) => found.different.push(words),
        }
    }
    Ok(found)
}

/// A queue that is there is declared as we would: that changes nothing, and is refused when the arguments differ.
async fn queue(connection: &Connection, spec: &QueueSpec) -> lapin::Result<Queue> {
    if let Err(error) = declare_as(connection, spec, PASSIVE).await {
        return if declare::error_kind(&error) == Some(AMQPSoftError::NOTFOUND) {
            Ok(Queue::Missing)
        } else {
            Err(error)
        };
    }
    match declare_as(connection, spec, DURABLE).await {
        Ok(()) => Ok(Queue::There),
        Err(error) if declare::error_kind(&error) == Some(AMQPSoftError::PRECONDITIONFAILED) => {
            Ok(Queue::Different(words(&error)))
        }
        Err(error) => Err(error),
    }
}

/// On a channel of its own: a refusal closes it.
async fn declare_as(
    connection: &Connection,
    spec: &QueueSpec,
    options: QueueDeclareOptions,
) -> lapin::Result<()> {
    let channel = connection.create_channel().await?;
    channel.queue_declare(spec.name.as_str().into(), options, declare::arguments(spec)).await?;
    Ok(())
}

/// The broker names the argument and the queue.
fn words(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        _ => error.to_string(),
    }
}
