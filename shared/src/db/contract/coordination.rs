//! Order, uniqueness, fairness, express, parts of a job.

use crate::jobs::queues::{IMAGES, MAIL};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::bench::{Bench, own, waits};
use super::promises;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Enqueued, Options, enqueue, enqueue_all, enqueue_unique};
use ::jobs::relay::due::take_due;
use ::jobs::settle::{Ended, Note, Progress, checkpoint, settle_with_step};
use ::jobs::share::SHARE;
use ::jobs::status::unfinished_children;
use ::jobs::{Job, cancel, queues};
use database::DbError;
use model::JobId;
use model::job::{Ending, JobState};
use model::{Kind, Queue, Unique};

promises!(both:
    jobs_of_one_key_are_relayed_one_at_a_time_in_the_order_of_their_enqueuing,
    a_job_in_backoff_keeps_those_behind_it_waiting_and_others_not,
    every_way_into_a_final_state_frees_the_line,
    of_one_owner_only_so_many_jobs_are_with_the_broker_and_at_workers,
    a_long_line_of_one_owner_does_not_delay_another_owner,
    express_jobs_are_relayed_before_all_others,
    an_express_job_is_not_held_back_by_its_owners_other_jobs,
    whoever_makes_room_wakes_the_relay_while_jobs_are_parked,
    of_a_unique_key_there_is_one_unfinished_job,
    a_key_that_is_unique_until_the_start_is_free_at_the_claim,
    an_id_that_is_taken_is_refused_and_not_tried_for_ever,
    the_progress_of_who_waits_is_taken_on_by_each_that_ends,
    children_are_found_until_they_are_over,
    the_first_of_a_line_goes_out_at_once_and_who_is_behind_it_does_not,
    several_jobs_are_written_in_one_statement_as_each_alone,
    of_several_jobs_so_many_go_out_as_there_is_room_for,
    of_nobodys_jobs_all_go_out,
    a_run_ends_in_the_transaction_of_its_last_step,
    a_cancel_that_the_last_step_saw_is_undone_at_once,
    a_queue_that_is_named_in_an_enqueue_exists,
);

async fn jobs_of_one_key_are_relayed_one_at_a_time_in_the_order_of_their_enqueuing(bench: &mut Bench) {
    let line = [in_line(bench, "a").await, in_line(bench, "a").await, in_line(bench, "a").await];
    assert!(line.iter().all(|job| job.state == JobState::Pending));
    for job in line {
        assert_eq!(due(bench).await, [job.id]);
        assert_eq!(due(bench).await, []);
        let run = bench.claim(job.id).await;
        assert_eq!(due(bench).await, []);
        bench.settle(&run, Ending::Succeeded).await;
    }
}

async fn a_job_in_backoff_keeps_those_behind_it_waiting_and_others_not(bench: &mut Bench) {
    let first = in_line(bench, "a").await;
    let second = in_line(bench, "a").await;
    let other = in_line(bench, "b").await;
    assert_eq!(due(bench).await, [first.id, other.id]);
    bench.claim(other.id).await;
    let run = bench.claim(first.id).await;
    bench.settle(&run, Ending::Retry(Some(Duration::from_secs(60)))).await;
    assert_eq!(due(bench).await, []);
    bench.time_passes(61).await;
    assert_eq!(due(bench).await, [first.id]);
    let run = bench.claim(first.id).await;
    bench.settle(&run, Ending::Discarded).await;
    assert_eq!(due(bench).await, [second.id]);
}

async fn every_way_into_a_final_state_frees_the_line(bench: &mut Bench) {
    for ending in [Ending::Succeeded, Ending::Discarded, Ending::Exhausted, Ending::Cancelled] {
        let key = format!("{ending:?}");
        let (first, second) = (in_line(bench, &key).await, in_line(bench, &key).await);
        assert_eq!(due(bench).await, [first.id]);
        let run = bench.claim(first.id).await;
        bench.settle(&run, ending).await;
        assert_eq!(due(bench).await, [second.id], "{ending:?}");
    }
    let (first, second) = (in_line(bench, "cancel").await, in_line(bench, "cancel").await);
    let mut tx = bench.db.begin().await.unwrap();
    cancel::cancel(&mut tx, first.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(bench).await, [second.id]);
}

