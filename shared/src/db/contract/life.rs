//! From the enqueue to the queue, and again if a message is lost.

use crate::jobs::queues::{IMAGES, MAIL};
use std::time::Duration;

use super::bench::Bench;
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::relay::due::take_due;
use ::jobs::status;
use ::jobs::unpublished::{broker_is_new, lane_was_recreated, not_published};
use model::JobId;
use model::job::{Ending, JobState};
use model::{Lane, Queue};

promises!(both:
    a_job_is_seen_by_nobody_before_the_commit,
    a_job_of_a_transaction_that_is_dropped_never_was,
    a_due_job_is_born_queued_and_handed_to_the_relay_by_the_commit,
    a_delayed_job_is_pending_until_it_is_due,
    the_longest_due_job_comes_first_and_no_more_than_asked_for,
    a_message_that_nobody_takes_is_published_again_ever_more_rarely,
    what_was_not_published_is_due_again_and_only_ever_sooner,
    a_late_word_of_a_message_does_not_touch_a_later_life_of_its_job,
    a_row_that_can_not_be_moved_holds_nobody_up,
    a_queue_with_an_unusable_name_is_marked_ever_more_rarely,
    the_jobs_of_a_new_queue_are_published_again_at_once,
    a_new_broker_is_given_everything_that_is_queued,
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
    assert_eq!((message.envelope.job, message.fence, job.published), (job.id, 0, 1));
    assert_eq!((message.lane.queue, message.envelope.kind.as_str()), (IMAGES, "make_thumbnails"));
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

async fn a_message_that_nobody_takes_is_published_again_ever_more_rarely(bench: &mut Bench) {
    let job = bench.enqueue().await;
    for (published, minutes) in std::iter::zip(1.., [1, 2, 4, 8, 16, 32, 60, 60]) {
        assert_eq!(bench.job(job.id).await.published, published);
        assert_eq!(bench.looked_at_again_in(job.id).await, Some(minutes * 60));
        bench.time_passes(minutes * 60 - 1).await;
        assert_eq!(due(bench).await, []);
        bench.time_passes(2).await;
        assert_eq!(due(bench).await, [job.id]);
    }
    assert_eq!(bench.job(job.id).await.fence, 0);
}

async fn what_was_not_published_is_due_again_and_only_ever_sooner(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    let failed = async |seconds: u64| {
        let delay = Duration::from_secs(seconds);
        not_published(&bench.db, std::slice::from_ref(&message), delay).await.unwrap();
        (bench.looked_at_again_in(job.id).await, bench.job(job.id).await.published)
    };
    assert_eq!(failed(30).await, (Some(30), 0));
    assert_eq!(failed(15).await, (Some(15), 0));
    assert_eq!(failed(60).await, (Some(15), 0));
    assert_eq!(failed(0).await, (Some(0), 0));
    assert_eq!(due(bench).await, [job.id]);
    assert_eq!((bench.looked_at_again_in(job.id).await, bench.job(job.id).await.published), (Some(60), 1));
}

async fn a_late_word_of_a_message_does_not_touch_a_later_life_of_its_job(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let early = bench.signals.publications.try_recv().unwrap();
    let job = bench.claim(job.id).await;
    not_published(&bench.db, std::slice::from_ref(&early), Duration::ZERO).await.unwrap();
    assert!(bench.looked_at_again_in(job.id).await > Some(0));
    bench.settle(&job, Ending::Retry(None)).await;
    bench.time_passes(60).await;
    assert_eq!(due(bench).await, [job.id]);
    not_published(&bench.db, std::slice::from_ref(&early), Duration::ZERO).await.unwrap();
    assert_eq!((bench.looked_at_again_in(job.id).await, bench.job(job.id).await.published), (Some(60), 1));
    let job = bench.claim(job.id).await;
    bench.settle(&job, Ending::Succeeded).await;
    not_published(&bench.db, &[early], Duration::ZERO).await.unwrap();
    assert_eq!(bench.looked_at_again_in(job.id).await, None);
}

async fn a_row_that_can_not_be_moved_holds_nobody_up(bench: &mut Bench) {
    let delay = Duration::from_secs(60);
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(bench.enqueue_with(Options { delay, ..Options::default() }).await.id);
    }
    bench.time_passes(61).await;
    refuse_to_move(bench, jobs[0]).await;
    assert_eq!(due(bench).await, &jobs[1..]);
    assert_eq!(due(bench).await, [], "it is not looked at again at once");
    let left = (bench.state(jobs[0]).await, bench.looked_at_again_in(jobs[0]).await);
    assert_eq!(left, (JobState::Pending, Some(3600)));
}

