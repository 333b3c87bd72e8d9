//! Dead letters: redriven, discarded, and left alone when they are not dead.

use crate::jobs::queues::IMAGES;
use std::time::Duration;

use super::bench::{Bench, end_lapsed, own};
use super::coordination::{due, new};
use super::promises;
use crate::domain::{OrderId, PhotoId};
use crate::jobs::{FulfilOrder, MakeThumbnails};
use ::jobs::Job;
use ::jobs::dead::{Discarded, Redriven, Refusal, discard, redrive};
use ::jobs::enqueue::{Options, enqueue, enqueue_unique};
use ::jobs::run_now::run_now;
use ::jobs::settle::{self, Ended, Note};
use model::JobId;
use model::job::{Ending, Failure, JobState, MAX_LAPSES};
use model::{Lane, Queue};

promises!(both:
    a_redriven_job_goes_on_from_its_checkpoint_with_all_its_attempts,
    a_second_redrive_does_nothing_more,
    only_what_we_could_not_do_is_redriven,
    what_a_redriven_job_needs_is_redriven_before_it,
    a_redriven_job_goes_to_the_end_of_its_line,
    a_redrive_that_would_make_two_of_a_unique_key_is_refused,
    a_crashed_job_is_tried_again_in_quarantine_and_given_up_at_its_next_lapse,
    the_second_lapse_puts_a_job_into_quarantine,
    a_redrive_may_be_spread_over_time,
    a_discarded_job_that_has_nothing_to_undo_is_cancelled,
    a_discarded_job_that_undoes_is_made_due_to_undo,
    a_job_that_is_not_dead_is_not_discarded,
    jobs_that_died_alike_have_one_reason_until_they_are_redriven,
    what_waits_for_its_time_can_be_run_now,
);

async fn a_redriven_job_goes_on_from_its_checkpoint_with_all_its_attempts(bench: &mut Bench) {
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    let position = serde_json::json!({"done": 2});
    settle::checkpoint(&mut tx, own(&job), &position, false, &Default::default()).await.unwrap();
    tx.commit().await.unwrap();
    bench.set(job.id, "attempt = 20").await;
    fail(bench, &job, Ending::Retry(None), "no route to host").await;
    let dead = bench.job(job.id).await;
    assert_eq!((dead.state, dead.failure), (JobState::Failed, Some(Failure::Exhausted)));

    let row = yes(redriven(bench, job.id).await).job;
    assert_eq!((row.state, row.failure, row.attempt), (JobState::Pending, None, 0));
    assert_eq!((row.checkpoint, row.version), (Some(position), dead.version + 1));
    assert_eq!(row.errors, dead.errors, "what went wrong is still known");
    assert_eq!(due(bench).await, [job.id]);
    let run = bench.claim(job.id).await;
    assert_eq!((run.attempt, run.fence), (1, job.fence + 1));
}

async fn a_second_redrive_does_nothing_more(bench: &mut Bench) {
    let job = dead(bench).await;
    yes(redriven(bench, job.id).await);
    let row = bench.job(job.id).await;
    assert_eq!(no(redriven(bench, job.id).await), Refusal::NotDead(JobState::Pending));
    assert_eq!(bench.job(job.id).await.version, row.version);
    assert_eq!(due(bench).await, [job.id]);
}

async fn only_what_we_could_not_do_is_redriven(bench: &mut Bench) {
    assert_eq!(no(redriven(bench, JobId::new()).await), Refusal::Unknown);
    for (ending, why) in [
        (Ending::Succeeded, Refusal::NotDead(JobState::Succeeded)),
        (Ending::Cancelled, Refusal::NotDead(JobState::Cancelled)),
        (Ending::Discarded, Refusal::Hopeless),
    ] {
        let job = bench.running().await;
        bench.settle(&job, ending).await;
        let row = bench.job(job.id).await;
        assert_eq!(no(redriven(bench, job.id).await), why);
        assert_eq!(bench.job(job.id).await.version, row.version);
    }
}

