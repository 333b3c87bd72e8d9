//! A paused queue hands nothing to the broker, and is in nobody's way.

use super::bench::Bench;
use super::coordination::due;
use super::promises;
use crate::jobs::queues::{MAIL, ORDERS};
use ::jobs::enqueue::Options;
use ::jobs::queues;
use model::JobId;
use model::Queue;
use model::job::JobState;

promises!(both:
    what_is_enqueued_in_a_paused_queue_stays_until_it_is_resumed,
    a_paused_queue_is_in_nobodys_way,
    a_job_that_was_handed_over_before_the_pause_is_still_claimed,
    what_was_published_before_the_pause_is_not_published_again_before_its_end,
    a_job_in_quarantine_is_held_by_a_pause_of_that_and_of_its_own_queue,
    pausing_twice_keeps_the_first_time,
);

async fn what_is_enqueued_in_a_paused_queue_stays_until_it_is_resumed(bench: &mut Bench) {
    open(bench).await;
    pause(bench, "images").await;
    let job = bench.enqueue().await;
    assert_eq!(job.state, JobState::Pending);
    assert_eq!(bench.looked_at_again_in(job.id).await, Some(0));
    assert!(bench.signals.publications.try_recv().is_err(), "it is not born queued");
    assert_eq!(due(bench).await, []);
    resume(bench, "images").await;
    assert_eq!(due(bench).await, [job.id]);
}

async fn a_paused_queue_is_in_nobodys_way(bench: &mut Bench) {
    open(bench).await;
    pause(bench, "images").await;
    for _ in 0..250 {
        bench.enqueue().await;
    }
    let mut others: Vec<JobId> = Vec::new();
    for queue in [MAIL, ORDERS] {
        for express in [false, true] {
            let options = Options { queue: Some(queue), express, ..Options::default() };
            let job = bench.enqueue_with(options).await;
            assert_eq!(job.state, JobState::Queued);
            bench.put(job.id, JobState::Pending).await;
            others.push(job.id);
        }
    }
    let mut found = due(bench).await;
    found.sort();
    assert_eq!(found, others);
    let in_the_way = format!("SELECT count(*) FROM jobs WHERE due_at <= {}", bench.in_seconds(1));
    assert_eq!(bench.number(&in_the_way).await, 0);
    resume(bench, "images").await;
    assert_eq!((due(bench).await.len(), due(bench).await.len(), due(bench).await.len()), (100, 100, 50));
}

async fn a_job_that_was_handed_over_before_the_pause_is_still_claimed(bench: &mut Bench) {
    open(bench).await;
    let job = bench.enqueue().await;
    pause(bench, "images").await;
    assert_eq!(bench.claim(job.id).await.id, job.id);
}

async fn what_was_published_before_the_pause_is_not_published_again_before_its_end(bench: &mut Bench) {
    open(bench).await;
    let job = bench.enqueue().await;
    pause(bench, "images").await;
    bench.time_passes(61).await;
    assert_eq!(due(bench).await, []);
    assert_eq!(bench.job(job.id).await.published, 1);
    resume(bench, "images").await;
    assert_eq!(due(bench).await, [job.id]);
}

async fn a_job_in_quarantine_is_held_by_a_pause_of_that_and_of_its_own_queue(bench: &mut Bench) {
    open(bench).await;
    let job = bench.enqueue().await;
    for state in [JobState::Pending, JobState::Queued] {
        bench.put(job.id, state).await;
        bench.set(job.id, "lapses = 2, due_at = run_at").await;
        for queue in ["quarantine", "images"] {
            pause(bench, queue).await;
            assert_eq!(due(bench).await, [], "{queue}, {state:?}");
            resume(bench, queue).await;
        }
        pause(bench, "mail").await;
        assert_eq!(due(bench).await, [job.id], "{state:?}");
        resume(bench, "mail").await;
    }
}

async fn pausing_twice_keeps_the_first_time(bench: &mut Bench) {
    open(bench).await;
    assert_eq!(pause(bench, "images").await, Some(true));
    let since = paused(bench).await;
    assert_eq!(since.len(), 1);
    assert_eq!(pause(bench, "images").await, Some(false));
    assert_eq!(paused(bench).await, since);
    assert_eq!(resume(bench, "images").await, Some(true));
    assert_eq!(resume(bench, "images").await, Some(false));
    assert_eq!(paused(bench).await.len(), 0);
    assert_eq!(pause(bench, "nowhere").await, None);
}

/// As the programs do at their start.
pub(super) async fn open(bench: &Bench) {
    queues::register(&mut bench.db.conn().await.unwrap(), Queue::all()).await.unwrap();
}

pub(super) async fn pause(bench: &Bench, queue: &str) -> Option<bool> {
    let mut tx = bench.db.begin().await.unwrap();
    let changed = queues::pause(&mut tx, queue).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

pub(super) async fn resume(bench: &Bench, queue: &str) -> Option<bool> {
    let mut tx = bench.db.begin().await.unwrap();
    let changed = queues::resume(&mut tx, queue).await.unwrap();
    tx.commit().await.unwrap();
    changed
}

async fn paused(bench: &Bench) -> Vec<(Queue, model::Timestamp)> {
    let all = queues::with_pauses(&mut bench.db.conn().await.unwrap()).await.unwrap();
    all.into_iter().filter_map(|(queue, since)| Some((queue, since?))).collect()
}
