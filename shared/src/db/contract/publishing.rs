//! The relay at a broker that is there and takes nothing.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use ::jobs::enqueue::{Options, enqueue};
use ::jobs::{relay, status};
use broker::{Broker, PublishError, Publishing, RabbitMqSettings};
use database::{DatabaseSettings, DatabaseUrl, Db, Limits, SignalReceivers};
use model::job::JobState;
use model::{Envelope, JobId, Lane};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::bench::PATIENCE;
use crate::domain::PhotoId;
use crate::jobs::{MakeThumbnails, queues};

const IMAGES: Lane = Lane::ordinary(queues::IMAGES);

/// More than are tried one by one here.
const JOBS: usize = 8;

async fn database(folder: &tempfile::TempDir) -> (Db, SignalReceivers) {
    let url = DatabaseUrl::Sqlite(folder.path().join("test.db"));
    let (db, signals) = Db::open(&DatabaseSettings {
        url,
        max_connections: 1,
        limits: Limits::default(),
        migrations: crate::db::migrations::MIGRATIONS,
    })
    .unwrap();
    db.migrate().await.unwrap();
    (db, signals)
}

/// Jobs that become due in a moment: nobody hands them over, the relay finds them in the table.
async fn soon_due(db: &Db) -> Vec<JobId> {
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        let mut tx = db.begin().await.unwrap();
        let options = Options { delay: Duration::from_millis(1), ..Options::default() };
        let args = MakeThumbnails { photo_id: PhotoId::new() };
        jobs.push(enqueue(&mut tx, &args, options).await.unwrap().id);
        tx.commit().await.unwrap();
    }
    jobs
}

/// How many were ever taken from the table: what is not published stays `queued`, and is due again later.
async fn taken(db: &Db, jobs: &[JobId]) -> u32 {
    let mut taken = 0;
    let mut conn = db.conn().await.unwrap();
    for job in jobs {
        let job = status::find(&mut conn, *job).await.unwrap().unwrap();
        taken += u32::from(job.state == JobState::Queued);
    }
    taken
}

/// Those that were refused would be due in minutes.
async fn due_now(db: &Db) {
    use diesel_async::SimpleAsyncConnection;
    let database::Conn::Sqlite(mut conn) = db.conn().await.unwrap() else { unreachable!() };
    conn.batch_execute("UPDATE jobs SET due_at = created_at WHERE state = 'queued'").await.unwrap();
}

/// To the queues and the exchange of a test, and not to the one that jobs are published by.
const EVERYTHING_BUT_PUBLISHING: &str = "^test-";

/// A user of the broker whose rights a test may change.
struct User {
    name: String,
    url: String,
    api: String,
}

impl User {
    fn new() -> Self {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name}: see scripts/test"));
        let name = format!("test-{}", uuid::Uuid::now_v7());
        let mut url = reqwest::Url::parse(&variable("TEST_AMQP_URL")).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("pw")).unwrap();
        Self { name, url: url.into(), api: variable("TEST_RABBITMQ_API") }
    }

    fn settings(&self) -> RabbitMqSettings {
        RabbitMqSettings {
            url: self.url.clone(),
            queue_prefix: format!("{}.", self.name),
            connection_name: self.name.clone(),
        }
    }

    /// It is made, or its rights are changed. (A channel remembers for a while what it may.)
    async fn may_write(&self, names: &str) {
        self.put("users", json!({"password": "pw", "tags": ""})).await;
        self.put("permissions/%2f", json!({"configure": ".*", "write": names, "read": ".*"})).await;
    }

    async fn put(&self, what: &str, body: Value) {
        let address = format!("{}/api/{what}/{}", self.api, self.name);
        let answer = reqwest::Client::new().put(address).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}");
    }

    async fn remove(&self) {
        let address = format!("{}/api/users/{}", self.api, self.name);
        reqwest::Client::new().delete(address).send().await.unwrap();
    }
}

fn envelope() -> Envelope {
    Envelope { job: JobId::new(), kind: "none".into(), version: 1, traceparent: None, correlation_id: None }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: scripts/test"]
async fn while_nothing_may_be_published_one_message_at_a_time_is_tried_ever_more_rarely() {
    crate::jobs::register();
    let user = User::new();
    user.may_write(".*").await;
    // The queues are there before: else the relay would hear of new ones, and look at their rows.
    let first = Broker::rabbitmq(user.settings()).unwrap();
    for _ in Lane::all() {
        timeout(PATIENCE, first.recreated()).await.expect("the queues are not made");
    }
    first.close().await;
    user.may_write(EVERYTHING_BUT_PUBLISHING).await;
    let broker = Broker::rabbitmq(user.settings()).unwrap();
    eventually("it is connected", async || broker.connected()).await;
    while broker.publishing() != Publishing::Fails {
        assert_eq!(broker.publish(IMAGES, &envelope()).await, Err(PublishError::Forbidden));
    }
    assert!(broker.connected() && !broker.can_publish());

    let folder = tempfile::tempdir().unwrap();
    let (db, signals) = database(&folder).await;
    let jobs = soon_due(&db).await;
    let (stop, wake) = (CancellationToken::new(), signals.wake.clone());
    let begun = Instant::now();
    let relay = tokio::spawn(relay::run(db.clone(), broker.clone(), signals, stop.clone()));
    eventually("it tries four of them", async || {
        // As each commit does.
        wake.notify_one();
        let tries = taken(&db, &jobs).await;
        // Between two tries is at least half a second, one second, two seconds.
        let least =
            Duration::from_millis(500) * 2_u32.pow(tries.saturating_sub(1)) - Duration::from_millis(500);
        assert!(begun.elapsed() >= least, "{tries} tries within {:?}", begun.elapsed());
        tries >= 4
    })
    .await;

    // It takes messages again: all of them are there, those that were refused, too.
    user.may_write(".*").await;
    eventually("it publishes", async || broker.publish(IMAGES, &envelope()).await.is_ok()).await;
    due_now(&db).await;
    let mut subscription = broker.subscribe(IMAGES, 100).await;
    let mut missing: HashSet<JobId> = jobs.into_iter().collect();
    while !missing.is_empty() {
        let delivery = timeout(PATIENCE, subscription.next()).await.expect("nothing was delivered").unwrap();
        missing.remove(&Envelope::parse(&delivery.body).unwrap().job);
        delivery.ack().await;
    }
    stop.cancel();
    timeout(PATIENCE, relay).await.expect("the relay does not end").unwrap();
    user.remove().await;
}
