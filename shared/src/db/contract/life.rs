//! From the enqueue to the queue, and again if a message is lost.

use std::time::Duration;

use super::bench::Bench;
use super::promises;
use crate::db::jobs::enqueue::{Options, enqueue};
use crate::db::jobs::relay::{confirmed, lane_was_recreated, take_due};
use crate::db::jobs::status;
use crate::domain::job::{Ending, JobState};
use crate::domain::{JobId, PhotoId};
use crate::jobs::{Lane, MakeThumbnails, Queue};

promises!(both:
    a_job_is_seen_by_nobody_before_the_commit,
    a_job_of_a_transaction_that_is_dropped_never_was,
    a_due_job_is_born_queued_and_handed_to_the_relay_by_the_commit,
    a_delayed_job_is_pending_until_it_is_due,
    the_longest_due_job_comes_first_and_no_more_than_asked_for,
    a_message_that_nobody_confirmed_is_published_again_after_fifteen_seconds,
    a_confirmed_message_that_nobody_takes_is_published_again_ever_more_rarely,
    a_late_confirm_does_not_touch_the_retry_of_its_job,
    a_late_confirm_does_not_touch_a_job_that_runs_or_is_over,
    the_jobs_of_a_new_queue_are_published_again_at_once,
    relaying_is_no_change_that_others_see,
);

async fn a_job_is_seen_by_nobody_before_the_commit(bench: &mut Bench) {
    let elsewhere = bench.another_process(|_| {});
    let mut tx = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let job = enqueue(&mut tx, &args, Options::default()).await.unwrap();
    let seen = status::find(&mut elsewhere.conn().await.unwrap(), job.id).await.unwrap();
    assert!(seen.is_none());
    tx.commit().await.unwrap();
    let seen = status::find(&mut elsewhere.conn().await.unwrap(), job.id).await.unwrap();
    assert_eq!(seen.unwrap().id, job.id);
}

async fn a_job_of_a_transaction_that_is_dropped_never_was(bench: &mut Bench) {
    let mut tx = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let job = enqueue(&mut tx, &args, Options::default()).await.unwrap();
    drop(tx);
    let seen = status::find(&mut bench.db.conn().await.unwrap(), job.id).await.unwrap();
    assert!(seen.is_none());
    assert!(bench.signals.publications.try_recv().is_err());
}

async fn a_due_job_is_born_queued_and_handed_to_the_relay_by_the_commit(bench: &mut Bench) {
    let mut tx = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let job = enqueue(&mut tx, &args, Options::default()).await.unwrap();
    assert!(bench.signals.publications.try_recv().is_err());
    tx.commit().await.unwrap();
    let message = bench.signals.publications.try_recv().unwrap();
    assert_eq!((message.envelope.job, message.fence, message.published), (job.id, 0, 0));
    assert_eq!((message.lane.queue, message.envelope.kind.as_str()), (Queue::IMAGES, "make_thumbnails"));
    assert_eq!((job.state, job.attempt, job.version), (JobState::Queued, 0, 1));
}

async fn a_delayed_job_is_pending_until_it_is_due(bench: &mut Bench) {
    let delay = Duration::from_secs(60);
    let job = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    assert_eq!(job.state, JobState::Pending);
    assert!(bench.signals.publications.try_recv().is_err());
    assert_eq!(due(bench).await, []);
    bench.time_passes(59).await;
    assert_eq!(due(bench).await, []);
    bench.time_passes(2).await;
    assert_eq!(due(bench).await, [job.id]);
    assert_eq!(bench.state(job.id).await, JobState::Queued);
    assert_eq!(due(bench).await, []);
}

async fn the_longest_due_job_comes_first_and_no_more_than_asked_for(bench: &mut Bench) {
    let mut by_age = Vec::new();
    for seconds in [5, 3, 9] {
        let delay = Duration::from_secs(seconds);
        let job = bench.enqueue_with(Options { delay, ..Options::default() }).await;
        by_age.push((seconds, job.id));
    }
    by_age.sort();
    bench.time_passes(60).await;
    for (_, job) in by_age {
        let taken = take_due(&bench.db, 1).await.unwrap();
        assert_eq!(taken.iter().map(|message| message.envelope.job).collect::<Vec<_>>(), [job]);
    }
}

async fn a_message_that_nobody_confirmed_is_published_again_after_fifteen_seconds(bench: &mut Bench) {
    let job = bench.enqueue().await;
    assert_eq!(due(bench).await, []);
    for _ in 0..2 {
        assert_eq!(bench.republished_in(job.id).await, Some(15));
        bench.time_passes(16).await;
        assert_eq!(due(bench).await, [job.id]);
    }
    assert_eq!(bench.job(job.id).await.fence, 0);
}

async fn a_confirmed_message_that_nobody_takes_is_published_again_ever_more_rarely(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let mut message = bench.signals.publications.try_recv().unwrap();
    for minutes in [5, 10, 20, 40, 60, 60] {
        confirmed(&bench.db, std::slice::from_ref(&message)).await.unwrap();
        assert_eq!(bench.republished_in(job.id).await, Some(minutes * 60));
        bench.time_passes(minutes * 60 - 1).await;
        assert_eq!(due(bench).await, []);
        bench.time_passes(2).await;
        message = take_due(&bench.db, 10).await.unwrap().remove(0);
    }
}

async fn a_late_confirm_does_not_touch_the_retry_of_its_job(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let early = bench.signals.publications.try_recv().unwrap();
    let job = bench.claim(job.id).await;
    bench.settle(&job, Ending::Retry(None)).await;
    confirmed(&bench.db, std::slice::from_ref(&early)).await.unwrap();
    bench.time_passes(60).await;
    assert_eq!(due(bench).await, [job.id]);
    confirmed(&bench.db, &[early]).await.unwrap();
    assert_eq!(bench.republished_in(job.id).await, Some(15));
    assert_eq!(bench.job(job.id).await.published, 0);
}

async fn a_late_confirm_does_not_touch_a_job_that_runs_or_is_over(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    let job = bench.claim(job.id).await;
    confirmed(&bench.db, std::slice::from_ref(&message)).await.unwrap();
    assert_eq!(bench.republished_in(job.id).await, None);
    bench.settle(&job, Ending::Succeeded).await;
    confirmed(&bench.db, &[message]).await.unwrap();
    assert_eq!(bench.republished_in(job.id).await, None);
}

async fn the_jobs_of_a_new_queue_are_published_again_at_once(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    confirmed(&bench.db, &[message]).await.unwrap();
    let delay = Duration::from_secs(60);
    bench.enqueue_with(Options { delay, ..Options::default() }).await;
    bench.running().await;
    assert_eq!(lane_was_recreated(&bench.db, Lane::ordinary(Queue::MAIL)).await.unwrap(), 0);
    assert_eq!(due(bench).await, []);
    assert_eq!(lane_was_recreated(&bench.db, Lane::ordinary(Queue::IMAGES)).await.unwrap(), 1);
    assert_eq!(due(bench).await, [job.id]);
}

async fn relaying_is_no_change_that_others_see(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    bench.time_passes(16).await;
    assert_eq!(due(bench).await, [job.id]);
    confirmed(&bench.db, &[message]).await.unwrap();
    lane_was_recreated(&bench.db, Lane::ordinary(Queue::IMAGES)).await.unwrap();
    assert_eq!(bench.job(job.id).await.version, 1);
    assert!(bench.signals.changes.try_recv().is_err());
}

async fn due(bench: &Bench) -> Vec<JobId> {
    take_due(&bench.db, 100).await.unwrap().into_iter().map(|message| message.envelope.job).collect()
}
