//! Two transactions that want one job's row, in either order.
//!
//! A third one holds the row until both are seen to wait for it; PostgreSQL then serves them in the
//! order in which they came.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::bench::{Bench, done, end_lapsed, own};
use super::promises;
use ::jobs::cancel::{CancelOutcome, cancel};
use ::jobs::claim::{Claimed, claim, put_back_unknown};
use ::jobs::enqueue::Options;
use ::jobs::lease::put_back;
use ::jobs::processes;
use ::jobs::relay::due::take_due;
use ::jobs::unpublished::not_published;
use ::jobs::{FencedError, Job};
use database::Publication;
use model::JobId;
use model::job::{Ending, JobState};

promises!(postgres:
    of_two_workers_that_claim_a_job_one_gets_it,
    a_claim_that_comes_after_a_cancel_finds_nothing_to_do,
    a_cancel_that_comes_after_a_claim_asks_the_run,
    a_message_that_failed_after_it_was_claimed_changes_nothing,
    a_put_back_that_comes_after_a_claim_changes_nothing,
    a_cancel_that_comes_after_a_finish_finds_the_job_over,
    a_retry_that_comes_after_a_cancel_is_due_at_once,
    two_relays_share_the_due_jobs,
    a_relay_leaves_out_what_somebody_holds,
    a_run_that_is_being_finished_does_not_lapse,
    a_finish_that_comes_after_the_lapse_is_refused,
    a_lapse_that_was_listed_before_another_claim_leaves_that_alone,
    a_lease_is_renewed_beside_a_claim_that_waits,
);

fn claim_later(bench: &Bench, id: JobId) -> JoinHandle<Claimed> {
    let (db, worker) = (bench.db.clone(), bench.worker);
    tokio::spawn(async move { claim(&db, id, worker).await.unwrap() })
}

fn cancel_later(bench: &Bench, id: JobId) -> JoinHandle<CancelOutcome> {
    let db = bench.db.clone();
    tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let outcome = cancel(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        outcome
    })
}

fn fail_later(bench: &Bench, message: Publication) -> JoinHandle<()> {
    let db = bench.db.clone();
    tokio::spawn(async move { not_published(&db, &[message], Duration::ZERO).await.unwrap() })
}

async fn of_two_workers_that_claim_a_job_one_gets_it(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let held = bench.hold(&[job.id]).await;
    let first = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    let second = claim_later(bench, job.id);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert!(matches!(done(first).await, Claimed::Yes(_)));
    assert!(matches!(done(second).await, Claimed::No));
    assert_eq!(bench.job(job.id).await.fence, 1);
}

async fn a_claim_that_comes_after_a_cancel_finds_nothing_to_do(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let mut tx = bench.db.begin().await.unwrap();
    assert!(matches!(cancel(&mut tx, job.id).await.unwrap(), CancelOutcome::Cancelled(_)));
    let claimed = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert!(matches!(done(claimed).await, Claimed::No));
    assert_eq!(bench.state(job.id).await, JobState::Cancelled);
}

async fn a_cancel_that_comes_after_a_claim_asks_the_run(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let held = bench.hold(&[job.id]).await;
    let claimed = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    let cancelled = cancel_later(bench, job.id);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert!(matches!(done(claimed).await, Claimed::Yes(_)));
    assert!(matches!(done(cancelled).await, CancelOutcome::Requested(_)));
    let row = bench.job(job.id).await;
    assert_eq!((row.state, row.undoing), (JobState::Running, false));
    assert!(row.cancel_requested_at.is_some());
}

async fn a_message_that_failed_after_it_was_claimed_changes_nothing(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    let held = bench.hold(&[job.id]).await;
    let claimed = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    let failed = fail_later(bench, message);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert!(matches!(done(claimed).await, Claimed::Yes(_)));
    done(failed).await;
    assert!(bench.looked_at_again_in(job.id).await > Some(0));
    assert_eq!(bench.job(job.id).await.published, 0);
}

async fn a_put_back_that_comes_after_a_claim_changes_nothing(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let held = bench.hold(&[job.id]).await;
    let claimed = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    let db = bench.db.clone();
    let put_back =
        tokio::spawn(async move { put_back_unknown(&db, job.id, Duration::from_secs(30)).await.unwrap() });
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert!(matches!(done(claimed).await, Claimed::Yes(_)));
    done(put_back).await;
    assert_eq!((bench.state(job.id).await, bench.job(job.id).await.fence), (JobState::Running, 1));
}

