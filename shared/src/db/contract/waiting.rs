//! Waiting for other jobs, and every way to be woken.

use std::time::Duration;

use super::bench::{Bench, end_lapsed};
use super::promises;
use ::jobs::Job;
use ::jobs::cancel::cancel;
use ::jobs::relay::due::take_due;
use ::jobs::waits::outcomes;
use model::job::{Ending, Failure, JobState};

promises!(both:
    a_job_waits_until_the_last_of_those_that_it_waits_for_is_final,
    a_job_whose_awaited_are_all_final_goes_on_at_once,
    a_job_named_twice_is_waited_for_once,
    every_way_into_a_final_state_wakes_the_waiters,
    a_job_that_is_put_back_wakes_nobody,
    everybody_who_waits_for_a_job_is_woken,
    who_was_woken_goes_before_who_has_not_begun,
    waiting_burns_no_attempt_and_is_given_back_once,
    a_second_wait_forgets_the_first,
    a_waiter_reads_how_those_ended_that_it_waited_for,
);

async fn a_job_waits_until_the_last_of_those_that_it_waits_for_is_final(bench: &mut Bench) {
    let over = bench.running().await;
    bench.settle(&over, Ending::Succeeded).await;
    let one = bench.running().await;
    let two = bench.running().await;
    let waiter = bench.waiting_for(&[one.id, over.id, two.id]).await;
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 0);
    bench.settle(&one, Ending::Succeeded).await;
    assert_eq!(bench.state(waiter.id).await, JobState::Waiting);
    let version = bench.job(waiter.id).await.version;
    bench.settle(&two, Ending::Succeeded).await;
    let woken = bench.job(waiter.id).await;
    assert_eq!((woken.state, woken.version), (JobState::Pending, version + 1));
    assert_eq!(take_due(&bench.db, 10).await.unwrap().len(), 1);
}

async fn a_job_whose_awaited_are_all_final_goes_on_at_once(bench: &mut Bench) {
    let over = bench.running().await;
    bench.settle(&over, Ending::Discarded).await;
    for on in [vec![], vec![over.id]] {
        let job = bench.running().await;
        assert_eq!(bench.wait_for(&job, &on).await, JobState::Pending);
        let row = bench.job(job.id).await;
        // It waited for nothing: an attempt like any other.
        assert_eq!((row.attempt, bench.due_in(job.id).await), (1, 0));
    }
}

async fn a_job_named_twice_is_waited_for_once(bench: &mut Bench) {
    let one = bench.running().await;
    let waiter = bench.waiting_for(&[one.id, one.id]).await;
    bench.settle(&one, Ending::Succeeded).await;
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
}

async fn every_way_into_a_final_state_wakes_the_waiters(bench: &mut Bench) {
    for way in ["succeed", "discard", "give up", "exhaust", "undo", "kill", "cancel"] {
        let one = bench.enqueue().await;
        let one = if way == "cancel" { one } else { bench.claim(one.id).await };
        let waiter = bench.waiting_for(&[one.id]).await;
        bench.set(waiter.id, "run_at = created_at").await;
        let state = end(bench, &one, way).await;
        assert!(state.is_final(), "{way}");
        let woken = bench.job(waiter.id).await;
        assert_eq!((woken.state, woken.attempt), (JobState::Pending, 0), "{way}");
        assert!(woken.woken && woken.run_at == woken.created_at, "it keeps its place: {way}");
        let told: Vec<_> = std::iter::from_fn(|| bench.signals.changes.try_recv().ok()).collect();
        assert!(told.iter().any(|c| (c.job, c.version) == (waiter.id, woken.version)), "{way}");
    }
}

async fn end(bench: &mut Bench, job: &Job, way: &str) -> JobState {
    match way {
        "succeed" => bench.settle(job, Ending::Succeeded).await,
        "discard" => bench.settle(job, Ending::Discarded).await,
        "give up" => bench.settle(job, Ending::Exhausted).await,
        "undo" => bench.settle(job, Ending::Cancelled).await,
        "exhaust" => {
            bench.set(job.id, "attempt = max_attempts").await;
            bench.settle(job, Ending::Retry(None)).await
        }
        "kill" => {
            bench.set(job.id, "lapses = 4").await;
            bench.process_dies().await;
            end_lapsed(&bench.db, 10).await.unwrap();
            bench.state(job.id).await
        }
        _ => {
            let mut tx = bench.db.begin().await.unwrap();
            cancel(&mut tx, job.id).await.unwrap();
            tx.commit().await.unwrap();
            bench.state(job.id).await
        }
    }
}