async fn what_a_redriven_job_needs_is_redriven_before_it(bench: &mut Bench) {
    let (first, second, fine) = (dead(bench).await, dead(bench).await, bench.running().await);
    bench.settle(&fine, Ending::Succeeded).await;
    let job = bench.running().await;
    let needed = [first.id, second.id, fine.id];
    let note = Note::Failure("a photo's job failed".into());
    settle::settle_given_up(&bench.db, own(&job), &needed, Ended::by(Ending::Exhausted, note)).await.unwrap();
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Exhausted));

    let all = yes(redriven(bench, job.id).await);
    assert_eq!(all.needed, [second.id, first.id]);
    for id in [first.id, second.id, job.id] {
        assert_eq!(bench.state(id).await, JobState::Pending);
    }
    assert_eq!(bench.state(fine.id).await, JobState::Succeeded);
}

async fn a_redriven_job_goes_to_the_end_of_its_line(bench: &mut Bench) {
    let options = || Options { ordering_key: Some("a".into()), ..Options::default() };
    let job = bench.enqueue_with(options()).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    let behind = bench.enqueue_with(options()).await;
    assert_eq!(behind.state, JobState::Queued, "it is the first now");
    yes(redriven(bench, job.id).await);
    assert_eq!(due(bench).await, []);
    bench.settle(&bench.claim(behind.id).await, Ending::Succeeded).await;
    assert_eq!(due(bench).await, [job.id]);
}

async fn a_redrive_that_would_make_two_of_a_unique_key_is_refused(bench: &mut Bench) {
    let job = unique(bench).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    let newer = unique(bench).await;
    assert_eq!(no(redriven(bench, job.id).await), Refusal::Superseded(newer.id));
    assert_eq!(bench.state(job.id).await, JobState::Failed);
    let run = bench.claim(newer.id).await;
    bench.settle(&run, Ending::Succeeded).await;
    yes(redriven(bench, job.id).await);
}

async fn a_crashed_job_is_tried_again_in_quarantine_and_given_up_at_its_next_lapse(bench: &mut Bench) {
    let job = bench.enqueue_with(Options { express: true, ..Options::default() }).await;
    bench.claim(job.id).await;
    bench.set(job.id, &format!("lapses = {}", MAX_LAPSES - 1)).await;
    bench.process_dies().await;
    end_lapsed(&bench.db, 10).await.unwrap();
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Crashed));
    let row = yes(redriven(bench, job.id).await).job;
    assert_eq!((row.queue.as_str(), row.express, row.lapses), ("images", true, MAX_LAPSES - 1));
    assert_eq!(row.lane(), Some(Lane::ordinary(Queue::QUARANTINE)), "its own queue stays in its row");
    assert_eq!(due(bench).await, [job.id]);
    bench.claim(job.id).await;
    bench.process_dies().await;
    end_lapsed(&bench.db, 10).await.unwrap();
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Crashed));
}

async fn the_second_lapse_puts_a_job_into_quarantine(bench: &mut Bench) {
    let job = bench.running().await;
    for lane in [IMAGES, Queue::QUARANTINE, Queue::QUARANTINE].map(Lane::ordinary) {
        bench.process_dies().await;
        end_lapsed(&bench.db, 10).await.unwrap();
        let row = bench.job(job.id).await;
        assert_eq!((row.lane(), row.state), (Some(lane), JobState::Pending));
        assert_eq!(row.queue, "images");
        bench.run_again(job.id).await;
    }
}

