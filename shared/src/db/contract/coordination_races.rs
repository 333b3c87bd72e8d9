//! Two that stand in line, or want to be the only one, at once.

use super::bench::{Bench, done};
use super::coordination::{due, existing, new};
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue, enqueue_unique};
use model::job::{Ending, JobState};

promises!(postgres:
    a_place_in_a_line_is_taken_in_the_order_of_the_commits,
    of_two_that_enqueue_a_unique_job_at_once_one_finds_the_others,
);

async fn a_place_in_a_line_is_taken_in_the_order_of_the_commits(bench: &mut Bench) {
    let mut first = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let options = Options { ordering_key: Some("a".into()), ..Options::default() };
    let one = enqueue(&mut first, &args, options.clone()).await.unwrap();
    let db = bench.db.clone();
    let later = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let other = enqueue(&mut tx, &args, options).await.unwrap();
        tx.commit().await.unwrap();
        other
    });
    bench.until_blocked(1).await;
    first.commit().await.unwrap();
    let other = done(later).await;
    assert_eq!((one.state, other.state), (JobState::Queued, JobState::Pending));
    assert_eq!(due(bench).await, []);
    let run = bench.claim(one.id).await;
    bench.settle(&run, Ending::Succeeded).await;
    assert_eq!(due(bench).await, [other.id]);
}

async fn of_two_that_enqueue_a_unique_job_at_once_one_finds_the_others(bench: &mut Bench) {
    let mut first = bench.db.begin().await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let one = new(enqueue_unique(&mut first, "photo", &args, Options::default()).await.unwrap());
    let db = bench.db.clone();
    let later = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let enqueued = enqueue_unique(&mut tx, "photo", &args, Options::default()).await.unwrap();
        tx.commit().await.unwrap();
        enqueued
    });
    bench.until_blocked(1).await;
    first.commit().await.unwrap();
    assert_eq!(existing(done(later).await).id, one.id);
}
