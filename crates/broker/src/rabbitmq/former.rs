//! The queues of former generations: consumed for as long as there are any, and deleted when nobody uses them.
//!
//! Processes of the last release go on with them, declare them again when they are missing, and may be started
//! again by a rollback. So the look never ends; it only becomes rare.
//!
//! Deleting is a look and then a delete: quorum queues know no `if-unused` and no `if-empty` (asked for them,
//! the broker closes the connection). What is published between the two is lost, which is why this is done only
//! where a message is a hint: its row is published again, to the present queue.

use std::time::Duration;

use lapin::Connection;
use lapin::options::QueueDeleteOptions;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::rabbitmq::ANSWER_TIMEOUT;
use crate::rabbitmq::declare::{self, within};
use crate::rabbitmq::link::Link;
use crate::rabbitmq::subscription::{Ended, NEVER, Task};

/// How patient a consumer is with queues of former generations.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// One that was quiet for so long is no longer consumed, only looked at.
    pub(crate) quiet: Duration,
    /// How often one is looked at that is no longer consumed.
    pub(crate) look: Duration,
    /// How often it is looked whether one is there again.
    pub(crate) gone: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(600), look: Duration::from_secs(10), gone: Duration::from_secs(60) }
    }
}

/// What is to be done with the queue next.
enum Next {
    Consume,
    /// Nothing, for so long.
    Look(Duration),
}

/// Consumes a queue of a former generation whenever it is there, until nobody wants deliveries any more.
pub(super) async fn drain(consumer: Task, mut link: Link, disposable: bool) {
    let pace = consumer.context.pace;
    let mut was_quiet = false;
    loop {
        let connection = tokio::select! {
            () = consumer.deliveries.closed() => return,
            connection = link.wait() => connection,
        };
        let Some(connection) = connection else { return };
        let looked = within(ANSWER_TIMEOUT, look(&consumer, &connection, &mut was_quiet)).await;
        let pause = match looked {
            Ok(Next::Look(pause)) => pause,
            Ok(Next::Consume) => {
                let limit = if disposable { pace.quiet } else { NEVER };
                match consume(&consumer, &connection, limit).await {
                    Ok(Ended::Unsubscribed) => return,
                    Ok(Ended::Quiet) => was_quiet = true,
                    Ok(Ended::Lost) => {}
                    Err(error) => warn!(queue = %consumer.queue, %error, "can't drain the former queue"),
                }
                pace.look
            }
            Err(error) => {
                warn!(queue = %consumer.queue, %error, "can't look at the former queue");
                pace.look
            }
        };
        tokio::select! {
            () = consumer.deliveries.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn look(consumer: &Task, connection: &Connection, was_quiet: &mut bool) -> lapin::Result<Next> {
    let (queue, pace) = (consumer.queue.as_str(), consumer.context.pace);
    let found = declare::find(connection, queue).await?;
    let there = if found.is_some() { 1.0 } else { 0.0 };
    metrics::gauge!("queue_of_former_generation", "queue" => queue.to_owned()).set(there);
    let Some(found) = found else {
        *was_quiet = false;
        return Ok(Next::Look(pace.gone));
    };
    if found.messages > 0 || !*was_quiet {
        *was_quiet = false;
        info!(queue, messages = found.messages, "draining the queue of a former generation");
        return Ok(Next::Consume);
    }
    if found.consumers == 0 {
        let channel = connection.create_channel().await?;
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        info!(queue, "nobody uses the queue of a former generation any more: deleted it");
        return Ok(Next::Look(pace.gone));
    }
    Ok(Next::Look(pace.look))
}

async fn consume(consumer: &Task, connection: &Connection, quiet: Duration) -> lapin::Result<Ended> {
    let (channel, registered) = within(ANSWER_TIMEOUT, consumer.register(connection)).await?;
    Ok(consumer.hand_on(channel, registered, quiet).await)
}