async fn of_one_owner_only_so_many_jobs_are_with_the_broker_and_at_workers(bench: &mut Bench) {
    let ada = CustomerId::new();
    let mut queued = Vec::new();
    for _ in 0..SHARE + 3 {
        queued.push(owned(bench, ada).await);
    }
    let parked = queued.split_off(usize::try_from(SHARE).unwrap());
    assert!(queued.iter().all(|job| job.state == JobState::Queued));
    assert!(parked.iter().all(|job| job.state == JobState::Pending));
    assert_eq!(due(bench).await, []);
    let run = bench.claim(queued[0].id).await;
    assert_eq!((bench.promote(ada).await, due(bench).await), (0, vec![]), "one that runs counts as before");
    bench.settle(&run, Ending::Succeeded).await;
    bench.promote(ada).await;
    assert_eq!(due(bench).await, [parked[0].id], "as one ends, the next one comes");
    let run = bench.claim(queued[1].id).await;
    bench.settle(&run, Ending::Snooze(Duration::from_secs(3600))).await;
    bench.promote(ada).await;
    assert_eq!(due(bench).await, [parked[1].id], "one that sleeps takes no room");
    assert_eq!((bench.promote(ada).await, due(bench).await), (0, vec![]));
}

async fn a_long_line_of_one_owner_does_not_delay_another_owner(bench: &mut Bench) {
    let (ada, bob) = (CustomerId::new(), CustomerId::new());
    let minute = Duration::from_secs(60);
    for _ in 0..130 {
        delayed(bench, ada, minute).await;
    }
    let first = delayed(bench, bob, minute * 2).await;
    bench.time_passes(180).await;
    let moved = due(bench).await;
    assert_eq!(moved.len(), usize::try_from(SHARE).unwrap() + 1);
    assert!(moved.contains(&first.id), "in the same look, though 130 were due before it");
    assert_eq!(bench.number("SELECT count(*) FROM jobs WHERE parked = 'images'").await, 130 - SHARE);
    assert_eq!(owned(bench, bob).await.state, JobState::Queued);
}

async fn express_jobs_are_relayed_before_all_others(bench: &mut Bench) {
    let minute = Duration::from_secs(60);
    let ordinary = bench.enqueue_with(Options { delay: minute, ..Options::default() }).await;
    let express = Options { delay: minute * 2, express: true, ..Options::default() };
    let express = bench.enqueue_with(express).await;
    bench.time_passes(180).await;
    assert_eq!(due(bench).await, [express.id, ordinary.id]);
}

async fn an_express_job_is_not_held_back_by_its_owners_other_jobs(bench: &mut Bench) {
    let ada = CustomerId::new();
    for _ in 0..=SHARE {
        owned(bench, ada).await;
    }
    let express = Options { owner: Some(ada), express: true, ..Options::default() };
    let express = bench.enqueue_with(express).await;
    assert_eq!(express.state, JobState::Queued);
    let lane = express.lane().unwrap();
    assert_eq!((lane.queue, lane.express), (IMAGES, true));
}

async fn whoever_makes_room_wakes_the_relay_while_jobs_are_parked(bench: &mut Bench) {
    let (ada, bob) = (CustomerId::new(), CustomerId::new());
    let (first, others) = (owned(bench, ada).await, owned(bench, bob).await);
    for _ in 0..SHARE {
        owned(bench, ada).await;
    }
    due(bench).await;
    woken(bench).await;
    let run = bench.claim(first.id).await;
    let alone = bench.claim(others.id).await;
    bench.settle(&alone, Ending::Succeeded).await;
    assert!(!woken(bench).await, "nobody waits for that room");
    bench.settle(&run, Ending::Succeeded).await;
    assert!(woken(bench).await);
}

#[derive(Debug, Serialize, Deserialize)]
struct Refresh {}

impl Kind for Refresh {
    const NAME: &'static str = "refresh_of_the_tests";
    const QUEUE: Queue = MAIL;
    const UNIQUE: Unique = Unique::UntilStarted;
}

