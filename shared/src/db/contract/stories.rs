//! What one job's story is made of.

use serde_json::json;

use super::bench::{Bench, LEASE, begin_process, end_lapsed, own};
use super::promises;
use super::shop::{CANVAS, order_of};
use crate::domain::CustomerId;
use crate::jobs::Retention;
use ::jobs::deliveries::{self, Call};
use ::jobs::enqueue::{Options, enqueue_unique};
use ::jobs::redact::HIDDEN;
use ::jobs::settle::{Ended, Note, settle};
use ::jobs::{Job, replies};
use model::job::{Ending, JobState};
use model::{JobId, WorkerId};
use operations::OperationError;
use operations::jobs::{JobStory, list, show};
use platform::callbacks::{Callback, CallbackOn, CallbackPolicy, CallbackUrl};

promises!(both:
    each_try_is_told_of_with_its_process,
    the_process_that_ran_it_is_known_after_the_end,
    a_job_knows_its_relatives,
    who_is_told_of_a_job_is_shown_without_what_is_secret,
    an_orders_events_stand_in_its_jobs_timeline,
    what_can_be_done_depends_on_the_state,
    a_list_ends_where_there_is_no_more,
);

async fn story(bench: &Bench, id: JobId) -> JobStory {
    show(&bench.db, id).await.unwrap()
}

async fn fails(bench: &Bench, run: &Job, ending: Ending, message: &str) -> JobState {
    settle(&bench.db, own(run), Ended::by(ending, Note::Failure(message.into()))).await.unwrap()
}

async fn process(bench: &Bench, id: WorkerId, host: &str) {
    let (now, facts) = match bench.is_postgres() {
        true => ("now()", "'{}'"),
        false => ("CAST(unixepoch('subsec') * 1000000 AS INTEGER)", "jsonb('{}')"),
    };
    bench
        .sql(&format!(
            "INSERT INTO processes (id, program, host, pid, version, started_at, seen_at, facts)
             VALUES ('{id}', 'worker', '{host}', 7, '1.0.0', {now}, {now}, {facts})"
        ))
        .await;
}

async fn each_try_is_told_of_with_its_process(bench: &mut Bench) {
    let (first, second) = (bench.worker, WorkerId::new());
    process(bench, second, "rack-2").await;
    let run = bench.running().await;
    fails(bench, &run, Ending::Retry(None), "no route to ada@example.org").await;
    bench.worker = second;
    let run = bench.run_again(run.id).await;
    fails(bench, &run, Ending::Retry(None), "no route to ada@example.org").await;
    let run = bench.run_again(run.id).await;
    fails(bench, &run, Ending::Discarded, "the picture is broken").await;

    bench.sql(&format!("DELETE FROM processes WHERE id = '{first}'")).await;
    let story = story(bench, run.id).await;
    let told: Vec<_> = story.errors.iter().map(|error| (error.message.as_str(), error.times)).collect();
    assert_eq!(told, [("the picture is broken", 1), ("no route to [hidden]@example.org", 2)]);
    let tries = |index: usize| -> Vec<(i32, WorkerId, Option<&str>)> {
        let tries = story.errors[index].tries.iter();
        tries
            .map(|failed| {
                let process = failed.process.as_ref().unwrap();
                (failed.attempt, WorkerId(process.id), process.seen.as_ref().map(|seen| seen.host.as_str()))
            })
            .collect()
    };
    assert_eq!(tries(0), [(3, second, Some("rack-2"))]);
    assert_eq!(tries(1), [(2, second, Some("rack-2")), (1, first, None)]);
    let what: Vec<&str> = story.timeline.iter().map(|event| event.what.as_str()).collect();
    assert_eq!(what, ["enqueued", "first taken by a worker", "failed", "failed again", "failed", "failed"]);
}

async fn the_process_that_ran_it_is_known_after_the_end(bench: &mut Bench) {
    let snoozed = bench.running().await;
    bench.settle(&snoozed, Ending::Release).await;
    let done = bench.running().await;
    bench.settle(&done, Ending::Succeeded).await;
    let lapsed = bench.running().await;
    bench.sql("UPDATE processes SET lost_at = started_at").await;
    assert_eq!(end_lapsed(&bench.db, 9).await.unwrap().len(), 1);
    bench.sql("UPDATE processes SET lost_at = NULL").await;
    let waiting = bench.waiting_for(&[lapsed.id]).await;
    for job in [&snoozed, &done, &lapsed, &waiting] {
        let ran_it = story(bench, job.id).await.process.map(|process| WorkerId(process.id));
        assert_eq!(ran_it, Some(bench.worker), "{:?}", bench.state(job.id).await);
    }
    assert!(story(bench, bench.enqueue().await.id).await.process.is_none(), "nobody ran it yet");
    let other = begin_process(&bench.db).await;
    bench.worker = other;
    let again = bench.run_again(lapsed.id).await;
    assert_eq!(story(bench, again.id).await.process.map(|process| WorkerId(process.id)), Some(other));
}

