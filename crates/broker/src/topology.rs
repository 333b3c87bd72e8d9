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
//! Arguments can't be changed once a queue exists: other ones make another queue, whose name says their
//! generation ([`GENERATIONS`]). `{prefix}mail` is followed by `{prefix}mail.v2`; publishers know only the
//! present one, consumers also what is left in the former ones. How to change one: `docs/change.md`.
//!
//! Every argument here is understood by RabbitMQ 3.10 and 4.x alike; whatever operators may want to tune
//! (lengths, lifetimes) belongs in a policy.

use std::fmt::Display;

use model::{Lane, Queue};

/// How often a message may be delivered before the broker gives up on it. What counts as a delivery,
/// and the limit when none is set, differ between RabbitMQ 3.10, 4.0 and 4.3; so it is set, and so high
/// that only a loop reaches it. The row knows better how often its job was tried.
pub const DELIVERY_LIMIT: i64 = 1000;

/// How many dead messages are kept, the oldest go first. They are ids; their rows are not touched.
pub const DEAD_LETTERS_KEPT: i64 = 100_000;

/// How many hints the broker keeps for a process that reads slowly, the oldest go first.
pub const HINTS_KEPT: i64 = 10_000;

/// Which generation the arguments of each sort of queue are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// Of the queues of jobs.
    pub jobs: u32,
    /// Of the quarantine, which has one argument more.
    pub quarantine: u32,
    /// Of the queue of submissions. Programs elsewhere know its name: tell them the new one.
    pub submit: u32,
    /// Of the queue of dead letters. Its name is an argument of the others: they begin a new one, too.
    pub dead: u32,
}

/// Raised with every change of an argument; a test holds that.
pub const GENERATIONS: Generations = Generations { jobs: 1, quarantine: 1, submit: 1, dead: 1 };

/// The names of one installation; several can share a broker under different prefixes.
#[derive(Debug, Clone)]
pub struct Topology {
    prefix: String,
    generations: Generations,
    delivery_limit: i64,
}