async fn a_job_that_is_put_back_wakes_nobody(bench: &mut Bench) {
    let one = bench.running().await;
    let waiter = bench.waiting_for(&[one.id]).await;
    bench.settle(&one, Ending::Retry(None)).await;
    let one = bench.run_again(one.id).await;
    bench.settle(&one, Ending::Release).await;
    bench.run_again(one.id).await;
    bench.process_dies().await;
    end_lapsed(&bench.db, 10).await.unwrap();
    assert_eq!(bench.state(waiter.id).await, JobState::Waiting);
}

async fn everybody_who_waits_for_a_job_is_woken(bench: &mut Bench) {
    let one = bench.running().await;
    let other = bench.running().await;
    let first = bench.waiting_for(&[one.id]).await;
    let second = bench.waiting_for(&[one.id]).await;
    let third = bench.waiting_for(&[one.id, other.id]).await;
    bench.settle(&one, Ending::Succeeded).await;
    assert_eq!(bench.state(first.id).await, JobState::Pending);
    assert_eq!(bench.state(second.id).await, JobState::Pending);
    assert_eq!(bench.state(third.id).await, JobState::Waiting);
}

async fn who_was_woken_goes_before_who_has_not_begun(bench: &mut Bench) {
    let one = bench.running().await;
    let waiter = bench.waiting_for(&[one.id]).await;
    let longer_due = bench.enqueue().await;
    bench.put(longer_due.id, JobState::Pending).await;
    bench.time_passes(60).await;
    let retried = bench.running().await;
    bench.settle(&retried, Ending::Retry(Some(Duration::ZERO))).await;
    bench.settle(&one, Ending::Succeeded).await;
    let due = take_due(&bench.db, 10).await.unwrap();
    let lanes: Vec<_> = due.iter().map(|message| (message.envelope.job, message.lane.express)).collect();
    assert_eq!(lanes, [(waiter.id, true), (longer_due.id, false), (retried.id, false)]);
    bench.claim(waiter.id).await;
    assert!(!bench.job(waiter.id).await.woken, "its next wait is another");
}

async fn waiting_burns_no_attempt_and_is_given_back_once(bench: &mut Bench) {
    let one = bench.running().await;
    let waiter = bench.running().await;
    bench.set(waiter.id, "attempt = 3").await;
    bench.wait_for(&waiter, &[one.id]).await;
    assert_eq!(bench.job(waiter.id).await.attempt, 2);
    bench.settle(&one, Ending::Succeeded).await;
    assert_eq!(bench.job(waiter.id).await.attempt, 2);
}

async fn a_second_wait_forgets_the_first(bench: &mut Bench) {
    let endless = bench.running().await;
    let waiter = bench.waiting_for(&[endless.id]).await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, waiter.id).await.unwrap();
    tx.commit().await.unwrap();
    let undo = bench.run_again(waiter.id).await;
    let child = bench.running().await;
    assert_eq!(bench.wait_for(&undo, &[child.id]).await, JobState::Waiting);
    bench.settle(&child, Ending::Cancelled).await;
    assert_eq!(bench.state(waiter.id).await, JobState::Pending);
}

async fn a_waiter_reads_how_those_ended_that_it_waited_for(bench: &mut Bench) {
    let good = bench.running().await;
    let bad = bench.running().await;
    bench.waiting_for(&[good.id, bad.id]).await;
    bench.settle(&good, Ending::Succeeded).await;
    bench.settle(&bad, Ending::Discarded).await;
    let mut read = outcomes(&mut bench.db.conn().await.unwrap(), &[good.id, bad.id]).await.unwrap();
    read.sort_by_key(|(id, ..)| *id);
    let expected =
        [(good.id, JobState::Succeeded, None), (bad.id, JobState::Failed, Some(Failure::Discarded))];
    assert_eq!(read, expected);
}