async fn a_job_knows_its_relatives(bench: &mut Bench) {
    let awaited = bench.running().await;
    let parent = bench.waiting_for(&[awaited.id]).await;
    for _ in 0..51 {
        bench.enqueue_with(Options { parent: Some(parent.id), ..Options::default() }).await;
    }
    bench.settle(&awaited, Ending::Discarded).await;
    let of_parent = story(bench, parent.id).await;
    assert_eq!((of_parent.children.count, of_parent.children.first.len()), (51, 50));
    assert_eq!(of_parent.waits_for.first[0].failure, Some("discarded"));
    let child = JobId(of_parent.children.first[0].id);
    assert_eq!(story(bench, child).await.parent.unwrap().id, parent.id.0);
    let of_awaited = story(bench, awaited.id).await;
    assert_eq!(of_awaited.awaited_by.first[0].id, parent.id.0);
    assert_eq!(of_awaited.awaited_by.first[0].status, "scheduled");
    assert_eq!((of_awaited.children.count, of_awaited.waits_for.count), (0, 0));
}

async fn who_is_told_of_a_job_is_shown_without_what_is_secret(bench: &mut Bench) {
    let url = CallbackUrl::parse("https://example.org/hook?secret=7", CallbackPolicy::Https).unwrap();
    let callback = Some(Callback { url, on: CallbackOn::End });
    let job = bench.enqueue_with(Options { callback, ..Options::default() }).await;
    let mut tx = bench.db.begin().await.unwrap();
    let call = Call {
        delivery_id: JobId::new(),
        fence: 1,
        attempt: 2,
        job_id: job.id,
        told: "succeeded",
        answer: Err("https://example.org/hook?secret=7 is away"),
        took: LEASE,
    };
    deliveries::record(&mut tx, call, false).await.unwrap();
    replies::when_over(&mut tx, job.id, "reply.partner", Some("7")).await.unwrap();
    tx.commit().await.unwrap();
    let args = match bench.is_postgres() {
        true => r#"args || '{"payment_token": "tok_ok"}'"#,
        false => "jsonb_set(args, '$.payment_token', 'tok_ok')",
    };
    bench.set(job.id, &format!("args = {args}")).await;

    let story = story(bench, job.id).await;
    let callback = story.callback.as_ref().unwrap();
    assert_eq!((callback.url.as_str(), callback.on), ("https://example.org/hook?[hidden]", "end"));
    assert_eq!(story.deliveries[0].error.as_deref(), Some("https://example.org/hook?[hidden] is away"));
    assert_eq!(story.reply_queues, ["reply.partner"]);
    assert_eq!(story.args["payment_token"], json!(HIDDEN));
    let all = serde_json::to_string(&story).unwrap();
    assert!(!all.contains("secret=7") && !all.contains("tok_ok"), "{all}");
}

async fn an_orders_events_stand_in_its_jobs_timeline(bench: &mut Bench) {
    let (customer, _, order) = order_of(bench, &[CANVAS]).await;
    let sql = format!("SELECT count(*) FROM orders WHERE id = '{order}'");
    assert_eq!(bench.number(&sql).await, 1);
    let filter = serde_json::from_value(json!({"text": order})).unwrap();
    let job = list(&bench.db, &filter, None, 1).await.unwrap().items.remove(0);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    bench.set(JobId(job.id), &format!("traceparent = '00-{trace}-b7ad6b7169203331-01'")).await;
    let story = story(bench, JobId(job.id)).await;
    assert!(story.timeline.iter().any(|event| event.what == "order received"), "{:?}", story.timeline);
    assert_eq!(story.trace_id.as_deref(), Some(trace));
    assert!(story.customer.is_none_or(|owner| CustomerId(owner) == customer));
}

async fn what_can_be_done_depends_on_the_state(bench: &mut Bench) {
    let can = async |id| {
        let can = story(bench, id).await.can;
        (can.retry, can.cancel, can.run)
    };
    let queued = bench.enqueue().await;
    assert_eq!(can(queued.id).await, (false, true, false));
    let run = bench.running().await;
    assert_eq!(can(run.id).await, (false, true, false));
    fails(bench, &run, Ending::Retry(None), "no").await;
    assert_eq!(can(run.id).await, (true, true, true));
    let run = bench.run_again(run.id).await;
    fails(bench, &run, Ending::Exhausted, "no").await;
    assert_eq!(can(run.id).await, (true, true, false));
    let run = bench.running().await;
    fails(bench, &run, Ending::Discarded, "no").await;
    assert_eq!(can(run.id).await, (false, false, false));
    let mut tx = bench.db.begin().await.unwrap();
    let unique = enqueue_unique(&mut tx, "daily", &Retention {}, Options::default()).await.unwrap().job();
    tx.commit().await.unwrap();
    assert_eq!(story(bench, unique.id).await.unique_key.as_deref(), Some("daily"));
    assert!(matches!(show(&bench.db, JobId::new()).await, Err(OperationError::Unknown("job"))));
}

async fn a_list_ends_where_there_is_no_more(bench: &mut Bench) {
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(bench.enqueue().await.id.0);
    }
    ids.reverse();
    let filter = Default::default();
    let first = list(&bench.db, &filter, None, 2).await.unwrap();
    assert_eq!(first.next, Some(ids[1]));
    let last = list(&bench.db, &filter, first.next.map(JobId), 2).await.unwrap();
    assert_eq!(last.items.iter().map(|job| job.id).collect::<Vec<_>>(), ids[2..]);
    assert_eq!(last.next, None);
}