async fn a_redrive_may_be_spread_over_time(bench: &mut Bench) {
    let job = dead(bench).await;
    let mut tx = bench.db.begin().await.unwrap();
    yes(redrive(&mut tx, job.id, Duration::from_secs(40)).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(bench.due_in(job.id).await, 40);
    assert_eq!(due(bench).await, []);
    bench.time_passes(41).await;
    assert_eq!(due(bench).await, [job.id]);
}

async fn a_discarded_job_that_has_nothing_to_undo_is_cancelled(bench: &mut Bench) {
    let job = dead(bench).await;
    assert!(matches!(discarded(bench, job.id).await, Ok(Discarded::Cancelled(_))));
    let row = bench.job(job.id).await;
    assert_eq!((row.state, row.failure), (JobState::Cancelled, None));
    assert_eq!(discarded(bench, job.id).await.unwrap_err(), Refusal::NotDead(JobState::Cancelled));
    assert_eq!(no(redriven(bench, job.id).await), Refusal::NotDead(JobState::Cancelled));
}

async fn a_discarded_job_that_undoes_is_made_due_to_undo(bench: &mut Bench) {
    let mut tx = bench.db.begin().await.unwrap();
    let job = enqueue(&mut tx, &FulfilOrder { order_id: OrderId::new() }, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    assert!(matches!(discarded(bench, job.id).await, Ok(Discarded::Undoing(_))));
    assert_eq!(due(bench).await, [job.id]);
    let undo = bench.claim(job.id).await;
    assert!(undo.undoing);
    assert_eq!(undo.attempt, 1);
    assert_eq!(bench.settle(&undo, Ending::Cancelled).await, JobState::Cancelled);
}

async fn a_job_that_is_not_dead_is_not_discarded(bench: &mut Bench) {
    let (queued, running) = (bench.enqueue().await, bench.running().await);
    let refused = [
        (queued.id, Refusal::NotDead(JobState::Queued)),
        (running.id, Refusal::NotDead(JobState::Running)),
        (JobId::new(), Refusal::Unknown),
    ];
    for (id, why) in refused {
        assert_eq!(discarded(bench, id).await.unwrap_err(), why);
    }
}

async fn jobs_that_died_alike_have_one_reason_until_they_are_redriven(bench: &mut Bench) {
    let (one, other) = (bench.running().await, bench.running().await);
    for (job, message) in
        [(&one, "order 17 of ada@example.org: HTTP 500"), (&other, "order 18 of bob@example.org: HTTP 502")]
    {
        bench.set(job.id, "attempt = 20").await;
        fail(bench, job, Ending::Retry(None), message).await;
    }
    let alike = "SELECT count(*) FROM jobs WHERE dead_reason = 'order … of [hidden]@example.org: HTTP …'";
    assert_eq!(bench.number(alike).await, 2);
    yes(redriven(bench, one.id).await);
    discarded(bench, other.id).await.unwrap();
    assert_eq!(bench.number(alike).await, 0);
    // What the handler gave up is no dead letter.
    let job = bench.running().await;
    fail(bench, &job, Ending::Discarded, "not a picture").await;
    assert_eq!(bench.number("SELECT count(*) FROM jobs WHERE dead_reason IS NOT NULL").await, 0);
}

async fn what_waits_for_its_time_can_be_run_now(bench: &mut Bench) {
    let delay = Duration::from_secs(3600);
    let planned = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    let retried = bench.running().await;
    bench.settle(&retried, Ending::Retry(Some(delay))).await;
    let running = bench.running().await;
    for (id, hurried) in [(planned.id, true), (retried.id, true), (planned.id, false), (running.id, false)] {
        let mut tx = bench.db.begin().await.unwrap();
        assert_eq!(run_now(&mut tx, id).await.unwrap().is_some(), hurried);
        tx.commit().await.unwrap();
    }
    let mut found = due(bench).await;
    found.sort();
    assert_eq!(found, [planned.id, retried.id]);
}

pub(super) async fn redriven(bench: &Bench, id: JobId) -> Result<Redriven, Refusal> {
    let mut tx = bench.db.begin().await.unwrap();
    let outcome = redrive(&mut tx, id, Duration::ZERO).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

async fn discarded(bench: &Bench, id: JobId) -> Result<Discarded, Refusal> {
    let mut tx = bench.db.begin().await.unwrap();
    let outcome = discard(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
    outcome
}

fn yes(outcome: Result<Redriven, Refusal>) -> Redriven {
    outcome.expect("it is redriven")
}

fn no(outcome: Result<Redriven, Refusal>) -> Refusal {
    outcome.expect_err("it is refused")
}

async fn fail(bench: &Bench, job: &Job, ending: Ending, message: &str) {
    settle::settle(&bench.db, own(job), Ended::by(ending, Note::Failure(message.into()))).await.unwrap();
}

/// A job whose attempts are used up.
pub(super) async fn dead(bench: &Bench) -> Job {
    let job = bench.running().await;
    bench.settle(&job, Ending::Exhausted).await;
    job
}

async fn unique(bench: &Bench) -> Job {
    let mut tx = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let enqueued = enqueue_unique(&mut tx, "photo", &args, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    new(enqueued)
}
