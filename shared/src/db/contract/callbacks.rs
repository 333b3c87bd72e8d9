//! What is told of a job, and when.

use super::bench::{Bench, end_lapsed, own};
use super::promises;
use ::jobs::cancel::cancel;
use ::jobs::deliveries::{self, Call};
use ::jobs::enqueue::Options;
use ::jobs::kinds::DeliverCallback;
use ::jobs::lease::lock_own;
use ::jobs::relay::due::take_due;
use ::jobs::{Job, status};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use model::JobId;
use model::Kind;
use model::job::Ending;
use platform::callbacks::{Callback, CallbackOn, CallbackPolicy, CallbackUrl};
use std::time::Duration;

use ::jobs::schema::jobs;
use database::with;

promises!(both:
    each_new_status_is_told_once_and_in_order,
    a_callback_at_the_end_is_told_the_end,
    a_job_that_waits_is_told_as_waiting_and_as_scheduled_again,
    a_lapse_is_told,
    every_cancel_is_told,
    nothing_is_told_of_a_change_that_was_not_committed,
    nothing_is_told_of_a_job_that_nobody_asked_about,
    deliveries_of_one_job_are_made_one_at_a_time,
    a_receiver_that_wants_no_more_is_told_no_more,
);

async fn each_new_status_is_told_once_and_in_order(bench: &mut Bench) {
    let job = asked(bench, CallbackOn::EveryChange).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Retry(Some(Duration::from_secs(60)))).await;
    bench.time_passes(61).await;
    take_due(&bench.db, 10).await.unwrap();
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Succeeded).await;
    let expected = ["running", "scheduled", "queued", "running", "succeeded"];
    assert_eq!(told(bench, job.id).await, expected);
}

async fn a_callback_at_the_end_is_told_the_end(bench: &mut Bench) {
    for (ending, status) in [
        (Ending::Succeeded, "succeeded"),
        (Ending::Discarded, "failed"),
        (Ending::Exhausted, "failed"),
        (Ending::Cancelled, "cancelled"),
    ] {
        let job = asked(bench, CallbackOn::End).await;
        let run = bench.claim(job.id).await;
        bench.settle(&run, ending).await;
        assert_eq!(told(bench, job.id).await, [status], "{ending:?}");
    }
}

async fn a_job_that_waits_is_told_as_waiting_and_as_scheduled_again(bench: &mut Bench) {
    let awaited = bench.running().await;
    let job = asked(bench, CallbackOn::EveryChange).await;
    let run = bench.claim(job.id).await;
    bench.wait_for(&run, &[awaited.id]).await;
    bench.settle(&awaited, Ending::Succeeded).await;
    assert_eq!(told(bench, job.id).await, ["running", "waiting", "scheduled"]);
}

async fn a_lapse_is_told(bench: &mut Bench) {
    let job = asked(bench, CallbackOn::EveryChange).await;
    bench.claim(job.id).await;
    bench.process_dies().await;
    end_lapsed(&bench.db, 10).await.unwrap();
    assert_eq!(told(bench, job.id).await, ["running", "scheduled"]);
}

async fn every_cancel_is_told(bench: &mut Bench) {
    let unstarted = asked(bench, CallbackOn::End).await;
    cancelled(bench, unstarted.id).await;
    assert_eq!(told(bench, unstarted.id).await, ["cancelled"]);

    let awaited = bench.running().await;
    let waiting = asked(bench, CallbackOn::EveryChange).await;
    let run = bench.claim(waiting.id).await;
    bench.wait_for(&run, &[awaited.id]).await;
    cancelled(bench, waiting.id).await;
    assert_eq!(told(bench, waiting.id).await, ["running", "waiting", "scheduled"]);

    let running = asked(bench, CallbackOn::EveryChange).await;
    bench.claim(running.id).await;
    cancelled(bench, running.id).await;
    assert_eq!(told(bench, running.id).await, ["running"], "it is asked to stop, and runs on");
}

async fn nothing_is_told_of_a_change_that_was_not_committed(bench: &mut Bench) {
    let job = asked(bench, CallbackOn::EveryChange).await;
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, job.id).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(told(bench, job.id).await, [""; 0]);
    cancelled(bench, job.id).await;
    assert_eq!(told(bench, job.id).await, ["cancelled"]);
}

