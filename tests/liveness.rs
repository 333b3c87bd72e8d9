//! `/livez` of a worker: red when it does no work though it could, and only then.

use std::time::{Duration, Instant};

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};

use crate::harness::{App, Gate, Setup, eventually, on_production, within};

/// What the promise says.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// A part may be silent for 25 s: whoever is green for longer than that was not silent.
const LONGER_THAN_SILENCE: Duration = Duration::from_secs(32);

async fn livez(app: &App) -> (u16, Value) {
    let answer = app.worker_client(0).get("/livez").await;
    (answer.status, answer.json())
}

/// Gives the dead parts, which must be named in time; since when something is broken, the caller knows.
async fn red(app: &App, since: Instant) -> Value {
    let left = NOTICED_WITHIN.saturating_sub(since.elapsed());
    within(left, "/livez to turn red", async || match livez(app).await {
        (503, body) => Some(body["parts"].clone()),
        _ => None,
    })
    .await
}

async fn green(app: &App) {
    eventually("/livez to be green", async || (livez(app).await.0 == 200).then_some(())).await;
}

async fn is_alive_for_longer_than_silence(app: &App) {
    let begun = Instant::now();
    within(LONGER_THAN_SILENCE + Duration::from_secs(5), "time to pass", async || {
        let (status, body) = livez(app).await;
        assert_eq!(status, 200, "after {:?}: {body}", begun.elapsed());
        (begun.elapsed() > LONGER_THAN_SILENCE).then_some(())
    })
    .await;
}

/// Somebody else has the queue for himself, so that the broker is there and lets nobody consume.
async fn a_worker_that_may_not_consume_is_dead_within_thirty_seconds(setup: Setup) {
    let app = setup.start().await;
    green(&app).await;
    let production = app.production();
    let thief = Connection::connect(&production.amqp_url, ConnectionProperties::default()).await.unwrap();
    let since = Instant::now();
    take_for_itself(&thief, &format!("{}images", production.prefix)).await;
    assert_eq!(red(&app, since).await, json!(["images"]));
    thief.close(200, "bye".into()).await.unwrap();
    green(&app).await;
    app.visitor().await.ready_photo().await;
}

/// Deletes a queue and makes an exclusive one of that name, before anybody else makes it again.
async fn take_for_itself(connection: &Connection, queue: &str) {
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    eventually("the queue to be the test's own", async || {
        // A refusal closes the channel.
        let channel = connection.create_channel().await.unwrap();
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
        channel.queue_declare(queue.into(), exclusive, FieldTable::default()).await.ok()
    })
    .await;
}

/// Everything that its loops ask waits for locks that are not given back. A restart would cure nothing.
async fn a_worker_whose_database_does_not_answer_is_alive_and_says_so(setup: Setup) {
    let app = setup.with("LEASE_SECONDS", 3).start().await;
    green(&app).await;
    // Apart, so that they wait for nobody who waits for them.
    let (processes, jobs) = (app.console().await, app.console().await);
    processes.batch_execute("BEGIN; LOCK TABLE processes IN ACCESS EXCLUSIVE MODE").await.unwrap();
    jobs.batch_execute("BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    eventually("the worker to say that the database does not answer", async || {
        (livez(&app).await == (200, json!({"status": "degraded", "database": false}))).then_some(())
    })
    .await;
    is_alive_for_longer_than_silence(&app).await;
    jobs.batch_execute("ROLLBACK").await.unwrap();
    processes.batch_execute("ROLLBACK").await.unwrap();
    eventually("the worker to be well", async || (livez(&app).await == well()).then_some(())).await;
    app.visitor().await.ready_photo().await;
}

/// As a frozen server, or a network that drops packets: connections are there, and no answer comes.
async fn a_worker_whose_database_says_nothing_is_alive_and_says_so(setup: Setup) {
    let mut app = setup.start().await;
    let gate = Gate::to(&app.production().database_url).await;
    app.stop_gracefully().await;
    app.set("DATABASE_URL", &gate.url);
    app.start_again().await;
    green(&app).await;
    gate.set_open(false);
    is_alive_for_longer_than_silence(&app).await;
    assert_eq!(livez(&app).await, (200, json!({"status": "degraded", "database": false})));
    gate.set_open(true);
    eventually("the worker to be well", async || (livez(&app).await == well()).then_some(())).await;
    app.visitor().await.ready_photo().await;
}

/// What a worker says of whom nothing is to be said.
fn well() -> (u16, Value) {
    (200, json!({"status": "ok", "database": true}))
}

async fn a_worker_whose_broker_is_away_is_not_dead(setup: Setup) {
    let app = setup.on_fault_servers().await.start().await;
    green(&app).await;
    // Not killed: RabbitMQ 3.10 may come back from that with a queue that finds no leader for minutes, and a worker
    // that can't consume from a broker that is there is red for good reason.
    app.faults().rabbitmq("stop").await;
    let worker = app.worker_client(0);
    eventually("the worker to say that the broker is away", async || {
        let ready = worker.get("/readyz").await;
        (ready.status == 503 && ready.json()["broker"] == false).then_some(())
    })
    .await;
    let begun = Instant::now();
    within(LONGER_THAN_SILENCE + Duration::from_secs(5), "time to pass", async || {
        assert_eq!(livez(&app).await, well(), "after {:?}", begun.elapsed());
        (begun.elapsed() > LONGER_THAN_SILENCE).then_some(())
    })
    .await;
    app.faults().rabbitmq("start").await;
    app.visitor().await.ready_photo().await;
    green(&app).await;
}

on_production!(
    a_worker_that_may_not_consume_is_dead_within_thirty_seconds,
    a_worker_whose_database_does_not_answer_is_alive_and_says_so,
    a_worker_whose_database_says_nothing_is_alive_and_says_so,
    a_worker_whose_broker_is_away_is_not_dead,
);
