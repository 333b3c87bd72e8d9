//! What is left to do.

use crate::jobs::queues::{IMAGES, ORDERS};
use std::time::Duration;

use super::bench::Bench;
use super::promises;
use ::jobs::enqueue::Options;
use ::jobs::remaining::{Remaining, remaining};
use model::Queue;
use model::job::{Ending, JobState};

promises!(both:
    what_is_due_under_way_or_soon_is_left_to_do_and_what_is_for_later_is_not,
    a_line_behind_a_job_in_backoff_and_a_paused_queue_are_for_later,
    what_is_in_quarantine_is_left_to_whoever_works_on_that,
);

const SOON: Duration = Duration::from_secs(10);

async fn left(bench: &Bench, queue: Queue) -> (i64, i64) {
    let mut conn = bench.db.conn().await.unwrap();
    let Remaining { now, later } = remaining(&mut conn, &[queue], SOON).await.unwrap();
    (now, later)
}

async fn what_is_due_under_way_or_soon_is_left_to_do_and_what_is_for_later_is_not(bench: &mut Bench) {
    assert_eq!(left(bench, IMAGES).await, (0, 0));
    let running = bench.running().await;
    bench.enqueue().await;
    let delay = |seconds| Options { delay: Duration::from_secs(seconds), ..Options::default() };
    bench.enqueue_with(delay(5)).await;
    bench.enqueue_with(delay(3600)).await;
    let waits = bench.enqueue().await;
    bench.put(waits.id, JobState::Waiting).await;
    assert_eq!(left(bench, IMAGES).await, (3, 2));
    assert_eq!(left(bench, ORDERS).await, (0, 0), "another queue's");
    bench.settle(&running, Ending::Succeeded).await;
    assert_eq!(left(bench, IMAGES).await, (2, 2));
    let parked = bench.enqueue().await;
    bench.set(parked.id, "state = 'pending', due_at = NULL, parked = 'images'").await;
    assert_eq!(left(bench, IMAGES).await, (3, 2), "it is due, above its owner's share");
}

async fn a_line_behind_a_job_in_backoff_and_a_paused_queue_are_for_later(bench: &mut Bench) {
    let in_line = || Options { ordering_key: Some("line".into()), ..Options::default() };
    let first = bench.enqueue_with(in_line()).await;
    bench.enqueue_with(in_line()).await;
    assert_eq!(left(bench, IMAGES).await, (1, 1), "the second comes after the first");
    let later = bench.in_seconds(3600);
    bench.set(first.id, &format!("state = 'pending', run_at = {later}, due_at = {later}")).await;
    assert_eq!(left(bench, IMAGES).await, (0, 2));
    bench.enqueue().await;
    assert_eq!(left(bench, IMAGES).await, (1, 2));
    bench.sql("DELETE FROM queues WHERE name = 'images'").await;
    let paused = format!("INSERT INTO queues (name, paused_at) VALUES ('images', {})", bench.in_seconds(0));
    bench.sql(&paused).await;
    assert_eq!(left(bench, IMAGES).await, (0, 3));
}

async fn what_is_in_quarantine_is_left_to_whoever_works_on_that(bench: &mut Bench) {
    let job = bench.enqueue().await;
    bench.set(job.id, "lapses = 2").await;
    for (queue, now) in [(IMAGES, 0), (Queue::QUARANTINE, 1)] {
        let left = remaining(&mut bench.db.conn().await.unwrap(), &[queue], Duration::ZERO).await.unwrap();
        assert_eq!((left.now, left.later), (now, 0), "{queue}");
    }
}
