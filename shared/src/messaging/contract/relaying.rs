//! The relay at a broker that is there and takes nothing.

use tokio_util::sync::CancellationToken;

use super::server::Server;
use super::*;
use crate::db::jobs::enqueue::{Options, enqueue};
use crate::db::jobs::status;
use crate::db::{DatabaseSettings, DatabaseUrl, Db, Limits, SignalReceivers};
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use model::job::JobState;

/// More than are tried one by one here.
const JOBS: usize = 8;

async fn database(folder: &tempfile::TempDir) -> (Db, SignalReceivers) {
    let url = DatabaseUrl::Sqlite(folder.path().join("test.db"));
    let (db, signals) =
        Db::open(&DatabaseSettings { url, max_connections: 1, limits: Limits::default() }).unwrap();
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
    let crate::db::Conn::Sqlite(mut conn) = db.conn().await.unwrap() else { unreachable!() };
    conn.batch_execute("UPDATE jobs SET due_at = created_at WHERE state = 'queued'").await.unwrap();
}

/// To the queues and the exchange of a test, and not to the one that jobs are published by.
const EVERYTHING_BUT_PUBLISHING: &str = "^test-";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs servers: scripts/test"]
async fn while_nothing_may_be_published_one_message_at_a_time_is_tried_ever_more_rarely() {
    let server = Server::from_environment();
    // Otherwise the relay would hear of new queues, and look at their rows.
    what_is_new_is_reported_once(&server.connected().await).await;
    let broker = Broker::rabbitmq(server.user_who_may_write(EVERYTHING_BUT_PUBLISHING).await).unwrap();
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
    server.user_who_may_write(".*").await;
    eventually("it publishes", async || broker.publish(IMAGES, &envelope()).await.is_ok()).await;
    due_now(&db).await;
    let mut subscription = broker.subscribe(IMAGES, 100).await;
    let mut missing: HashSet<JobId> = jobs.into_iter().collect();
    while !missing.is_empty() {
        let delivery = delivered(&mut subscription).await;
        missing.remove(&job(&delivery));
        delivery.ack().await;
    }
    stop.cancel();
    timeout(PATIENCE, relay).await.expect("the relay does not end").unwrap();
    server.clean_up().await;
}
