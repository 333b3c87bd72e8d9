//! The wish to cancel, in each state that it may find a job in.

use std::time::Duration;

use super::bench::Bench;
use super::promises;
use ::jobs::cancel::{CancelOutcome, cancel};
use ::jobs::claim::{Claimed, put_back_unknown};
use ::jobs::enqueue::Options;
use ::jobs::relay::due::take_due;
use model::JobId;
use model::job::{Ending, JobState};

promises!(both:
    a_job_that_never_ran_is_cancelled_at_once,
    a_put_back_is_no_run,
    a_job_that_has_run_is_asked_and_made_due,
    a_job_that_waits_goes_on_to_undo_and_sleeps_through_no_wake,
    a_running_or_queued_job_is_asked_and_left_where_it_is,
    a_job_that_is_over_stays_as_it_is,
    asking_twice_changes_nothing_more,
    what_the_cancel_answers_is_what_the_row_says,
);

async fn a_job_that_never_ran_is_cancelled_at_once(bench: &mut Bench) {
    let queued = bench.enqueue().await;
    let delay = Duration::from_secs(60);
    let delayed = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    for job in [queued, delayed] {
        assert!(matches!(ask(bench, job.id).await, CancelOutcome::Cancelled(_)));
        let row = bench.job(job.id).await;
        assert_eq!((row.state, row.version), (JobState::Cancelled, 2));
        assert!(matches!(bench.try_claim(job.id).await, Claimed::No));
    }
    bench.time_passes(3600).await;
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 0);
}

async fn a_put_back_is_no_run(bench: &mut Bench) {
    let job = bench.enqueue().await;
    put_back_unknown(&bench.db, job.id, Duration::from_secs(30)).await.unwrap();
    assert!(matches!(ask(bench, job.id).await, CancelOutcome::Cancelled(_)));
}

async fn a_job_that_has_run_is_asked_and_made_due(bench: &mut Bench) {
    let job = bench.running().await;
    bench.settle(&job, Ending::Snooze(Duration::from_secs(3600))).await;
    assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
    assert_eq!((bench.state(job.id).await, bench.due_in(job.id).await), (JobState::Pending, 0));
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 1);
    let undo = bench.claim(job.id).await;
    assert!(undo.undoing);
    assert_eq!(bench.settle(&undo, Ending::Cancelled).await, JobState::Cancelled);
}

async fn a_job_that_waits_goes_on_to_undo_and_sleeps_through_no_wake(bench: &mut Bench) {
    let awaited = bench.running().await;
    let job = bench.waiting_for(&[awaited.id]).await;
    assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
    assert_eq!(bench.state(job.id).await, JobState::Pending);
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 1);
    bench.settle(&awaited, Ending::Succeeded).await;
    assert_eq!(bench.state(job.id).await, JobState::Queued);
    assert!(bench.claim(job.id).await.undoing);
}

async fn a_running_or_queued_job_is_asked_and_left_where_it_is(bench: &mut Bench) {
    let running = bench.running().await;
    assert!(matches!(ask(bench, running.id).await, CancelOutcome::Requested(_)));
    assert_eq!(bench.state(running.id).await, JobState::Running);
    assert_eq!(bench.settle(&running, Ending::Succeeded).await, JobState::Succeeded);

    let queued = bench.running().await;
    bench.settle(&queued, Ending::Release).await;
    take_due(&bench.db, 10).await.unwrap();
    assert!(matches!(ask(bench, queued.id).await, CancelOutcome::Requested(_)));
    assert_eq!(bench.state(queued.id).await, JobState::Queued);
    assert_eq!(bench.looked_at_again_in(queued.id).await, Some(60));
    assert!(bench.claim(queued.id).await.undoing);
}

async fn a_job_that_is_over_stays_as_it_is(bench: &mut Bench) {
    for (ending, state) in [
        (Ending::Succeeded, JobState::Succeeded),
        (Ending::Discarded, JobState::Failed),
        (Ending::Cancelled, JobState::Cancelled),
    ] {
        let job = bench.running().await;
        bench.settle(&job, ending).await;
        let before = bench.job(job.id).await;
        assert!(matches!(ask(bench, job.id).await, CancelOutcome::Over(over) if over == state));
        let after = bench.job(job.id).await;
        assert_eq!((after.version, after.cancel_requested_at), (before.version, None));
    }
    assert!(matches!(ask(bench, JobId::new()).await, CancelOutcome::Unknown));
}

async fn asking_twice_changes_nothing_more(bench: &mut Bench) {
    let job = bench.running().await;
    ask(bench, job.id).await;
    let once = bench.job(job.id).await;
    assert!(matches!(ask(bench, job.id).await, CancelOutcome::Requested(_)));
    let twice = bench.job(job.id).await;
    assert_eq!((twice.version, twice.cancel_requested_at), (once.version, once.cancel_requested_at));
}

async fn what_the_cancel_answers_is_what_the_row_says(bench: &mut Bench) {
    let never_ran = bench.enqueue().await;
    let awaited = bench.running().await;
    let waiting = bench.waiting_for(&[awaited.id]).await;
    let running = bench.running().await;
    for id in [never_ran.id, waiting.id, running.id] {
        let (CancelOutcome::Cancelled(told) | CancelOutcome::Requested(told)) = ask(bench, id).await else {
            panic!("it could have been cancelled")
        };
        let row = bench.job(id).await;
        assert_eq!((told.state, told.version, told.run_at), (row.state, row.version, row.run_at));
    }
}

pub(super) async fn ask(bench: &Bench, id: JobId) -> CancelOutcome {
    let mut tx = bench.db.begin().await.unwrap();
    let outcome = cancel(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}
