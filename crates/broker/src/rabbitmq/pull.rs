//! Taking one message, if there is one: what a consumer does that has room for one more and no subscription.

use std::sync::{Mutex, PoisonError};

use lapin::Channel;
use lapin::options::BasicGetOptions;
use tokio::time::timeout;
use tracing::debug;

use crate::delivery::{self, Delivery};
use crate::rabbitmq::link::Link;
use crate::rabbitmq::subscription::properties;
use crate::rabbitmq::{ANSWER_TIMEOUT, Unacked};

pub(super) struct Pull {
    link: Link,
    /// Channels that nobody asks by now. What was taken by one may still be unacked: any number can be.
    idle: Mutex<Vec<Channel>>,
}

impl Pull {
    pub(super) fn new(link: Link) -> Self {
        Self { link, idle: Mutex::default() }
    }

    pub(super) async fn take(&self, queue: &str) -> Option<Delivery> {
        // Whatever goes wrong ends with its channel: what the broker may have sent by it is ready again.
        match timeout(ANSWER_TIMEOUT, self.get(queue)).await {
            Ok(Ok(taken)) => taken,
            Ok(Err(error)) => {
                debug!(queue, %error, "nothing could be taken");
                None
            }
            Err(_) => None,
        }
    }

    async fn get(&self, queue: &str) -> lapin::Result<Option<Delivery>> {
        let Some(channel) = self.channel().await? else { return Ok(None) };
        let taken = channel.basic_get(queue.into(), BasicGetOptions::default()).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel.clone());
        Ok(taken.map(|taken| Delivery {
            properties: properties(&taken.properties),
            redelivered: taken.redelivered,
            body: taken.delivery.data,
            unacked: delivery::Unacked::RabbitMq(Unacked { acker: taken.delivery.acker, _channel: channel }),
        }))
    }

    async fn channel(&self) -> lapin::Result<Option<Channel>> {
        let Some(connection) = self.link.connection() else { return Ok(None) };
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match idle {
                Some(channel) if channel.status().connected() => return Ok(Some(channel)),
                // Of an earlier connection.
                Some(_) => {}
                None => return Ok(Some(connection.create_channel().await?)),
            }
        }
    }
}
