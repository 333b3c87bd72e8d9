//! How a run ends, and its checkpoints.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, end_lapsed, own, waits};
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::lease::lock_own;
use ::jobs::settle::{Ended, Note, Progress, checkpoint, settle, settle_waiting};
use ::jobs::{Claim, ErrorEntry, FencedError, Job, status};
use model::JobId;
use model::job::{Ending, Failure, JobState};
use model::stored_text::MAX_BYTES;

promises!(both:
    each_ending_leaves_the_row_as_its_verdict_says,
    the_last_attempt_ends_the_job_as_exhausted,
    a_result_and_the_failures_are_kept,
    what_can_not_be_written_down_is_written_down_without_it,
    an_undo_is_never_given_up,
    a_run_that_was_asked_to_cancel_is_due_at_once_and_does_not_fail,
    a_checkpoint_begins_the_attempts_anew_and_tells_of_a_cancel,
    a_checkpoint_and_its_business_rows_are_one,
    nothing_that_a_run_writes_after_losing_its_lease_remains,
    every_public_change_raises_the_version_by_one_and_is_told,
);

async fn each_ending_leaves_the_row_as_its_verdict_says(bench: &mut Bench) {
    use JobState as S;
    let minute = Duration::from_secs(60);
    let at_once = 0..=0;
    let backoff = 4..=12;
    for (ending, state, failure, attempt, due_in) in [
        (Ending::Succeeded, S::Succeeded, None, 3, at_once.clone()),
        (Ending::Discarded, S::Failed, Some(Failure::Discarded), 3, at_once.clone()),
        (Ending::Exhausted, S::Failed, Some(Failure::Exhausted), 3, at_once.clone()),
        (Ending::Cancelled, S::Cancelled, None, 3, at_once.clone()),
        (Ending::Retry(None), S::Pending, None, 3, backoff),
        (Ending::Retry(Some(minute)), S::Pending, None, 3, 60..=60),
        (Ending::Snooze(minute), S::Pending, None, 2, 60..=60),
        (Ending::Release, S::Pending, None, 2, at_once),
    ] {
        let job = bench.running().await;
        bench.set(job.id, "attempt = 3").await;
        assert_eq!(bench.settle(&job, ending).await, state, "{ending:?}");
        let row = bench.job(job.id).await;
        assert_eq!((row.state, row.failure, row.attempt), (state, failure, attempt), "{ending:?}");
        assert_eq!((row.fence, row.lapses), (1, 0), "{ending:?}");
        assert!(due_in.contains(&bench.due_in(job.id).await), "{ending:?}");
        let then = format!("SELECT count(*) FROM jobs WHERE id = '{}' AND due_at = run_at", job.id);
        assert_eq!(bench.number(&then).await, i64::from(state == S::Pending), "{ending:?}");
    }
}

async fn the_last_attempt_ends_the_job_as_exhausted(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "max_attempts = 2").await;
    assert_eq!(bench.settle(&job, Ending::Retry(None)).await, JobState::Pending);
    let job = bench.run_again(job.id).await;
    assert_eq!(bench.settle(&job, Ending::Retry(None)).await, JobState::Failed);
    assert_eq!(bench.job(job.id).await.failure, Some(Failure::Exhausted));
}

async fn a_result_and_the_failures_are_kept(bench: &mut Bench) {
    let mut job = bench.running().await;
    for message in ["no route", "no route", "timed out"] {
        let note = Note::Failure(message.into());
        settle(&bench.db, own(&job), Ended::by(Ending::Retry(None), note)).await.unwrap();
        job = bench.run_again(job.id).await;
    }
    let note = Note::Result(json!({"photo": "ready"}));
    settle(&bench.db, own(&job), Ended::by(Ending::Succeeded, note)).await.unwrap();
    let row = bench.job(job.id).await;
    assert_eq!(row.result, Some(json!({"photo": "ready"})));
    let log: Vec<(String, u32)> = row.error_log().into_iter().map(|e| (e.message, e.times)).collect();
    assert_eq!(log, [("no route".to_owned(), 2), ("timed out".to_owned(), 1)]);
}

