//! Claims and outcomes that the database leaves undecided: the delivery is held, and its job runs and ends once.
//!
//! The delivery goes to the runner without a consumer between, so that the test sees at the broker what becomes of it.

use shared::jobs::queues::MAIL;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::Subscription;
use futures_util::FutureExt;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use runtime::runner::handle;

use super::*;

/// Nobody here consumes it.
const LANE: Lane = Lane::ordinary(MAIL);

/// SQLite's own words for a file that another program has: trying again later may help.
const UNDECIDED: &str = "SELECT RAISE(ABORT, 'database is locked')";

static RUNS: Mutex<Vec<JobId>> = Mutex::new(Vec::new());

const HANDLERS: &[Handler] = &[does(MakeThumbnails::NAME, PATIENCE, |context| {
    Box::pin(async move {
        RUNS.lock().unwrap().push(context.job.id);
        Ok(Outcome::Done(json!("made")))
    })
})];

/// Counts the lines of the log in which these words are.
#[derive(Clone)]
struct Heard {
    words: &'static str,
    times: Arc<AtomicUsize>,
}

impl Subscriber for Heard {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl Visit for Heard {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && format!("{value:?}").contains(self.words) {
            self.times.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A message in the runner's hands, and the line that it came from.
struct Held {
    job: JobId,
    task: JoinHandle<()>,
    /// With a prefetch of one: it gives the next message when this one is acked, this one when it is given back.
    line: Subscription,
    /// What lies behind it in the line.
    behind: JobId,
    heard: Heard,
}

impl Held {
    /// Hands the runner a job's message, and waits until the log has said so often that it is not decided.
    async fn by_the_runner(shop: &Shop, words: &'static str) -> Self {
        let mut line = shop.broker.subscribe(LANE, 1).await;
        let job = shop.enqueue_for_mail().await;
        let delivery = tokio::time::timeout(PATIENCE, line.next()).await.unwrap().unwrap();
        assert_eq!(Envelope::parse(&delivery.body).unwrap().job, job);
        let behind = JobId::new();
        let (kind, version) = (MakeThumbnails::NAME.to_owned(), 1);
        let next = Envelope { job: behind, kind, version, traceparent: None, correlation_id: None };
        shop.broker.publish(LANE, &next).await.unwrap();
        let heard = Heard { words, times: Arc::default() };
        let worker = shop.worker.clone();
        let handling = async move { handle(&worker, LANE, delivery).await };
        let task = tokio::spawn(handling.with_subscriber(heard.clone()));
        let mut held = Self { job, task, line, behind, heard };
        super::stopping::until(|| held.heard.times.load(Ordering::SeqCst) >= 2 || held.task.is_finished())
            .await;
        held.is_held();
        held
    }

    /// It was neither acked nor given back.
    fn is_held(&mut self) {
        assert!(!self.task.is_finished(), "the runner let go of it");
        assert!(self.line.next().now_or_never().is_none(), "its place in the line is free");
    }

    /// The database answers again: it is acked. The other message needs no run.
    async fn until_acked(mut self) {
        tokio::time::timeout(PATIENCE, self.task).await.expect("it is held for ever").unwrap();
        let next = self.line.next().now_or_never().expect("it was not settled").unwrap();
        let job = Envelope::parse(&next.body).unwrap().job;
        assert_eq!((job, next.redelivered), (self.behind, false), "the next one comes: it was acked");
        next.ack().await;
    }
}

impl Shop {
    async fn enqueue_for_mail(&self) -> JobId {
        let mut tx = self.db.begin().await.unwrap();
        let options = Options { queue: Some(LANE.queue), ..Options::default() };
        let job = enqueue(&mut tx, &photo(), options).await.unwrap();
        tx.commit().await.unwrap();
        job.id
    }
}

fn runs_of(job: JobId) -> usize {
    RUNS.lock().unwrap().iter().filter(|run| **run == job).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_claim_is_undecided_its_message_is_held_and_then_the_job_runs_once() {
    let shop = Shop::open(HANDLERS).await;
    super::stopping::until(|| shop.worker.lease.is_held()).await;
    shop.sql(&format!(
        "CREATE TRIGGER undecided BEFORE UPDATE OF state ON jobs WHEN NEW.state = 'running' BEGIN {UNDECIDED}; END"
    ))
    .await;
    let held = Held::by_the_runner(&shop, "the claim is undecided").await;
    let job = shop.job(held.job).await;
    assert_eq!((job.state, job.fence, job.attempt, job.published), (JobState::Queued, 0, 0, 1));
    assert_eq!(runs_of(job.id), 0);

    shop.sql("DROP TRIGGER undecided").await;
    held.until_acked().await;
    let job = shop.job(job.id).await;
    assert_eq!((job.state, job.fence, job.attempt, job.lapses), (JobState::Succeeded, 1, 1, 0));
    assert_eq!(runs_of(job.id), 1);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_outcome_is_undecided_its_message_is_held_and_then_the_job_ends_once() {
    let shop = Shop::open(HANDLERS).await;
    super::stopping::until(|| shop.worker.lease.is_held()).await;
    shop.sql(&format!(
        "CREATE TRIGGER undecided BEFORE UPDATE OF state ON jobs WHEN NEW.state = 'succeeded' BEGIN {UNDECIDED}; END"
    ))
    .await;
    let held = Held::by_the_runner(&shop, "not written").await;
    let job = shop.job(held.job).await;
    assert_eq!((job.state, job.fence, job.attempt), (JobState::Running, 1, 1), "nobody gave it to another");
    assert_eq!(runs_of(job.id), 1);

    shop.sql("DROP TRIGGER undecided").await;
    held.until_acked().await;
    let job = shop.job(job.id).await;
    assert_eq!((job.state, job.fence, job.attempt, job.lapses), (JobState::Succeeded, 1, 1, 0));
    assert_eq!((job.result.clone(), messages(&job).len()), (Some(json!("made")), 0));
    assert_eq!(runs_of(job.id), 1, "it was not run again for its outcome");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_a_message_back_whose_claim_is_undecided() {
    let shop = Shop::open(HANDLERS).await;
    super::stopping::until(|| shop.worker.lease.is_held()).await;
    shop.sql(&format!(
        "CREATE TRIGGER undecided BEFORE UPDATE OF state ON jobs WHEN NEW.state = 'running' BEGIN {UNDECIDED}; END"
    ))
    .await;
    let mut held = Held::by_the_runner(&shop, "the claim is undecided").await;
    shop.stop.cancel();
    tokio::time::timeout(PATIENCE, held.task).await.expect("it is held for ever").unwrap();
    let again = held.line.next().now_or_never().expect("it was not settled").unwrap();
    assert_eq!((Envelope::parse(&again.body).unwrap().job, again.redelivered), (held.job, true));
    assert_eq!(shop.job(held.job).await.state, JobState::Queued);
    shop.close().await;
}
