//! Everything that the broker must have, as data: names and arguments. `rabbitmq` declares it.
//!
//! | name | what |
//! | --- | --- |
//! | `{prefix}{queue}`, `{prefix}{queue}.express` | quorum queues of jobs, one for each [`Lane`] |
//! | `{prefix}dead` | where a message goes that was delivered [`DELIVERY_LIMIT`] times: a safety net, not a way to fail a job |
//! | `{prefix}submit` | quorum queue where programs elsewhere put jobs that they want to be done |
//! | `{prefix}events` | the topic exchange of status hints; routing key = the job's id |
//!
//! Jobs go through the default exchange, whose routing key *is* the queue's name. An exchange of our
//! own would be one more thing that can be missing: publishing to a missing exchange closes the
//! channel, publishing to a missing queue is a plain answer about that one message.
//!
//! Arguments can't be changed once a queue exists. Every one here is understood by RabbitMQ 3.10 and
//! 4.x alike; whatever operators may want to tune (lengths, lifetimes) belongs in a policy.

use crate::jobs::{Lane, Queue};

/// How often a message may be delivered before the broker gives up on it. What counts as a delivery,
/// and the limit when none is set, differ between RabbitMQ 3.10, 4.0 and 4.3; so it is set, and so high
/// that only a loop reaches it. The row knows better how often its job was tried.
pub const DELIVERY_LIMIT: i64 = 1000;

/// How many dead messages are kept, the oldest go first. They are ids; their rows are not touched.
pub const DEAD_LETTERS_KEPT: i64 = 100_000;

/// How many hints the broker keeps for a process that reads slowly, the oldest go first.
pub const HINTS_KEPT: i64 = 10_000;

/// The names of one installation; several can share a broker under different prefixes.
#[derive(Debug, Clone)]
pub struct Topology {
    prefix: String,
}

/// A durable queue to declare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// The full name.
    pub name: String,
    /// The jobs in it; `None` for the queues of submissions and of dead letters.
    pub holds: Option<Lane>,
    /// Declared with exactly these.
    pub arguments: Vec<(&'static str, Argument)>,
}

/// The value of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A string.
    Text(String),
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
}

impl Topology {
    /// The names under a prefix such as `wqw.`.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into() }
    }

    /// The name of a lane.
    pub fn lane(&self, lane: Lane) -> String {
        format!("{}{lane}", self.prefix)
    }

    /// The name of the dead-letter queue.
    pub fn dead(&self) -> String {
        format!("{}dead", self.prefix)
    }

    /// The name of the queue where programs elsewhere submit jobs.
    pub fn submit(&self) -> String {
        format!("{}submit", self.prefix)
    }

    /// The name of the exchange of status hints.
    pub fn events(&self) -> String {
        format!("{}events", self.prefix)
    }

    /// Every durable queue: those of these lanes, the one for submissions, and the one for dead letters.
    pub fn queues(&self, lanes: impl IntoIterator<Item = Lane>) -> Vec<QueueSpec> {
        let jobs = lanes.into_iter().map(|lane| self.jobs(lane));
        [self.dead_letters(), self.work(self.submit(), None)].into_iter().chain(jobs).collect()
    }

    fn jobs(&self, lane: Lane) -> QueueSpec {
        let mut spec = self.work(self.lane(lane), Some(lane));
        if lane.queue == Queue::QUARANTINE {
            // However many workers there are, one of them has it; the next one when that is gone.
            spec.arguments.push(("x-single-active-consumer", Argument::Flag(true)));
        }
        spec
    }

    fn work(&self, name: String, holds: Option<Lane>) -> QueueSpec {
        QueueSpec {
            name,
            holds,
            arguments: vec![
                ("x-queue-type", Argument::Text("quorum".into())),
                ("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)),
                ("x-dead-letter-exchange", Argument::Text(String::new())),
                ("x-dead-letter-routing-key", Argument::Text(self.dead())),
                // Removed from here only once it is safe over there, which needs reject-publish.
                ("x-dead-letter-strategy", Argument::Text("at-least-once".into())),
                ("x-overflow", Argument::Text("reject-publish".into())),
            ],
        }
    }

    fn dead_letters(&self) -> QueueSpec {
        QueueSpec {
            name: self.dead(),
            holds: None,
            arguments: vec![
                ("x-queue-type", Argument::Text("quorum".into())),
                ("x-max-length", Argument::Number(DEAD_LETTERS_KEPT)),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_is_declared_under_the_prefix_and_none_takes_the_dead_letter_name() {
        let topology = Topology::new("shop.");
        let names: Vec<_> = topology.queues(Lane::all()).into_iter().map(|queue| queue.name).collect();
        let mut expected = vec!["shop.dead".to_owned(), "shop.submit".to_owned()];
        for queue in Queue::ALL {
            expected.extend([format!("shop.{queue}.express"), format!("shop.{queue}")]);
        }
        assert_eq!(names, expected);
        assert_eq!(topology.events(), "shop.events");
        assert_eq!(Queue::named("dead"), None);
    }

    #[test]
    fn what_a_queue_gives_up_on_goes_to_the_dead_letter_queue() {
        let topology = Topology::new("shop.");
        for queue in topology.queues(Lane::all()).into_iter().filter(|queue| queue.holds.is_some()) {
            let target = Argument::Text(topology.dead());
            assert!(queue.arguments.contains(&("x-dead-letter-routing-key", target)), "{queue:?}");
        }
    }
}