/// A mail server's answer may have any character in it: PostgreSQL's text and JSON hold no NUL.
async fn what_can_not_be_written_down_is_written_down_without_it(bench: &mut Bench) {
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    let point = json!({"done\0": ["a\0b"]});
    checkpoint(&mut tx, own(&job), &point, false, &Progress::at(10, "with\0out")).await.unwrap();
    tx.commit().await.unwrap();
    let long = format!("550 no\0such user{}", "x".repeat(100_000));
    let note = Note::Failure(long.as_str().into());
    settle(&bench.db, own(&job), Ended::by(Ending::Exhausted, note)).await.unwrap();
    let row = bench.job(job.id).await;
    assert_eq!(row.checkpoint, Some(json!({"done\u{fffd}": ["a\u{fffd}b"]})));
    assert_eq!(row.progress.unwrap()["step"], "with\u{fffd}out");
    let log: Vec<ErrorEntry> = serde_json::from_value(row.errors).unwrap();
    assert!(log[0].message.starts_with("550 no\u{fffd}such user") && log[0].message.len() <= MAX_BYTES);
    let died = "SELECT count(*) FROM jobs WHERE dead_reason LIKE '… no_such user%'";
    assert_eq!(bench.number(died).await, 1);

    let job = bench.running().await;
    let note = Note::Result(json!({"mail": "sent\0"}));
    settle(&bench.db, own(&job), Ended::by(Ending::Succeeded, note)).await.unwrap();
    assert_eq!(bench.job(job.id).await.result, Some(json!({"mail": "sent\u{fffd}"})));
}

async fn an_undo_is_never_given_up(bench: &mut Bench) {
    for ending in [Ending::Retry(None), Ending::Discarded, Ending::Exhausted] {
        let job = bench.running().await;
        bench.set(job.id, "undoing = true, attempt = 99").await;
        assert_eq!(bench.settle(&job, ending).await, JobState::Pending, "{ending:?}");
        assert!(bench.due_in(job.id).await >= 299, "{ending:?}");
    }
    let job = bench.running().await;
    bench.set(job.id, "undoing = true, attempt = 99, lapses = 99").await;
    bench.process_dies().await;
    let ended = end_lapsed(&bench.db, 10).await.unwrap();
    assert_eq!(
        ended.iter().map(|(job, state)| (job.id, *state)).collect::<Vec<_>>(),
        [(job.id, JobState::Pending)]
    );
}

async fn a_run_that_was_asked_to_cancel_is_due_at_once_and_does_not_fail(bench: &mut Bench) {
    let minute = Duration::from_secs(60);
    for ending in
        [Ending::Retry(None), Ending::Retry(Some(minute)), Ending::Snooze(minute), Ending::Exhausted]
    {
        let job = bench.running().await;
        bench.set(job.id, "attempt = 20, cancel_requested_at = run_at").await;
        assert_eq!(bench.settle(&job, ending).await, JobState::Pending, "{ending:?}");
        assert_eq!(bench.due_in(job.id).await, 0, "{ending:?}");
    }
    let unfinished = bench.enqueue().await;
    let job = bench.running().await;
    bench.set(job.id, "cancel_requested_at = run_at").await;
    assert_eq!(bench.wait_for(&job, &[unfinished.id]).await, JobState::Pending);
}

async fn a_checkpoint_begins_the_attempts_anew_and_tells_of_a_cancel(bench: &mut Bench) {
    let job = bench.running().await;
    bench.set(job.id, "attempt = 7").await;
    let progress = Progress::at(50, "charging");
    let mut tx = bench.db.begin().await.unwrap();
    let position = json!({"done": 2});
    let row = checkpoint(&mut tx, own(&job), &position, false, &progress).await.unwrap();
    assert_eq!((row.attempt, row.cancel_requested_at), (1, None));
    tx.commit().await.unwrap();
    let row = bench.job(job.id).await;
    assert_eq!((row.attempt, row.undoing, row.checkpoint), (1, false, Some(position.clone())));
    assert_eq!(row.progress, Some(json!({"percent": 50, "step": "charging"})));

    bench.set(job.id, "cancel_requested_at = run_at").await;
    let mut tx = bench.db.begin().await.unwrap();
    let row = checkpoint(&mut tx, own(&job), &position, true, &progress).await.unwrap();
    assert!(row.cancel_requested_at.is_some());
    tx.commit().await.unwrap();
    assert!(bench.job(job.id).await.undoing);
}