async fn a_cancel_that_comes_after_a_finish_finds_the_job_over(bench: &mut Bench) {
    let job = bench.running().await;
    let held = bench.hold(&[job.id]).await;
    let finished = bench.settle_later(&job, Ending::Succeeded);
    bench.until_blocked(1).await;
    let cancelled = cancel_later(bench, job.id);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
    assert!(matches!(done(cancelled).await, CancelOutcome::Over(JobState::Succeeded)));
}

async fn a_retry_that_comes_after_a_cancel_is_due_at_once(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "attempt = max_attempts").await;
    let mut tx = bench.db.begin().await.unwrap();
    assert!(matches!(cancel(&mut tx, job.id).await.unwrap(), CancelOutcome::Requested(_)));
    let retried = bench.settle_later(&job, Ending::Retry(None));
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert_eq!(done(retried).await.unwrap(), JobState::Pending);
    assert_eq!(bench.due_in(job.id).await, 0);
}

async fn two_relays_share_the_due_jobs(bench: &mut Bench) {
    let mut all = delayed(bench, 40).await;
    let (one, two) = tokio::join!(take_due(&bench.db, 100), take_due(&bench.db, 100));
    let mut taken: Vec<JobId> =
        one.unwrap().into_iter().chain(two.unwrap()).map(|message| message.envelope.job).collect();
    taken.extend(take_due(&bench.db, 100).await.unwrap().into_iter().map(|message| message.envelope.job));
    taken.sort();
    all.sort();
    assert_eq!(taken, all);
}

async fn a_relay_leaves_out_what_somebody_holds(bench: &mut Bench) {
    let all = delayed(bench, 4).await;
    let held = bench.hold(&all[..2]).await;
    assert_eq!(take_due(&bench.db, 100).await.unwrap().len(), 2);
    held.commit().await.unwrap();
    assert_eq!(take_due(&bench.db, 100).await.unwrap().len(), 2);
}

async fn delayed(bench: &Bench, count: usize) -> Vec<JobId> {
    let mut all = Vec::new();
    for _ in 0..count {
        let delay = Duration::from_secs(60);
        all.push(bench.enqueue_with(Options { delay, ..Options::default() }).await.id);
    }
    bench.time_passes(61).await;
    all
}

async fn a_run_that_is_being_finished_does_not_lapse(bench: &mut Bench) {
    let job = bench.running().await;
    let waiter = bench.waiting_for(&[job.id]).await;
    bench.process_dies().await;
    let held = bench.hold(&[waiter.id]).await;
    let finished = bench.settle_later(&job, Ending::Succeeded);
    bench.until_blocked(1).await;
    assert_eq!(end_lapsed(&bench.db, 10).await.unwrap().len(), 0);
    held.commit().await.unwrap();
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
}

async fn a_finish_that_comes_after_the_lapse_is_refused(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "lapses = 4").await;
    let waiter = bench.waiting_for(&[job.id]).await;
    bench.process_dies().await;
    let held = bench.hold(&[waiter.id]).await;
    let lapsed = lapse_later(bench);
    bench.until_blocked(1).await;
    let finished = bench.settle_later(&job, Ending::Succeeded);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    let ended: Vec<JobState> = done(lapsed).await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(ended, [JobState::Failed]);
    assert!(matches!(done(finished).await, Err(FencedError::LostLease(_))));
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
}

fn lapse_later(bench: &Bench) -> JoinHandle<Vec<(Job, JobState)>> {
    let db = bench.db.clone();
    tokio::spawn(async move { end_lapsed(&db, 10).await.unwrap() })
}

async fn a_lapse_that_was_listed_before_another_claim_leaves_that_alone(bench: &mut Bench) {
    let job = bench.running().await;
    let listed = own(&job);
    bench.process_dies().await;
    assert_eq!(end_lapsed(&bench.db, 10).await.unwrap().len(), 1);
    bench.run_again(job.id).await;
    assert!(!put_back(&bench.db, listed, Ending::Forgotten).await.unwrap());
    assert_eq!(bench.state(job.id).await, JobState::Running);
}

/// A claim reads its process's row without a lock: one that has to wait must not hold up the renewal.
async fn a_lease_is_renewed_beside_a_claim_that_waits(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let held = bench.hold(&[job.id]).await;
    let claimed = claim_later(bench, job.id);
    bench.until_blocked(1).await;
    assert!(processes::renew(&mut bench.db.conn().await.unwrap(), bench.worker.into()).await.unwrap());
    held.commit().await.unwrap();
    assert!(matches!(done(claimed).await, Claimed::Yes(_)));
}
