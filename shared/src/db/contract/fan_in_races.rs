//! Waiting and finishing at once: the waiter is woken once, and never not at all.

use super::bench::{Bench, done};
use super::promises;
use ::jobs::cancel::cancel;
use model::job::{Ending, JobState};

promises!(postgres:
    two_last_jobs_that_finish_at_once_wake_their_waiter_once,
    a_job_that_begins_to_wait_is_woken_by_a_finish_that_comes_after,
    a_job_that_begins_to_wait_does_not_sleep_when_the_finish_came_before,
    a_cancel_of_the_awaited_wakes_who_begins_to_wait,
    a_waiter_that_is_cancelled_while_it_is_woken_is_due_once,
    a_database_that_defaults_to_another_isolation_still_sees_fresh_rows,
);

async fn two_last_jobs_that_finish_at_once_wake_their_waiter_once(bench: &mut Bench) {
    let one = bench.running().await;
    let two = bench.running().await;
    let waiter = bench.waiting_for(&[one.id, two.id]).await;
    let version = bench.job(waiter.id).await.version;
    let held = bench.hold(&[waiter.id]).await;
    let first = bench.settle_later(&one, Ending::Succeeded);
    bench.until_blocked(1).await;
    let second = bench.settle_later(&two, Ending::Discarded);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert_eq!(done(first).await.unwrap(), JobState::Succeeded);
    assert_eq!(done(second).await.unwrap(), JobState::Failed);
    let woken = bench.job(waiter.id).await;
    assert_eq!((woken.state, woken.version), (JobState::Pending, version + 1));
}

async fn a_job_that_begins_to_wait_is_woken_by_a_finish_that_comes_after(bench: &mut Bench) {
    let awaited = bench.running().await;
    let waiter = bench.running().await;
    let held = bench.hold(&[waiter.id]).await;
    let waits = bench.wait_later(&waiter, &[awaited.id]);
    bench.until_blocked(1).await;
    let finished = bench.settle_later(&awaited, Ending::Succeeded);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert_eq!(done(waits).await.unwrap(), JobState::Waiting);
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
}

async fn a_job_that_begins_to_wait_does_not_sleep_when_the_finish_came_before(bench: &mut Bench) {
    let awaited = bench.running().await;
    let other = bench.waiting_for(&[awaited.id]).await;
    let waiter = bench.running().await;
    let held = bench.hold(&[other.id]).await;
    let finished = bench.settle_later(&awaited, Ending::Succeeded);
    bench.until_blocked(1).await;
    let waits = bench.wait_later(&waiter, &[awaited.id]);
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
    assert_eq!(done(waits).await.unwrap(), JobState::Pending);
}

async fn a_cancel_of_the_awaited_wakes_who_begins_to_wait(bench: &mut Bench) {
    let awaited = bench.enqueue().await;
    let waiter = bench.running().await;
    let held = bench.hold(&[waiter.id]).await;
    let waits = bench.wait_later(&waiter, &[awaited.id]);
    bench.until_blocked(1).await;
    let db = bench.db.clone();
    let cancelled = tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        cancel(&mut tx, awaited.id).await.unwrap();
        tx.commit().await.unwrap();
    });
    bench.until_blocked(2).await;
    held.commit().await.unwrap();
    assert_eq!(done(waits).await.unwrap(), JobState::Waiting);
    done(cancelled).await;
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
}

async fn a_waiter_that_is_cancelled_while_it_is_woken_is_due_once(bench: &mut Bench) {
    let awaited = bench.running().await;
    let waiter = bench.waiting_for(&[awaited.id]).await;
    let version = bench.job(waiter.id).await.version;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, waiter.id).await.unwrap();
    let finished = bench.settle_later(&awaited, Ending::Succeeded);
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
    let row = bench.job(waiter.id).await;
    assert_eq!((row.state, row.version), (JobState::Pending, version + 1));
}

/// Each statement must see what was committed before it, not what was when the transaction began.
async fn a_database_that_defaults_to_another_isolation_still_sees_fresh_rows(bench: &mut Bench) {
    bench
        .sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = serializable', \
             current_database()); END $$",
        )
        .await;
    bench.db = bench.another_process(|_| {});
    two_last_jobs_that_finish_at_once_wake_their_waiter_once(bench).await;
}
