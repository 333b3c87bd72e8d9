//! What needs a RabbitMQ server: it is told through its management API to do what servers do.

use std::env;

use lapin::options::{BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::Value;

use crate::contract::*;
use crate::topology::Topology;

/// One RabbitMQ; every test has a prefix of its own there, and leaves its queues to the end of the server: one that is
/// deleted in the moment of its making ends, on RabbitMQ 3.10, the supervisor of all dead-lettering.
pub(super) struct Server {
    url: String,
    api: Option<String>,
    prefix: String,
}

impl Server {
    pub(super) fn from_environment() -> Self {
        Self::new(variable("TEST_AMQP_URL"), Some(variable("TEST_RABBITMQ_API")))
    }

    pub(super) fn new(url: String, api: Option<String>) -> Self {
        model::registry::register(&[], super::QUEUES);
        Self { url, api, prefix: format!("test-{}.", uuid::Uuid::now_v7()) }
    }

    /// Where it is.
    fn address(&self) -> std::net::SocketAddr {
        let url = reqwest::Url::parse(&self.url).unwrap();
        url.socket_addrs(|| Some(5672)).unwrap()[0]
    }

    /// Its URL with another address.
    fn url_at(&self, address: std::net::SocketAddr) -> String {
        let mut url = reqwest::Url::parse(&self.url).unwrap();
        url.set_host(Some(&address.ip().to_string())).unwrap();
        url.set_port(Some(address.port())).unwrap();
        url.into()
    }

    /// A broker as a process would have it, not yet connected.
    pub(super) fn broker(&self) -> Broker {
        Broker::rabbitmq(self.settings()).unwrap()
    }

    pub(super) fn settings(&self) -> RabbitMqSettings {
        RabbitMqSettings {
            url: self.url.clone(),
            queue_prefix: self.prefix.clone(),
            connection_name: self.prefix.clone(),
        }
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the management API says of a queue; `None` when there is none.
    pub(super) async fn queue(&self, name: &str) -> Option<Value> {
        let url = format!("{}/api/queues/%2f/{name}", self.api.as_deref().unwrap());
        let answer = reqwest::get(url).await.unwrap();
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            None
        } else {
            Some(answer.json().await.unwrap())
        }
    }

    /// The first number of its version.
    pub(super) async fn major_version(&self) -> u32 {
        let url = format!("{}/api/overview", self.api.as_deref().unwrap());
        let overview: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
        let version = overview["rabbitmq_version"].as_str().unwrap();
        version.split('.').next().unwrap().parse().unwrap()
    }

    pub(super) async fn connected(&self) -> Broker {
        let broker = self.broker();
        eventually("connected", async || broker.connected()).await;
        broker
    }

    fn name(&self, lane: Lane) -> String {
        Topology::new(self.prefix.as_str()).lane(lane)
    }

    pub(super) async fn connection(&self) -> Connection {
        Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap()
    }

    async fn delete(&self, lane: Lane) {
        let channel = self.connection().await.create_channel().await.unwrap();
        channel.queue_delete(self.name(lane).into(), Default::default()).await.unwrap();
    }

    /// Closes our connections, as an operator can.
    async fn close_connections(&self) {
        let api = self.api.as_deref().unwrap();
        let client = reqwest::Client::new();
        eventually("connections were closed", async || {
            let list = client.get(format!("{api}/api/connections")).send().await.unwrap();
            let list: Value = list.json().await.unwrap();
            let ours = list.as_array().unwrap().iter().filter(|connection| {
                let name = connection["client_properties"]["connection_name"].as_str();
                name.is_some_and(|name| name.starts_with(&self.prefix))
            });
            let mut closed = 0;
            for connection in ours {
                // The name holds spaces and an arrow.
                let mut url = reqwest::Url::parse(api).unwrap();
                let name = connection["name"].as_str().unwrap();
                url.path_segments_mut().unwrap().pop_if_empty().extend(["api", "connections", name]);
                client.delete(url).send().await.unwrap().error_for_status().unwrap();
                closed += 1;
            }
            closed >= 2
        })
        .await;
    }
}

pub(super) fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/test"))
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn bytes_that_are_no_envelope_arrive_as_they_are() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    let channel = server.connection().await.create_channel().await.unwrap();
    let queue = server.name(LETTERS);
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    channel.basic_publish("".into(), queue.into(), options, b"\xff\x00 not json", properties).await.unwrap();
    let mut subscription = broker.subscribe(LETTERS, 1).await;
    assert_eq!(delivered(&mut subscription).await.body, b"\xff\x00 not json");
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_lost_connection_redelivers_what_is_unacked_and_makes_the_old_ack_stale() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    let mut subscription = broker.subscribe(COPIES, 10).await;
    let mut hints = broker.status_hints();
    assert_eq!(timeout(PATIENCE, hints.next()).await.unwrap(), Some(HintEvent::Missed));
    let id = published(&broker, COPIES).await;
    let before = delivered(&mut subscription).await;

    server.close_connections().await;
    let after = delivered(&mut subscription).await;
    assert_eq!((job(&before), job(&after), after.redelivered), (id, id, true));
    assert_eq!(before.ack().await, Settled::Stale);
    assert_eq!(after.ack().await, Settled::Acked);
    assert_eq!(timeout(PATIENCE, hints.next()).await.unwrap(), Some(HintEvent::Missed));

    eventually("connected again", async || broker.connected()).await;
    let next = published(&broker, COPIES).await;
    assert_eq!(job(&delivered(&mut subscription).await), next);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_message_to_a_missing_queue_is_an_error_and_the_queue_comes_back() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    what_is_new_is_reported_once(&broker).await;

    server.delete(SUMS).await;
    assert_eq!(broker.publish(SUMS, &envelope()).await, Err(PublishError::Unroutable));
    assert_eq!(timeout(PATIENCE, broker.recreated()).await.unwrap(), Recreated::Lane(SUMS));
    published(&broker, SUMS).await;
    assert!(timeout(QUIET, broker.recreated()).await.is_err(), "reported once");
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn of_many_in_flight_exactly_the_confirmed_ones_are_in_a_queue() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    server.delete(SUMS).await;
    let envelopes: Vec<_> = (0..300).map(|_| envelope()).collect();
    let queue = |index: usize| if index.is_multiple_of(3) { SUMS } else { COPIES };
    let publishing =
        envelopes.iter().enumerate().map(|(index, envelope)| broker.publish(queue(index), envelope));
    let results = join_all(publishing).await;
    assert!(results.contains(&Err(PublishError::Unroutable)));
    let confirmed: HashSet<_> = std::iter::zip(&envelopes, &results)
        .filter(|(_, result)| result.is_ok())
        .map(|(envelope, _)| envelope.job)
        .collect();

    let mut arrived = HashSet::new();
    for queue in [SUMS, COPIES] {
        let mut subscription = broker.subscribe(queue, 500).await;
        registered(&subscription).await;
        while let Ok(Some(delivery)) = timeout(QUIET, subscription.next()).await {
            arrived.insert(job(&delivery));
            delivery.ack().await;
        }
    }
    assert_eq!(arrived, confirmed);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_consumer_that_the_broker_cancelled_says_so_and_registers_again() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    let mut subscription = broker.subscribe(SUMS, 1).await;
    registered(&subscription).await;
    server.delete(SUMS).await;
    eventually("the loss is seen", async || !subscription.is_consuming()).await;
    registered(&subscription).await;
    let id = published(&broker, SUMS).await;
    assert_eq!(job(&delivered(&mut subscription).await), id);
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn what_the_broker_gives_up_on_ends_in_the_dead_letter_queue() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    let id = published(&broker, LETTERS).await;
    let channel = server.connection().await.create_channel().await.unwrap();
    let taken = channel.basic_get(server.name(LETTERS).into(), Default::default()).await.unwrap();
    let rejecting = BasicRejectOptions { requeue: false };
    assert!(taken.unwrap().reject(rejecting).await.unwrap());

    let dead = Topology::new(server.prefix.as_str()).dead();
    eventually("it is there", async || {
        let message = channel.basic_get(dead.as_str().into(), Default::default()).await.unwrap();
        message.is_some_and(|message| job_of(&message.data) == id)
    })
    .await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_queue_that_was_declared_otherwise_is_used_as_it_is() {
    let server = Server::from_environment();
    let channel = server.connection().await.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let name = server.name(LETTERS).into();
    channel.queue_declare(name, durable, FieldTable::default()).await.unwrap();
    let broker = server.connected().await;
    let mut subscription = broker.subscribe(LETTERS, 1).await;
    let id = published(&broker, LETTERS).await;
    assert_eq!(job(&delivered(&mut subscription).await), id);
}

#[tokio::test]
async fn a_program_starts_while_the_broker_is_down_and_publishing_fails_at_once() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("amqp://app:pw@{}", nobody.local_addr().unwrap());
    drop(nobody);
    let broker = Server::new(url, None).broker();
    let subscription = broker.subscribe(SUMS, 1).await;
    let start = Instant::now();
    assert_eq!(broker.publish(SUMS, &envelope()).await, Err(PublishError::NotConnected));
    broker.publish_status(StatusHint { job: JobId::new(), version: 1 }).await;
    assert!(start.elapsed() < rabbitmq::PUBLISH_TIMEOUT);
    assert!(!broker.connected() && !subscription.is_consuming());
    assert_eq!(broker.depth(SUMS).await, None);
    timeout(PATIENCE, broker.close()).await.unwrap();
}