async fn a_checkpoint_and_its_business_rows_are_one(bench: &mut Bench) {
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    let child = child(&mut tx).await;
    checkpoint(&mut tx, own(&job), &json!({"done": 1}), false, &Progress::default()).await.unwrap();
    drop(tx);
    assert_eq!(bench.job(job.id).await.checkpoint, None);
    assert!(!exists(bench, child).await);
}

async fn nothing_that_a_run_writes_after_losing_its_lease_remains(bench: &mut Bench) {
    let awaited = bench.enqueue().await;
    let old = bench.running().await;
    bench.process_dies().await;
    assert_eq!(end_lapsed(&bench.db, 10).await.unwrap().len(), 1);
    refused(bench, &old, awaited.id).await;
    let new = bench.run_again(old.id).await;
    assert_eq!((new.fence, new.lapses), (2, 1));
    refused(bench, &old, awaited.id).await;
    let row = bench.job(old.id).await;
    assert_eq!((row.state, row.version, row.checkpoint), (JobState::Running, new.version, None));
    assert_eq!(bench.number("SELECT count(*) FROM job_waits").await, 0);
    bench.settle(&new, Ending::Succeeded).await;
    refused(bench, &new, awaited.id).await;
    let never = Claim { job: JobId::new(), fence: 1 };
    assert!(lost(settle(&bench.db, never, Ended::by(Ending::Succeeded, Note::None)).await));
}

/// Every fenced write says that the lease is lost, and what it was written with is gone.
async fn refused(bench: &Bench, old: &Job, awaited: JobId) {
    let claim = own(old);
    assert!(lost(settle(&bench.db, claim, Ended::by(Ending::Succeeded, Note::None)).await));
    assert!(lost(settle_waiting(&bench.db, claim, &[awaited], waits()).await));
    let mut tx = bench.db.begin().await.unwrap();
    assert!(lost(lock_own(&mut tx, claim).await));
    drop(tx);
    let mut tx = bench.db.begin().await.unwrap();
    let child = child(&mut tx).await;
    assert!(lost(checkpoint(&mut tx, claim, &json!({}), false, &Progress::default()).await));
    drop(tx);
    assert!(!exists(bench, child).await);
}

fn lost<T>(outcome: Result<T, FencedError>) -> bool {
    matches!(outcome, Err(FencedError::LostLease(_)))
}

async fn child(tx: &mut database::Tx) -> JobId {
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    enqueue(tx, &args, Options::default()).await.unwrap().id
}

async fn exists(bench: &Bench, id: JobId) -> bool {
    status::find(&mut bench.db.conn().await.unwrap(), id).await.unwrap().is_some()
}

async fn every_public_change_raises_the_version_by_one_and_is_told(bench: &mut Bench) {
    let job = bench.running().await;
    let mut tx = bench.db.begin().await.unwrap();
    checkpoint(&mut tx, own(&job), &json!({}), false, &Progress::default()).await.unwrap();
    tx.commit().await.unwrap();
    bench.settle(&job, Ending::Snooze(Duration::ZERO)).await;
    let job = bench.run_again(job.id).await;
    bench.settle(&job, Ending::Succeeded).await;
    assert_eq!(bench.job(job.id).await.version, 6);
    for version in 2..=6 {
        let change = bench.signals.changes.try_recv().unwrap();
        assert_eq!((change.job, change.version), (job.id, version));
    }
    assert!(bench.signals.changes.try_recv().is_err());
}