async fn refuse_to_move(bench: &Bench, id: JobId) {
    if bench.is_postgres() {
        bench.sql("CREATE FUNCTION refuse() RETURNS trigger AS 'BEGIN RAISE EXCEPTION ''no''; END' LANGUAGE plpgsql").await;
        let when = format!("WHEN (OLD.id = '{id}') EXECUTE FUNCTION refuse()");
        bench
            .sql(&format!("CREATE TRIGGER refused BEFORE UPDATE OF state ON jobs FOR EACH ROW {when}"))
            .await;
    } else {
        let then = format!("WHEN OLD.id = '{id}' BEGIN SELECT RAISE(ABORT, 'no'); END");
        bench.sql(&format!("CREATE TRIGGER refused BEFORE UPDATE OF state ON jobs {then}")).await;
    }
}

async fn a_queue_with_an_unusable_name_is_marked_ever_more_rarely(bench: &mut Bench) {
    let delay = Duration::from_secs(60);
    let bad = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    bench.set(bad.id, "queue = 'No Name'").await;
    bench.time_passes(61).await;
    let good = bench.enqueue_with(Options { delay, ..Options::default() }).await;
    bench.time_passes(61).await;
    assert_eq!(due(bench).await, [good.id]);
    assert_eq!(bench.looked_at_again_in(bad.id).await, Some(60));
    bench.time_passes(61).await;
    assert_eq!(due(bench).await, [good.id]);
    assert_eq!(bench.looked_at_again_in(bad.id).await, Some(120));
}

async fn the_jobs_of_a_new_queue_are_published_again_at_once(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let delay = Duration::from_secs(60);
    bench.enqueue_with(Options { delay, ..Options::default() }).await;
    bench.running().await;
    let suspected = bench.enqueue().await;
    bench.set(suspected.id, "lapses = 2").await;
    let woken = bench.enqueue().await;
    bench.set(woken.id, "woken = true").await;
    let new = async |lane| lane_was_recreated(&bench.db, lane).await.unwrap();
    assert_eq!(new(Lane::ordinary(MAIL)).await, 0);
    assert_eq!(due(bench).await, []);
    for (lane, job) in [
        (Lane::ordinary(IMAGES), job),
        (Lane { queue: IMAGES, express: true }, woken),
        (Lane::ordinary(Queue::QUARANTINE), suspected),
    ] {
        assert_eq!(new(lane).await, 1, "{lane}");
        assert_eq!(due(bench).await, [job.id], "{lane}");
    }
}

async fn a_new_broker_is_given_everything_that_is_queued(bench: &mut Bench) {
    let bulk = Options { queue: Queue::named("bulk"), ..Options::default() };
    let mut queued = [bench.enqueue().await.id, bench.enqueue_with(bulk).await.id];
    bench.running().await;
    assert_eq!(due(bench).await, []);
    assert_eq!(broker_is_new(&bench.db).await.unwrap(), 2);
    let mut taken = due(bench).await;
    taken.sort();
    queued.sort();
    assert_eq!(taken, queued);
}

async fn relaying_is_no_change_that_others_see(bench: &mut Bench) {
    let job = bench.enqueue().await;
    let message = bench.signals.publications.try_recv().unwrap();
    bench.time_passes(61).await;
    assert_eq!(due(bench).await, [job.id]);
    not_published(&bench.db, &[message], Duration::ZERO).await.unwrap();
    lane_was_recreated(&bench.db, Lane::ordinary(IMAGES)).await.unwrap();
    assert_eq!(bench.job(job.id).await.version, 1);
    assert!(bench.signals.changes.try_recv().is_err());
}

async fn due(bench: &Bench) -> Vec<JobId> {
    take_due(&bench.db, 100).await.unwrap().into_iter().map(|message| message.envelope.job).collect()
}