async fn of_a_unique_key_there_is_one_unfinished_job(bench: &mut Bench) {
    let first = new(unique_photo(bench, "photo 1").await);
    assert_eq!(existing(unique_photo(bench, "photo 1").await).id, first.id);
    new(unique_photo(bench, "photo 2").await);
    let run = bench.claim(first.id).await;
    assert_eq!(existing(unique_photo(bench, "photo 1").await).id, first.id, "while it runs, too");
    bench.settle(&run, Ending::Succeeded).await;
    new(unique_photo(bench, "photo 1").await);
}

async fn a_key_that_is_unique_until_the_start_is_free_at_the_claim(bench: &mut Bench) {
    let refresh = async |bench: &Bench| {
        let mut tx = bench.db.begin().await.unwrap();
        let enqueued = enqueue_unique(&mut tx, "refresh", &Refresh {}, Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    };
    let first = new(refresh(bench).await);
    assert_eq!(existing(refresh(bench).await).id, first.id);
    bench.claim(first.id).await;
    let second = new(refresh(bench).await);
    assert_eq!(existing(refresh(bench).await).id, second.id);
}

async fn an_id_that_is_taken_is_refused_and_not_tried_for_ever(bench: &mut Bench) {
    let taken = bench.enqueue().await;
    let options = || Options { id: Some(taken.id), ..Options::default() };
    let mut tx = bench.db.begin().await.unwrap();
    let refused = enqueue_unique(&mut tx, "refresh", &Refresh {}, options()).await;
    assert!(matches!(refused, Err(DbError::Duplicate(_))), "{refused:?}");
    let refused = enqueue(&mut tx, &Refresh {}, options()).await;
    assert!(matches!(refused, Err(DbError::Duplicate(_))), "{refused:?}");
}

async fn the_progress_of_who_waits_is_taken_on_by_each_that_ends(bench: &mut Bench) {
    let parts = [bench.running().await, bench.running().await, bench.running().await, bench.running().await];
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    let progress = Progress::at(40, "rendering").until(80);
    checkpoint(&mut tx, own(&job), &serde_json::json!({}), false, &progress).await.unwrap();
    tx.commit().await.unwrap();
    let on: Vec<JobId> = parts.iter().map(|part| part.id).collect();
    bench.wait_for(&job, &on).await;
    for (part, percent) in std::iter::zip(&parts, [50, 60, 70, 70]) {
        let before = bench.job(job.id).await.version;
        bench.settle(part, Ending::Succeeded).await;
        let seen = bench.job(job.id).await;
        assert_eq!(seen.progress.unwrap()["percent"], percent);
        assert!(seen.version > before);
    }
    assert_eq!(bench.state(job.id).await, JobState::Pending);
}

async fn children_are_found_until_they_are_over(bench: &mut Bench) {
    let parent = bench.running().await;
    let part = || Options { parent: Some(parent.id), ..Options::default() };
    let (one, other) = (bench.enqueue_with(part()).await, bench.enqueue_with(part()).await);
    let unfinished = async |bench: &Bench| {
        unfinished_children(&mut bench.db.conn().await.unwrap(), parent.id).await.unwrap()
    };
    assert_eq!(unfinished(bench).await, [other.id, one.id]);
    let run = bench.claim(other.id).await;
    bench.settle(&run, Ending::Discarded).await;
    assert_eq!(unfinished(bench).await, [one.id]);
}

async fn the_first_of_a_line_goes_out_at_once_and_who_is_behind_it_does_not(bench: &mut Bench) {
    let in_line =
        || Options { ordering_key: Some("a".into()), owner: Some(CustomerId::new()), ..Options::default() };
    let first = bench.enqueue_with(in_line()).await;
    assert_eq!(first.state, JobState::Queued);
    assert_eq!(bench.signals.publications.try_recv().unwrap().envelope.job, first.id);
    let second = bench.enqueue_with(in_line()).await;
    assert_eq!(second.state, JobState::Pending);
    assert!(bench.signals.publications.try_recv().is_err());
    assert_eq!(bench.looked_at_again_in(second.id).await, None, "it is not due");
    bench.settle(&bench.claim(first.id).await, Ending::Succeeded).await;
    assert_eq!(due(bench).await, [second.id]);
}

async fn several_jobs_are_written_in_one_statement_as_each_alone(bench: &mut Bench) {
    let parent = bench.running().await;
    let options = Options { parent: Some(parent.id), express: true, ..Options::default() };
    let alone = bench.enqueue_with(options.clone()).await;
    let photos: Vec<_> = (0..3).map(|_| MakeThumbnails { photo_id: PhotoId::new() }).collect();
    let mut tx = bench.db.begin().await.unwrap();
    let together = enqueue_all(&mut tx, &photos, options.clone()).await.unwrap();
    let in_line = Options { ordering_key: Some("a".into()), ..options };
    let one_by_one = enqueue_all(&mut tx, &photos, in_line).await.unwrap();
    tx.commit().await.unwrap();
    for (photo, job) in std::iter::zip(&photos, &together) {
        let row = bench.job(job.id).await;
        assert_eq!(row.args, serde_json::to_value(photo).unwrap());
        let same = |job: &Job| {
            (job.state, job.queue.clone(), job.kind.clone(), job.parent, job.express, job.published)
        };
        assert_eq!(same(&row), same(&alone));
        assert_eq!(format!("{job:?}"), format!("{row:?}"), "what is answered is what is written");
    }
    let states = one_by_one.iter().map(|job| job.state);
    assert_eq!(states.collect::<Vec<_>>(), [JobState::Queued, JobState::Pending, JobState::Pending]);
    let published: Vec<_> = std::iter::from_fn(|| bench.signals.publications.try_recv().ok()).collect();
    let published: Vec<JobId> = published.iter().map(|message| message.envelope.job).skip(2).collect();
    let mut expected: Vec<JobId> = together.iter().map(|job| job.id).collect();
    expected.push(one_by_one[0].id);
    assert_eq!(published, expected);
}

async fn of_several_jobs_so_many_go_out_as_there_is_room_for(bench: &mut Bench) {
    let owner = Some(CustomerId::new());
    for _ in 0..SHARE - 2 {
        bench.enqueue_with(Options { owner, ..Options::default() }).await;
    }
    let photos: Vec<_> = (0..5).map(|_| MakeThumbnails { photo_id: PhotoId::new() }).collect();
    let mut tx = bench.db.begin().await.unwrap();
    let jobs = enqueue_all(&mut tx, &photos, Options { owner, ..Options::default() }).await.unwrap();
    tx.commit().await.unwrap();
    use JobState::{Pending, Queued};
    let states = jobs.iter().map(|job| job.state);
    assert_eq!(states.collect::<Vec<_>>(), [Queued, Queued, Pending, Pending, Pending]);
    assert_eq!(bench.number("SELECT count(*) FROM jobs WHERE parked = 'images'").await, 3);
}

async fn of_nobodys_jobs_all_go_out(bench: &mut Bench) {
    let photos: Vec<_> = (0..SHARE + 10).map(|_| MakeThumbnails { photo_id: PhotoId::new() }).collect();
    let mut tx = bench.db.begin().await.unwrap();
    let jobs = enqueue_all(&mut tx, &photos, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(jobs.iter().all(|job| job.state == JobState::Queued));
}

async fn a_cancel_that_the_last_step_saw_is_undone_at_once(bench: &mut Bench) {
    let run = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel::cancel(&mut tx, run.id).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = bench.db.begin().await.unwrap();
    let point = serde_json::json!({"done": 1});
    let row = checkpoint(&mut tx, own(&run), &point, false, &Progress::at(10, "half")).await.unwrap();
    let options = Options { parent: Some(run.id), ..Options::default() };
    let part = enqueue_all(&mut tx, &[MakeThumbnails { photo_id: PhotoId::new() }], options).await.unwrap();
    let state = settle_with_step(tx, &row, &[part[0].id], waits()).await.unwrap();
    assert_eq!((state, bench.looked_at_again_in(run.id).await), (JobState::Pending, Some(0)));
}

async fn a_run_ends_in_the_transaction_of_its_last_step(bench: &mut Bench) {
    let point = serde_json::json!({"done": 1});
    let run = bench.running().await;
    let other = bench.waiting_for(&[run.id]).await;
    // A part that the step makes, and waits for.
    let mut tx = bench.db.begin().await.unwrap();
    let row = checkpoint(&mut tx, own(&run), &point, false, &Progress::at(10, "half")).await.unwrap();
    let options = Options { parent: Some(run.id), ..Options::default() };
    let part = enqueue_all(&mut tx, &[MakeThumbnails { photo_id: PhotoId::new() }], options).await.unwrap();
    let progress = Some(Progress::at(20, "its part").until(80));
    let ended = Ended { progress, got_on: true, ..waits() };
    let state = settle_with_step(tx, &row, &[part[0].id], ended).await.unwrap();
    let row = bench.job(run.id).await;
    assert_eq!((state, row.state, row.attempt), (JobState::Waiting, JobState::Waiting, 0));
    assert_eq!((row.checkpoint, &row.progress.unwrap()["step"]), (Some(point.clone()), &"its part".into()));
    bench.settle(&bench.claim(part[0].id).await, Ending::Succeeded).await;
    assert_eq!(bench.state(run.id).await, JobState::Pending);
    // Its end, of which a waiter hears.
    let run = bench.run_again(run.id).await;
    let mut tx = bench.db.begin().await.unwrap();
    let row = checkpoint(&mut tx, own(&run), &point, false, &Progress::at(100, "done")).await.unwrap();
    let ended = Ended::by(Ending::Succeeded, Note::Result("done".into()));
    settle_with_step(tx, &row, &[], ended).await.unwrap();
    let row = bench.job(run.id).await;
    assert_eq!((row.state, row.result), (JobState::Succeeded, Some("done".into())));
    assert_eq!(bench.looked_at_again_in(run.id).await, None);
    assert_eq!(bench.state(other.id).await, JobState::Pending);
}

async fn a_queue_that_is_named_in_an_enqueue_exists(bench: &mut Bench) {
    let bulk = Queue::named("bulk").unwrap();
    let job = bench.enqueue_with(Options { queue: Some(bulk), ..Options::default() }).await;
    assert_eq!(bench.signals.publications.try_recv().unwrap().lane.queue, bulk);
    assert_eq!(job.queue, "bulk");
    let known = queues::with_pauses(&mut bench.db.conn().await.unwrap()).await.unwrap();
    assert!(known.contains(&(bulk, None)));
}

/// In a line, and left to the relay.
pub(super) async fn in_line(bench: &Bench, key: &str) -> Job {
    let job = bench.enqueue_with(Options { ordering_key: Some(key.into()), ..Options::default() }).await;
    if job.state == JobState::Queued {
        bench.set(job.id, &format!("{}, published = 0", bench.row(JobState::Pending))).await;
    }
    bench.job(job.id).await
}

pub(super) async fn owned(bench: &Bench, owner: CustomerId) -> Job {
    bench.enqueue_with(Options { owner: Some(owner), ..Options::default() }).await
}

async fn delayed(bench: &Bench, owner: CustomerId, delay: Duration) -> Job {
    bench.enqueue_with(Options { owner: Some(owner), delay, ..Options::default() }).await
}

async fn unique_photo(bench: &Bench, key: &str) -> Enqueued {
    let mut tx = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let enqueued = enqueue_unique(&mut tx, key, &args, Options::default()).await.unwrap();
    tx.commit().await.unwrap();
    enqueued
}

pub(super) fn new(enqueued: Enqueued) -> Job {
    match enqueued {
        Enqueued::New(job) => job,
        Enqueued::Existing(job) => panic!("{} was there already", job.id),
    }
}

pub(super) fn existing(enqueued: Enqueued) -> Job {
    match enqueued {
        Enqueued::Existing(job) => job,
        Enqueued::New(job) => panic!("{} is a second one", job.id),
    }
}

/// Whether the relay was woken since the last look.
async fn woken(bench: &Bench) -> bool {
    use futures_util::FutureExt;
    bench.signals.wake.notified().now_or_never().is_some()
}

pub(super) async fn due(bench: &Bench) -> Vec<JobId> {
    let messages = take_due(&bench.db, 100).await.unwrap();
    messages.iter().map(|message| message.envelope.job).collect()
}