/// A port that accepts and says nothing: a frozen broker, a balancer without a server behind it. Each attempt to
/// connect must really end: a time-out alone leaves a thread, its buffers and a descriptor behind.
///
/// In a process of its own, whose threads and descriptors are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_costs_neither_threads_nor_descriptors() {
    const ALONE: &str = "TEST_RUNS_ALONE";
    if env::var_os(ALONE).is_none() {
        let own = "contract::server::a_silent_broker_costs_neither_threads_nor_descriptors";
        let mut alone = tokio::process::Command::new(env::current_exe().unwrap());
        alone.args([own, "--exact", "--nocapture"]).env(ALONE, "1").kill_on_drop(true);
        let output = timeout(PATIENCE * 2, alone.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut silent = Vec::new();
    for scheme in ["amqp", "amqps"] {
        let url = format!("{scheme}://app:pw@{}", listener.local_addr().unwrap());
        let uri: lapin::uri::AMQPUri = url.parse().unwrap();
        let attempt = async || {
            let limit = Duration::from_millis(100);
            let connecting = rabbitmq::connect(uri.clone(), ConnectionProperties::default(), limit);
            let (result, accepted) = tokio::join!(connecting, listener.accept());
            assert!(result.is_err());
            accepted.unwrap().0
        };
        silent.push(attempt().await);
        let before = (count("task"), count("fd") - silent.len());
        for _ in 0..12 {
            silent.push(attempt().await);
        }
        // The client makes a few things once, when it first needs them: far fewer than one an attempt.
        eventually("every thread and descriptor is gone", async || {
            count("task") <= before.0 + 3 && count("fd") - silent.len() <= before.1 + 6
        })
        .await;
    }
    // Dropped half-way, as at the end of the program.
    let before = count("task");
    let uri = format!("amqp://app:pw@{}", listener.local_addr().unwrap()).parse().unwrap();
    let connecting = rabbitmq::connect(uri, ConnectionProperties::default(), PATIENCE);
    tokio::select! {
        _ = connecting => panic!("nobody answers"),
        accepted = listener.accept() => silent.push(accepted.unwrap().0),
    }
    eventually("the thread is gone", async || count("task") <= before).await;
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn after_a_silence_it_connects_to_the_broker_that_comes() {
    let server = Server::from_environment();
    let real = server.address();
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = RabbitMqSettings { url: server.url_at(proxy.local_addr().unwrap()), ..server.settings() };
    let topology = Topology::new(server.prefix());
    let limit = Duration::from_millis(500);
    let broker = RabbitMq::start_with(settings, topology, rabbitmq::Pace::default(), limit);
    let broker = broker.map(Broker::RabbitMq).unwrap();
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(timeout(PATIENCE, proxy.accept()).await.unwrap().unwrap().0);
    }
    assert!(!broker.can_publish());
    let forwarding = async {
        loop {
            let (mut near, _) = proxy.accept().await.unwrap();
            let mut far = tokio::net::TcpStream::connect(real).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    };
    tokio::select! {
        () = forwarding => unreachable!("forwards for ever"),
        () = eventually("it publishes", async || broker.publish(SUMS, &envelope()).await.is_ok()) => {}
    }
    assert!(broker.can_publish());
}

#[tokio::test]
#[ignore = "needs servers: scripts/test"]
async fn a_queue_that_is_full_says_nothing_of_the_others() {
    let server = Server::from_environment();
    let broker = server.connected().await;
    eventually("it can publish", async || broker.can_publish()).await;
    // A queue that refuses: it is full.
    server.delete(SUMS).await;
    let channel = server.connection().await.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    let mut full = FieldTable::default();
    full.insert("x-max-length".into(), lapin::types::AMQPValue::LongLongInt(0));
    full.insert("x-overflow".into(), lapin::types::AMQPValue::LongString("reject-publish".into()));
    channel.queue_declare(server.name(SUMS).into(), durable, full).await.unwrap();
    for _ in 0..5 {
        assert_eq!(broker.publish(SUMS, &envelope()).await, Err(PublishError::Refused));
        assert!(broker.can_publish());
    }
    assert_eq!(broker.publishing(), Publishing::Works);
    published(&broker, COPIES).await;
}
