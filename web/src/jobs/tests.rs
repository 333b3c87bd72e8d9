//! The hub against a real database and the broker of the all-in-one.

use std::time::Duration;

use ::jobs::Job;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::subject::cancel_job;
use broker::{Broker, StatusHint};
use database::{DatabaseSettings, DatabaseUrl, Db, SignalReceivers};
use model::job::JobState;
use shared::domain::PhotoId;
use shared::jobs::MakeThumbnails;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hub::StatusHub;

/// Longer than anything here takes, shorter than the fallback: what comes within it came by a hint.
const PATIENCE: Duration = Duration::from_secs(10);

struct Waiting {
    db: Db,
    broker: Broker,
    hub: StatusHub,
    stop: CancellationToken,
    _signals: SignalReceivers,
    _folder: tempfile::TempDir,
}

async fn shop() -> Waiting {
    shared::jobs::register();
    let folder = tempfile::tempdir().unwrap();
    let settings = DatabaseSettings {
        url: DatabaseUrl::Sqlite(folder.path().join("shop.db")),
        max_connections: 1,
        limits: database::Limits::default(),
        migrations: shared::db::migrations::MIGRATIONS,
    };
    let (db, signals) = Db::open(&settings).unwrap();
    db.migrate().await.unwrap();
    let (broker, stop) = (Broker::in_process(), CancellationToken::new());
    let hub = StatusHub::new(db.clone());
    tokio::spawn(hub.clone().follow(broker.clone(), stop.clone()));
    Waiting { db, broker, hub, stop, _signals: signals, _folder: folder }
}

impl Waiting {
    async fn job(&self) -> Job {
        let mut tx = self.db.begin().await.unwrap();
        let args = MakeThumbnails { photo_id: PhotoId::new() };
        let job = enqueue(&mut tx, &args, Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        job
    }

    async fn cancel(&self, job: &Job) {
        let mut tx = self.db.begin().await.unwrap();
        cancel_job(&mut tx, job.id).await.unwrap();
        tx.commit().await.unwrap();
        self.broker.publish_status(StatusHint { job: job.id, version: job.version + 1 }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_who_waits_for_a_job_hears_of_its_change() {
    let shop = shop().await;
    let (job, other) = (shop.job().await, shop.job().await);
    let mut first = shop.hub.subscribe(job.id);
    let mut second = shop.hub.subscribe(job.id);
    let mut elsewhere = shop.hub.subscribe(other.id);
    assert_eq!(shop.hub.awaited(), 2);
    shop.cancel(&job).await;
    for waiter in [&mut first, &mut second] {
        let seen = timeout(PATIENCE, waiter.changed_from(&job)).await.unwrap().unwrap();
        assert_eq!(seen.state, JobState::Cancelled);
    }
    let quiet = timeout(Duration::from_millis(50), elsewhere.changed_from(&other)).await;
    assert!(quiet.is_err(), "the other job did not change");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_before_the_wait_is_not_missed() {
    let shop = shop().await;
    let job = shop.job().await;
    let mut waiter = shop.hub.subscribe(job.id);
    shop.cancel(&job).await;
    let seen = timeout(PATIENCE, waiter.changed_from(&job)).await.unwrap().unwrap();
    assert!(seen.version > job.version);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_forgotten_with_the_last_who_waits_for_it() {
    let shop = shop().await;
    let job = shop.job().await;
    let (first, second) = (shop.hub.subscribe(job.id), shop.hub.subscribe(job.id));
    drop(first);
    assert_eq!(shop.hub.awaited(), 1);
    drop(second);
    assert_eq!(shop.hub.awaited(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wait_ends_when_the_process_stops() {
    let shop = shop().await;
    let job = shop.job().await;
    let mut waiter = shop.hub.subscribe(job.id);
    shop.stop.cancel();
    assert!(timeout(PATIENCE, waiter.changed_from(&job)).await.unwrap().is_none());
    assert!(shop.hub.is_closed());
}
