//! Two operators at once, and an operator while the shop goes on.

use std::time::Duration;

use super::bench::{Bench, done};
use super::coordination::due;
use super::dead::{dead, redriven};
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::dead::{Refusal, redrive};
use ::jobs::enqueue::{Options, enqueue_unique};
use database::DbError;
use model::job::{Ending, JobState};

promises!(postgres:
    of_two_that_redrive_a_job_at_once_one_does,
    a_redrive_that_meets_a_new_job_of_its_key_is_refused_when_it_is_tried_again,
    a_redriven_job_is_due_when_the_head_of_its_line_ends_beside_the_redrive,
);

async fn of_two_that_redrive_a_job_at_once_one_does(bench: &mut Bench) {
    let job = dead(bench).await;
    let mut first = bench.db.begin().await.unwrap();
    redrive(&mut first, job.id, Duration::ZERO).await.unwrap().unwrap();
    let db = bench.db.clone();
    let later = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let outcome = redrive(&mut tx, job.id, Duration::ZERO).await.unwrap();
        tx.commit().await.unwrap();
        outcome
    });
    bench.until_blocked(1).await;
    first.commit().await.unwrap();
    assert_eq!(done(later).await.unwrap_err(), Refusal::NotDead(JobState::Pending));
}

async fn a_redrive_that_meets_a_new_job_of_its_key_is_refused_when_it_is_tried_again(bench: &mut Bench) {
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let mut tx = bench.db.begin().await.unwrap();
    let job = enqueue_unique(&mut tx, "photo", &args, Options::default()).await.unwrap().job();
    tx.commit().await.unwrap();
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;

    let mut first = bench.db.begin().await.unwrap();
    let newer = enqueue_unique(&mut first, "photo", &args, Options::default()).await.unwrap().job();
    let db = bench.db.clone();
    let later = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        redrive(&mut tx, job.id, Duration::ZERO).await.map(drop)
    });
    bench.until_blocked(1).await;
    first.commit().await.unwrap();
    assert!(matches!(done(later).await, Err(DbError::Duplicate(_))));
    assert_eq!(redriven(bench, job.id).await.unwrap_err(), Refusal::Superseded(newer.id));
}

async fn a_redriven_job_is_due_when_the_head_of_its_line_ends_beside_the_redrive(bench: &mut Bench) {
    let in_line = || Options { ordering_key: Some("a".into()), ..Options::default() };
    let job = bench.enqueue_with(in_line()).await;
    let run = bench.run_again(job.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    let head = bench.enqueue_with(in_line()).await;
    let run = bench.run_again(head.id).await;
    let mut tx = bench.db.begin().await.unwrap();
    redrive(&mut tx, job.id, Duration::ZERO).await.unwrap().unwrap();
    // It has written that it is over, and waits to see who stands in the line.
    let ended = bench.settle_later(&run, Ending::Succeeded);
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert_eq!(done(ended).await.unwrap(), JobState::Succeeded);
    assert_eq!(due(bench).await, [job.id]);
}
