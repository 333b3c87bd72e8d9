//! What workers ask at the same moment is one statement, on PostgreSQL: it comes to the same as one for each.

use futures_util::future::join_all;
use serde_json::json;

use super::bench::Bench;
use super::cancelling::ask;
use super::coordination::{in_line, new};
use super::due::{IMAGES, full, holds};
use super::promises;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::claim::{Claimed, Claims};
use ::jobs::enqueue::{Options, enqueue_unique};
use ::jobs::settle::{Ended, Note, Settles};
use ::jobs::{FencedError, Job};
use model::JobId;
use model::job::{Ending, JobState};

promises!(both:
    jobs_that_are_claimed_together_are_claimed_as_each_alone,
    runs_that_succeed_together_end_as_each_alone,
);

mod on_servers {
    use super::*;
    promises!(postgres:
        a_row_that_somebody_holds_keeps_no_other_job_from_being_claimed,
        a_row_that_somebody_holds_keeps_no_other_run_from_ending,
        a_run_that_the_database_refuses_takes_no_other_with_it,
    );
}

async fn a_row_that_somebody_holds_keeps_no_other_job_from_being_claimed(bench: &mut Bench) {
    let claims = Claims::new(bench.db.clone());
    let (held, free) = (bench.enqueue().await, bench.enqueue().await);
    let somebody = bench.hold(&[held.id]).await;
    let mut waits = Box::pin(claims.claim(held.id, bench.worker));
    let mut taken = Box::pin(claims.claim(free.id, bench.worker));
    tokio::select! {
        answer = &mut taken => assert!(matches!(answer.unwrap(), Claimed::Yes(_))),
        answer = &mut waits => panic!("somebody holds it: {answer:?}"),
    }
    somebody.rollback().await.unwrap();
    assert!(matches!(waits.await.unwrap(), Claimed::Yes(_)), "what was left out is not forgotten");
}

async fn a_row_that_somebody_holds_keeps_no_other_run_from_ending(bench: &mut Bench) {
    let settles = Settles::new(bench.db.clone());
    let (held, free) = (bench.running().await, bench.running().await);
    let somebody = bench.hold(&[held.id]).await;
    let end = async |run: &Job| settles.settle(run, Ended::by(Ending::Succeeded, Note::None)).await;
    let mut waits = Box::pin(end(&held));
    let mut ended = Box::pin(end(&free));
    tokio::select! {
        answer = &mut ended => assert_eq!(answer.unwrap(), JobState::Succeeded),
        answer = &mut waits => panic!("somebody holds it: {answer:?}"),
    }
    somebody.rollback().await.unwrap();
    assert_eq!(waits.await.unwrap(), JobState::Succeeded);
}

async fn a_run_that_the_database_refuses_takes_no_other_with_it(bench: &mut Bench) {
    let settles = Settles::new(bench.db.clone());
    let (bad, good) = (bench.running().await, bench.running().await);
    bench
        .sql(&format!("ALTER TABLE jobs ADD CHECK (id <> '{}' OR state <> 'succeeded') NOT VALID", bad.id))
        .await;
    let end = async |run: &Job| settles.settle(run, Ended::by(Ending::Succeeded, Note::None)).await;
    let (refused, ended) = tokio::join!(end(&bad), end(&good));
    assert!(matches!(refused, Err(FencedError::Db(_))), "{refused:?}");
    assert_eq!(ended.unwrap(), JobState::Succeeded);
    assert_eq!(bench.state(bad.id).await, JobState::Running);
}

async fn jobs_that_are_claimed_together_are_claimed_as_each_alone(bench: &mut Bench) {
    let claims = Claims::new(bench.db.clone());
    let (once, twice, over) = (bench.enqueue().await, bench.enqueue().await, bench.enqueue().await);
    bench.put(over.id, JobState::Succeeded).await;
    let pending = bench.enqueue().await;
    bench.put(pending.id, JobState::Pending).await;
    let to_undo = bench.running().await;
    bench.put(to_undo.id, JobState::Queued).await;
    ask(bench, to_undo.id).await;
    let asked = [once.id, twice.id, over.id, pending.id, to_undo.id, twice.id, JobId::new()];
    let answers = join_all(asked.iter().map(|id| claims.claim(*id, bench.worker))).await;
    let mut taken: Vec<Job> = Vec::new();
    for answer in answers {
        match answer.unwrap() {
            Claimed::Yes(job) => taken.push(*job),
            Claimed::No => {}
            Claimed::NotLiving => panic!("it lives"),
        }
    }
    taken.sort_by_key(|job| job.id);
    let told: Vec<_> = taken.iter().map(|job| (job.id, job.fence, job.attempt, job.undoing)).collect();
    assert_eq!(told, [(once.id, 1, 1, false), (twice.id, 1, 1, false), (to_undo.id, 2, 1, true)]);
    for job in taken {
        let row = bench.job(job.id).await;
        assert_eq!(
            (row.state, row.version, row.worker),
            (JobState::Running, job.version, Some(bench.worker))
        );
        assert_eq!(row.published, 0);
    }
    let gone = bench.worker;
    bench.process_dies().await;
    let left = bench.enqueue().await;
    assert!(matches!(claims.claim(left.id, gone).await.unwrap(), Claimed::NotLiving));
    assert_eq!(bench.state(left.id).await, JobState::Queued);
}

async fn runs_that_succeed_together_end_as_each_alone(bench: &mut Bench) {
    let settles = Settles::new(bench.db.clone());
    let ada = CustomerId::new();
    let (out, _) = full(bench, ada, false, 1).await;
    let mut runs: Vec<Job> = Vec::new();
    for job in &out[..5] {
        runs.push(bench.claim(job.id).await);
    }
    bench.set(runs[0].id, "lapses = 1").await;
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let mut tx = bench.db.begin().await.unwrap();
    let unique = new(enqueue_unique(&mut tx, "photo", &args, Options::default()).await.unwrap());
    tx.commit().await.unwrap();
    runs.push(bench.claim(unique.id).await);
    // Of these somebody else must hear.
    let (head, next) = (in_line(bench, "a").await, in_line(bench, "a").await);
    runs.push(bench.run_again(head.id).await);
    let awaited = bench.running().await;
    let waiter = bench.waiting_for(&[awaited.id]).await;
    runs.push(awaited);
    bench.signals.rooms.take();

    let result = |run: &Job| json!({"of": run.id.to_string()});
    let end =
        async |run: &Job| settles.settle(run, Ended::by(Ending::Succeeded, Note::Result(result(run)))).await;
    for answer in join_all(runs.iter().map(|run| end(run))).await {
        assert_eq!(answer.unwrap(), JobState::Succeeded);
    }
    for run in &runs {
        let row = bench.job(run.id).await;
        assert_eq!((row.state, row.version, row.lapses), (JobState::Succeeded, run.version + 1, 0));
        assert_eq!(row.result, Some(result(run)));
        let over = "due_at IS NULL AND unique_open IS NULL AND ordering_open IS NULL";
        assert!(holds(bench, run.id, over).await);
    }
    assert_eq!(bench.signals.rooms.take(), [(ada, IMAGES)]);
    assert!(holds(bench, next.id, "due_at = run_at").await);
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
    for run in &runs {
        assert!(matches!(end(run).await, Err(FencedError::LostLease(_))), "it is over");
    }
}