async fn nothing_is_told_of_a_job_that_nobody_asked_about(bench: &mut Bench) {
    let job = bench.running().await;
    bench.settle(&job, Ending::Succeeded).await;
    assert_eq!(told(bench, job.id).await, [""; 0]);
}

async fn deliveries_of_one_job_are_made_one_at_a_time(bench: &mut Bench) {
    let job = asked(bench, CallbackOn::EveryChange).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Succeeded).await;
    let [first, second] = &deliveries(bench, job.id).await[..] else { panic!("two changes") };
    assert!(
        take_due(&bench.db, 10).await.unwrap().is_empty(),
        "the first is out, and the second waits for it"
    );
    let run = bench.claim(first.id).await;
    bench.settle(&run, Ending::Retry(Some(Duration::ZERO))).await;
    let due = take_due(&bench.db, 10).await.unwrap();
    assert_eq!(due[0].envelope.job, first.id, "the second waits for it: {}", second.id);
    let run = bench.claim(first.id).await;
    bench.settle(&run, Ending::Discarded).await;
    assert_eq!(take_due(&bench.db, 10).await.unwrap()[0].envelope.job, second.id);
}

async fn a_receiver_that_wants_no_more_is_told_no_more(bench: &mut Bench) {
    let job = asked(bench, CallbackOn::EveryChange).await;
    let run = bench.claim(job.id).await;
    let delivery = deliveries(bench, job.id).await.remove(0);
    take_due(&bench.db, 10).await.unwrap();
    let delivery = bench.claim(delivery.id).await;
    let mut tx = bench.db.begin().await.unwrap();
    lock_own(&mut tx, own(&delivery)).await.unwrap();
    let (fence, attempt, took) = (delivery.fence, delivery.attempt, Duration::from_millis(7));
    let (job_id, delivery_id) = (job.id, delivery.id);
    let call = Call { delivery_id, fence, attempt, job_id, told: "running", answer: Ok(410), took };
    deliveries::record(&mut tx, call, true).await.unwrap();
    tx.commit().await.unwrap();
    bench.settle(&run, Ending::Succeeded).await;
    assert_eq!(told(bench, job.id).await, ["running"]);

    let mut conn = bench.db.conn().await.unwrap();
    let receiver = deliveries::receiver(&mut conn, job.id).await.unwrap().unwrap();
    assert!(receiver.every_change && receiver.stopped_at.is_some(), "{receiver:?}");
    let log = deliveries::of_job(&mut conn, job.id, 10).await.unwrap();
    let seen: Vec<_> = log.iter().map(|call| (call.told.as_str(), call.status, call.duration_ms)).collect();
    assert_eq!(seen, [("running", Some(410), 7)]);
}

/// A job that is due, with a callback.
async fn asked(bench: &Bench, on: CallbackOn) -> Job {
    let url = CallbackUrl::parse("https://shop.example/hooks", CallbackPolicy::Https).unwrap();
    bench.enqueue_with(Options { callback: Some(Callback { url, on }), ..Options::default() }).await
}

async fn cancelled(bench: &Bench, id: JobId) {
    let mut tx = bench.db.begin().await.unwrap();
    cancel(&mut tx, id).await.unwrap();
    tx.commit().await.unwrap();
}

/// The deliveries of a job, in the order of their line.
async fn deliveries(bench: &Bench, of: JobId) -> Vec<Job> {
    let mut conn = bench.db.conn().await.unwrap();
    let all: Vec<JobId> = with!(&mut conn, |c| {
        jobs::table
            .filter(jobs::kind.eq(DeliverCallback::NAME))
            .order(jobs::ordering_seq)
            .select(jobs::id)
            .load(c)
            .await
    })
    .unwrap();
    let mut found = Vec::new();
    for id in all {
        let job = status::find(&mut conn, id).await.unwrap().unwrap();
        let args: DeliverCallback = serde_json::from_value(job.args.clone()).unwrap();
        if args.job_id == of {
            found.push(job);
        }
    }
    found
}

/// The statuses that are told of a job, in order.
async fn told(bench: &Bench, of: JobId) -> Vec<String> {
    let args = deliveries(bench, of).await.into_iter().map(|job| serde_json::from_value(job.args).unwrap());
    args.map(|args: DeliverCallback| args.told().to_owned()).collect()
}
