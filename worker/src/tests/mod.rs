//! Handlers that behave badly, in a real worker on the embedded database and broker: it is given the
//! tests' own handlers under the names of real kinds.

mod stopping;
mod undecided;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ::jobs::enqueue::{Options, enqueue};
use ::jobs::settle::Progress;
use ::jobs::{Job, relay, status};
use broker::Broker;
use database::{DatabaseSettings, DatabaseUrl, Db, Limits};
use model::job::JobState;
use model::{Envelope, JobId, Kind, Lane, Program, Queue, WorkedQueues};
use platform::callbacks::{CallbackClient, CallbackPolicy};
use platform::telemetry::{Metrics, init_metrics};
use runtime::breaker::Breakers;
use runtime::context::JobContext;
use runtime::handler::{self, Handler, HandlerFuture};
use runtime::outcome::{JobError, Outcome};
use runtime::services::Services;
use runtime::stop::StopReason;
use runtime::{Duties, Worker, WorkerError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::domain::{OrderId, PhotoId};
use shared::jobs::queues::{IMAGES, MAIL, ORDERS};
use shared::jobs::{FulfilOrder, MakeThumbnails};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use runtime::outcome::Dependency;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Short, so that its renewal is soon.
const LEASE: Duration = Duration::from_secs(3);

/// A running worker, with one slot a queue.
struct Shop {
    db: Db,
    broker: Broker,
    stop: CancellationToken,
    worker: Arc<Worker>,
    running: JoinHandle<Result<(), WorkerError>>,
    relay: JoinHandle<()>,
    _folder: TempDir,
}

impl Shop {
    async fn open(handlers: &'static [Handler]) -> Self {
        shared::jobs::register();
        platform::tls::install_provider();
        let folder = tempfile::tempdir().unwrap();
        let settings = DatabaseSettings {
            url: DatabaseUrl::Sqlite(folder.path().join("test.db")),
            max_connections: 1,
            limits: Limits::default(),
            migrations: shared::db::migrations::MIGRATIONS,
        };
        let (db, signals) = Db::open(&settings).unwrap();
        db.migrate().await.unwrap();
        let services = services(&db);
        let (broker, stop) = (services.broker.clone(), CancellationToken::new());
        let relay = tokio::spawn(relay::run(db.clone(), services.broker.clone(), signals, stop.clone()));
        let slots = vec![(IMAGES, 1), (ORDERS, 1), (Queue::QUARANTINE, 1)];
        let queues = WorkedQueues { slots, follow: false };
        let duties = Duties {
            program: Program::Worker,
            queues,
            lease: LEASE,
            schedule: false,
            ingress: false,
            shutdown: Duration::from_secs(5),
        };
        let worker = Worker::new(services, handlers, duties, stop.clone()).unwrap();
        let running = tokio::spawn(runtime::run(worker.clone(), Vec::new()));
        Self { db, broker, stop, worker, running, relay, _folder: folder }
    }

    async fn enqueue<K: Kind>(&self, args: &K) -> JobId {
        let mut tx = self.db.begin().await.unwrap();
        let job = enqueue(&mut tx, args, Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        job.id
    }

    /// A job for later.
    async fn scheduled(&self) -> JobId {
        let mut tx = self.db.begin().await.unwrap();
        let later = Options { delay: Duration::from_secs(3600), ..Options::default() };
        let id = enqueue(&mut tx, &photo(), later).await.unwrap().id;
        tx.commit().await.unwrap();
        id
    }

    /// One that is suspected of killing its process, due now.
    async fn suspected<K: Kind>(&self, args: &K) -> JobId {
        let mut tx = self.db.begin().await.unwrap();
        let later = Options { delay: Duration::from_secs(3600), ..Options::default() };
        let id = enqueue(&mut tx, args, later).await.unwrap().id;
        tx.commit().await.unwrap();
        let now = "run_at = created_at, due_at = created_at";
        self.sql(&format!("UPDATE jobs SET lapses = 2, {now} WHERE state = 'pending'")).await;
        id
    }

    async fn job(&self, id: JobId) -> Job {
        status::find(&mut self.db.conn().await.unwrap(), id).await.unwrap().unwrap()
    }

    /// The job's row, once it is as it should be.
    async fn job_when(&self, id: JobId, is_so: impl Fn(&Job) -> bool) -> Job {
        let look = async {
            loop {
                let job = self.job(id).await;
                if is_so(&job) {
                    return job;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap()
    }

    /// Changes the database behind everybody's back.
    async fn sql(&self, sql: &str) {
        use diesel_async::SimpleAsyncConnection;
        let database::Conn::Sqlite(mut conn) = self.db.conn().await.unwrap() else { unreachable!() };
        conn.batch_execute(sql).await.unwrap();
    }

    async fn close(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.relay.await.unwrap();
    }
}

fn services(db: &Db) -> Services {
    static METRICS: OnceLock<Metrics> = OnceLock::new();
    Services {
        db: db.clone(),
        broker: Broker::in_process(),
        breakers: Breakers::of(&[Dependency::BLOBS]),
        callbacks: CallbackClient::new(CallbackPolicy::Https, "tests/1").unwrap(),
        keys: Arc::new("a-secret-of-the-tests-that-is-long-enough".parse().unwrap()),
        machines: Default::default(),
        metrics: METRICS.get_or_init(|| init_metrics().unwrap()).clone(),
        application: Arc::new(()),
    }
}

const fn does(kind: &'static str, timeout: Duration, run: fn(JobContext) -> HandlerFuture) -> Handler {
    Handler { kind, aliases: &[], version: 1, timeout, undoes: false, run }
}

fn photo() -> MakeThumbnails {
    MakeThumbnails { photo_id: PhotoId::new() }
}

fn messages(job: &Job) -> Vec<String> {
    job.error_log().into_iter().map(|entry| entry.message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_costs_its_job_a_try_and_no_other_job_anything() {
    static BESIDE: Notify = Notify::const_new();
    static GO_ON: Notify = Notify::const_new();
    const HANDLERS: &[Handler] = &[
        does(MakeThumbnails::NAME, PATIENCE, |context| {
            Box::pin(async move {
                assert!(context.job.attempt > 1, "the first try panics");
                Ok(Outcome::Done(json!("made")))
            })
        }),
        does(FulfilOrder::NAME, PATIENCE, |_| {
            Box::pin(async {
                BESIDE.notify_one();
                GO_ON.notified().await;
                Ok(Outcome::Done(json!("fulfilled")))
            })
        }),
    ];
    let shop = Shop::open(HANDLERS).await;
    let beside = shop.enqueue(&FulfilOrder { order_id: OrderId::new() }).await;
    BESIDE.notified().await;
    let panics = shop.enqueue(&photo()).await;
    let failed = shop.job_when(panics, |job| !messages(job).is_empty()).await;
    assert_eq!((failed.state, failed.attempt), (JobState::Pending, 1));
    assert_eq!(messages(&failed), ["the handler panicked"]);

    assert_eq!(shop.job(beside).await.state, JobState::Running, "what ran beside it runs on");
    GO_ON.notify_one();
    let beside = shop.job_when(beside, |job| job.state.is_final()).await;
    assert_eq!((beside.state, beside.attempt, beside.lapses), (JobState::Succeeded, 1, 0));
    assert_eq!(beside.result, Some(json!("fulfilled")));

    let again = shop.job_when(panics, |job| job.state.is_final()).await;
    assert_eq!((again.state, again.attempt, again.lapses), (JobState::Succeeded, 2, 0), "its slot was free");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_outlives_its_timeout_gives_its_slot_away_and_can_write_nothing() {
    static WAKE: Notify = Notify::const_new();
    static WROTE: Notify = Notify::const_new();
    static REFUSED: Mutex<Vec<bool>> = Mutex::new(Vec::new());

    /// What a handler can try that was left alone and wakes up.
    async fn write_late(context: &JobContext) -> Vec<bool> {
        let lost = |error: Option<JobError>| matches!(error, Some(JobError::LostLease(_)));
        let begun = context.begin().await.err();
        let tx = context.services.db.begin().await.unwrap();
        let progress = Progress::at(99, "late");
        let step = context.commit_step(tx, &json!({"late": true}), false, &progress).await.err();
        vec![lost(begun), lost(step)]
    }

    const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, Duration::from_secs(2), |context| {
        Box::pin(async move {
            match context.job.attempt {
                1 => {
                    WAKE.notified().await;
                    let refused = write_late(&context).await;
                    REFUSED.lock().unwrap().extend(refused);
                    WROTE.notify_one();
                    Ok(Outcome::Done(json!("late")))
                }
                // The first one wakes up in the middle of the second.
                2 => {
                    WAKE.notify_one();
                    WROTE.notified().await;
                    Ok(Outcome::Done(json!("second")))
                }
                _ => Ok(Outcome::Discard("this machine is too slow for the test".into())),
            }
        })
    })];
    let shop = Shop::open(HANDLERS).await;
    let id = shop.enqueue(&photo()).await;
    let failed = shop.job_when(id, |job| !messages(job).is_empty()).await;
    assert_eq!((failed.state, failed.attempt), (JobState::Pending, 1));
    assert_eq!(messages(&failed), ["took longer than 2 s"]);

    let over = shop.job_when(id, |job| job.state.is_final()).await;
    assert_eq!(*REFUSED.lock().unwrap(), [true, true], "neither a business row nor a checkpoint");
    assert_eq!((over.state, over.attempt, over.lapses), (JobState::Succeeded, 2, 0));
    assert_eq!((over.result, over.checkpoint), (Some(json!("second")), None));
    shop.close().await;
}

/// A kind as the last release had it.
#[derive(Debug, Serialize, Deserialize)]
struct ColourPhoto {
    tone: String,
}

impl Kind for ColourPhoto {
    const NAME: &'static str = "colour_photo";
    const QUEUE: Queue = IMAGES;
}

/// The same kind after a rename and a change of its arguments.
#[derive(Debug, Serialize, Deserialize)]
struct TintPhoto {
    tones: Vec<String>,
}

impl Kind for TintPhoto {
    const NAME: &'static str = "tint_photo";
    const ALIASES: &'static [&'static str] = &[ColourPhoto::NAME];
    const QUEUE: Queue = IMAGES;
    const VERSION: i32 = 2;

    fn upgrade(_: i32, args: Value) -> Value {
        json!({"tones": [args["tone"]]})
    }
}

fn colour(context: JobContext) -> HandlerFuture {
    Box::pin(async move {
        let args = handler::args::<ColourPhoto>(&context);
        Ok(args.map_or_else(|outcome| outcome, |args| Outcome::Done(json!({"one": args.tone}))))
    })
}

fn tint(context: JobContext) -> HandlerFuture {
    Box::pin(async move {
        let args = handler::args::<TintPhoto>(&context);
        Ok(args.map_or_else(|outcome| outcome, |args| Outcome::Done(json!({"all": args.tones}))))
    })
}

const COLOUR: Handler = Handler::of::<ColourPhoto>(colour);
const TINT: Handler = Handler::of::<TintPhoto>(tint);

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_worker_does_the_jobs_of_the_last_release_under_their_former_name() {
    const NEWER: &[Handler] = &[TINT];
    let shop = Shop::open(NEWER).await;
    let former = shop.enqueue(&ColourPhoto { tone: "sepia".into() }).await;
    let present = shop.enqueue(&TintPhoto { tones: vec!["sepia".into(), "blue".into()] }).await;
    let former = shop.job_when(former, |job| job.state.is_final()).await;
    assert_eq!((former.kind.as_str(), former.args_version), ("colour_photo", 1));
    assert_eq!(former.result, Some(json!({"all": ["sepia"]})), "by the new handler, with its arguments");
    let present = shop.job_when(present, |job| job.state.is_final()).await;
    assert_eq!((present.kind.as_str(), present.args_version), ("tint_photo", 2));
    assert_eq!(present.result, Some(json!({"all": ["sepia", "blue"]})));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_worker_leaves_jobs_of_a_newer_name_or_version_to_a_newer_one() {
    /// As the first of the three deploys of a rename has it: it knows the name, and not yet the arguments.
    const NAME_ONLY: Handler = Handler { aliases: &[TintPhoto::NAME], ..COLOUR };
    const OLDER: &[Handler] = &[NAME_ONLY];
    const OLDEST: &[Handler] = &[COLOUR];
    for handlers in [OLDER, OLDEST] {
        let shop = Shop::open(handlers).await;
        let newer = shop.enqueue(&TintPhoto { tones: vec!["blue".into()] }).await;
        let left = shop.job_when(newer, |job| job.fence > 0).await;
        assert_eq!((left.state, left.attempt), (JobState::Pending, 0), "no try is burnt");
        assert!(left.run_at > left.created_at, "it comes again later");
        let own = shop.enqueue(&ColourPhoto { tone: "sepia".into() }).await;
        let own = shop.job_when(own, |job| job.state.is_final()).await;
        assert_eq!(own.result, Some(json!({"one": "sepia"})), "what it knows, it does");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_row_says_counts_more_than_its_message() {
    const OLDER: &[Handler] = &[COLOUR];
    let shop = Shop::open(OLDER).await;
    let mut tx = shop.db.begin().await.unwrap();
    // Its own message goes where nobody works.
    let elsewhere = Options { queue: Some(MAIL), ..Options::default() };
    let job = enqueue(&mut tx, &TintPhoto { tones: vec![] }, elsewhere).await.unwrap();
    tx.commit().await.unwrap();
    let (kind, version) = (ColourPhoto::NAME.to_owned(), 1);
    let older = Envelope { job: job.id, kind, version, traceparent: None, correlation_id: None };
    shop.broker.publish(Lane::ordinary(IMAGES), &older).await.unwrap();
    let left = shop.job_when(job.id, |job| job.fence > 0 && job.state == JobState::Pending).await;
    assert_eq!((left.attempt, left.lapses, left.error_log().len()), (0, 0, 0), "no try is burnt");
    shop.close().await;
}
