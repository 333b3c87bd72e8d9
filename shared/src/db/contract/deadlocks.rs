//! Transactions that lock several rows: however they interleave, none waits for ever, and none has to
//! be sacrificed by PostgreSQL (which would take it a second to find out).

use std::time::Duration;

use super::bench::{Bench, done, end_lapsed};
use super::promises;
use ::jobs::unpublished::not_published;
use database::signals::Publication;
use model::WorkerId;
use model::job::{Ending, JobState};

promises!(postgres:
    a_finish_and_a_wait_in_a_diamond_whichever_is_first,
    lapses_that_wake_in_another_order_than_a_finish,
    messages_that_failed_whose_jobs_somebody_begins_to_wait_for,
);

/// J0 waits for J1 and J2, which both wait for J3.
async fn a_finish_and_a_wait_in_a_diamond_whichever_is_first(bench: &mut Bench) {
    for finish_first in [true, false] {
        let top = bench.running().await;
        let left = bench.running().await;
        let right = bench.running().await;
        let bottom = bench.running().await;
        assert_eq!(bench.wait_for(&left, &[bottom.id]).await, JobState::Waiting);
        assert_eq!(bench.wait_for(&right, &[bottom.id]).await, JobState::Waiting);
        let held = bench.hold(&[left.id]).await;
        let (finished, waits);
        if finish_first {
            finished = bench.settle_later(&bottom, Ending::Succeeded);
            bench.until_blocked(1).await;
            waits = bench.wait_later(&top, &[left.id, right.id]);
        } else {
            waits = bench.wait_later(&top, &[left.id, right.id]);
            bench.until_blocked(1).await;
            finished = bench.settle_later(&bottom, Ending::Succeeded);
        }
        bench.until_blocked(2).await;
        held.commit().await.unwrap();
        assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
        assert_eq!(done(waits).await.unwrap(), JobState::Waiting);
        assert_eq!(bench.state(left.id).await, JobState::Pending);
        assert_eq!(bench.state(right.id).await, JobState::Pending);
    }
}

async fn lapses_that_wake_in_another_order_than_a_finish(bench: &mut Bench) {
    let finishing = bench.running().await;
    let second = bench.running().await;
    let first = bench.running().await;
    for killer in [&first, &second] {
        bench.set(killer.id, "lapses = 4").await;
    }
    let older = bench.waiting_for(&[finishing.id, first.id]).await;
    let newer = bench.waiting_for(&[finishing.id, second.id]).await;
    for killer in [&first, &second] {
        bench.set(killer.id, &format!("worker = '{}'", WorkerId::new())).await;
    }

    let hold_older = bench.hold(&[older.id]).await;
    let hold_newer = bench.hold(&[newer.id]).await;
    let db = bench.db.clone();
    let lapsed = tokio::spawn(async move { end_lapsed(&db, 10).await });
    bench.until_blocked(1).await;
    let finished = bench.settle_later(&finishing, Ending::Succeeded);
    bench.until_blocked(2).await;
    hold_older.commit().await.unwrap();
    hold_newer.commit().await.unwrap();
    assert_eq!(done(lapsed).await.unwrap().len(), 2);
    assert_eq!(done(finished).await.unwrap(), JobState::Succeeded);
    assert_eq!(bench.state(older.id).await, JobState::Pending);
    assert_eq!(bench.state(newer.id).await, JobState::Pending);
}

async fn messages_that_failed_whose_jobs_somebody_begins_to_wait_for(bench: &mut Bench) {
    let one = bench.enqueue().await;
    let two = bench.enqueue().await;
    let waiter = bench.running().await;
    let mut messages: Vec<Publication> = Vec::new();
    while let Ok(message) = bench.signals.publications.try_recv() {
        messages.push(message);
    }
    // Whoever takes the older row first stands in the way of whoever takes the newer one first.
    let hold_newer = bench.hold(&[two.id]).await;
    let waits = bench.wait_later(&waiter, &[one.id, two.id]);
    bench.until_blocked(1).await;
    let db = bench.db.clone();
    let delay = Duration::from_secs(15);
    let failed = tokio::spawn(async move { not_published(&db, &messages, delay).await });
    bench.until_blocked(2).await;
    hold_newer.commit().await.unwrap();
    assert_eq!(done(waits).await.unwrap(), JobState::Waiting);
    assert!(done(failed).await.is_ok());
    for message in [one.id, two.id] {
        let left = bench.looked_at_again_in(message).await.unwrap();
        assert!((0..=15).contains(&left), "{left} s of the 15, not of the minute that a published one has");
    }
}