/// What is consumed as one: a queue, and those that were it before its arguments changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// The queue of the present generation.
    pub name: String,
    /// Those of the former ones, the newest first; hardly ever is one of them there.
    pub former: Vec<String>,
    /// Whether a former one is deleted when nobody uses it any more.
    pub disposable: bool,
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
        Self { prefix: prefix.into(), generations: GENERATIONS, delivery_limit: DELIVERY_LIMIT }
    }

    /// As it may be one day: with another delivery limit, and so with queues of another generation.
    #[cfg(test)]
    pub(super) fn of_the_next_generation(prefix: impl Into<String>) -> Self {
        let Generations { jobs, quarantine, submit, dead } = GENERATIONS;
        let (jobs, quarantine, submit) = (jobs + 1, quarantine + 1, submit + 1);
        let generations = Generations { jobs, quarantine, submit, dead };
        Self { generations, delivery_limit: DELIVERY_LIMIT - 1, ..Self::new(prefix) }
    }

    /// The name of a lane.
    pub fn lane(&self, lane: Lane) -> String {
        self.name(&lane, self.generation(lane))
    }

    /// The queues that a lane is consumed from. Their messages are hints, so that a former one may go.
    ///
    /// Of the quarantine it is the present one alone: with two of them, two workers could be at it at a time. Its
    /// rows are published again, to the present one.
    pub fn consumed_lane(&self, lane: Lane) -> Consumed {
        match lane.queue {
            Queue::QUARANTINE => Consumed { name: self.lane(lane), former: Vec::new(), disposable: true },
            _ => self.consumed(&lane, self.generation(lane), true),
        }
    }

    fn generation(&self, lane: Lane) -> u32 {
        match lane.queue {
            Queue::QUARANTINE => self.generations.quarantine,
            _ => self.generations.jobs,
        }
    }

    /// The name of the dead-letter queue.
    pub fn dead(&self) -> String {
        self.name(&"dead", self.generations.dead)
    }

    /// The name of the queue where programs elsewhere submit jobs.
    pub fn submit(&self) -> String {
        self.name(&"submit", self.generations.submit)
    }

    /// The queues that submissions are consumed from. A former one is not ours to delete: a program that
    /// still publishes to it would not notice that its messages go nowhere.
    pub fn consumed_submissions(&self) -> Consumed {
        self.consumed(&"submit", self.generations.submit, false)
    }

    fn name(&self, queue: &dyn Display, generation: u32) -> String {
        match generation {
            1 => format!("{}{queue}", self.prefix),
            later => format!("{}{queue}.v{later}", self.prefix),
        }
    }

    fn consumed(&self, queue: &dyn Display, generation: u32, disposable: bool) -> Consumed {
        let former = (1..generation).rev().map(|former| self.name(queue, former)).collect();
        Consumed { name: self.name(queue, generation), former, disposable }
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
                ("x-delivery-limit", Argument::Number(self.delivery_limit)),
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

    const MAIL: Queue = Queue::new("mail");

    #[test]
    fn every_queue_is_declared_under_the_prefix_and_none_takes_the_dead_letter_name() {
        let topology = Topology::new("shop.");
        let names: Vec<_> = topology.queues(Lane::all()).into_iter().map(|queue| queue.name).collect();
        let mut expected = vec!["shop.dead".to_owned(), "shop.submit".to_owned()];
        for queue in Queue::all() {
            expected.push(format!("shop.{queue}.express"));
            expected.push(format!("shop.{queue}"));
        }
        assert_eq!(names, expected);
        assert_eq!(topology.events(), "shop.events");
        assert_eq!(Queue::named("dead"), None);
    }

    #[test]
    fn the_arguments_of_a_generation_never_change() {
        // Failed? Raise the generation in `GENERATIONS`, then write down here what it has from now on.
        assert_eq!(GENERATIONS, Generations { jobs: 1, quarantine: 1, submit: 1, dead: 1 });
        let work = "x-queue-type=quorum x-delivery-limit=1000 x-dead-letter-exchange= \
                    x-dead-letter-routing-key=shop.dead x-dead-letter-strategy=at-least-once \
                    x-overflow=reject-publish";
        let expected = [
            ("shop.dead", "x-queue-type=quorum x-max-length=100000"),
            ("shop.submit", work),
            ("shop.mail", work),
            ("shop.quarantine", &format!("{work} x-single-active-consumer=true")),
        ];
        let lanes = [MAIL, Queue::QUARANTINE].map(Lane::ordinary);
        let declared = Topology::new("shop.").queues(lanes);
        let in_words = |(name, value): &(&str, Argument)| match value {
            Argument::Text(text) => format!("{name}={text}"),
            Argument::Number(number) => format!("{name}={number}"),
            Argument::Flag(flag) => format!("{name}={flag}"),
        };
        assert_eq!(declared.len(), expected.len());
        for (queue, (name, arguments)) in std::iter::zip(declared, expected) {
            let words: Vec<String> = queue.arguments.iter().map(in_words).collect();
            assert_eq!((queue.name.as_str(), words.join(" ").as_str()), (name, arguments));
        }
    }

    #[test]
    fn a_new_generation_has_a_new_name_and_knows_the_former_ones() {
        let mail = MAIL.lanes();
        let mut topology = Topology::new("shop.");
        let now = topology.consumed_lane(mail[0]);
        assert_eq!((now.name.as_str(), now.former.len()), ("shop.mail.express", 0));
        topology.generations = Generations { jobs: 3, quarantine: 2, submit: 2, dead: 1 };
        let later = topology.consumed_lane(mail[0]);
        assert_eq!(later.name, topology.lane(mail[0]));
        assert_eq!(later.name, "shop.mail.express.v3");
        assert_eq!(later.former, ["shop.mail.express.v2", "shop.mail.express"]);
        let quarantine = topology.consumed_lane(Lane::ordinary(Queue::QUARANTINE));
        assert_eq!((quarantine.name.as_str(), quarantine.former.len()), ("shop.quarantine.v2", 0));
        let submissions = topology.consumed_submissions();
        assert_eq!((submissions.name.as_str(), submissions.disposable), ("shop.submit.v2", false));
        assert_eq!(submissions.former, ["shop.submit"]);
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
