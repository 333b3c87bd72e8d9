//! What operators find: each filter's own, all of them, in pages.

use serde_json::json;

use super::bench::{Bench, done};
use super::promises;
use super::shop::{CANVAS, order_of};
use crate::domain::{CustomerId, OrderId, PhotoId};
use crate::jobs::{EmailTemplate, MakeThumbnails, Retention, SendEmail};
use ::jobs::enqueue::{Options, enqueue, enqueue_unique};
use ::jobs::filter::JobFilter;
use ::jobs::listing::{self, Listed, matches};
use ::jobs::schema::jobs;
use ::jobs::settle::{Ended, Note, settle};
use ::jobs::{Claim, Job};
use database::with;
use model::JobId;
use model::Queue;
use model::job::{Ending, JobState};

promises!(both:
    each_filter_finds_its_own_and_all_of_them,
    a_filter_fits_the_same_rows_in_every_statement,
    the_age_of_a_job_is_that_of_its_id,
    a_queue_and_a_kind_are_found_that_nobody_else_knows,
    an_id_finds_the_job_and_what_it_is_about,
    pages_follow_each_other_without_a_gap_while_new_jobs_come_and_old_ones_change,
    a_list_shows_the_last_error,
);

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn filter(json: serde_json::Value) -> JobFilter {
    serde_json::from_value(json).unwrap()
}

async fn page(bench: &Bench, filter: &JobFilter, before: Option<JobId>, limit: i64) -> Vec<Listed> {
    listing::page(&mut bench.db.conn().await.unwrap(), filter, before, limit).await.unwrap()
}

/// All that the filter finds, two a page.
async fn found(bench: &Bench, filter: &JobFilter) -> Vec<JobId> {
    let mut all: Vec<JobId> = Vec::new();
    loop {
        let some = page(bench, filter, all.last().copied(), 2).await;
        all.extend(some.iter().map(|job| job.id));
        if some.len() < 2 {
            return all;
        }
    }
}

async fn mail(bench: &Bench, options: Options) -> Job {
    let mut tx = bench.db.begin().await.unwrap();
    let mail = SendEmail { order_id: OrderId::new(), template: EmailTemplate::OrderConfirmed };
    let job = enqueue(&mut tx, &mail, options).await.unwrap();
    tx.commit().await.unwrap();
    job
}

async fn ended(bench: &Bench, job: &Job, ending: Ending, error: &str) {
    bench.put(job.id, JobState::Queued).await;
    let run = bench.claim(job.id).await;
    let claim = Claim { job: run.id, fence: run.fence };
    settle(&bench.db, claim, Ended::by(ending, Note::Failure(error.into()))).await.unwrap();
}

/// One of each sort, by name.
struct Jobs {
    plain: JobId,
    bulk: JobId,
    ada: CustomerId,
    adas: JobId,
    part: JobId,
    in_line: JobId,
    behind: JobId,
    parked: JobId,
    unique: JobId,
    running: JobId,
    waiting: JobId,
    traced: JobId,
    traced_over: JobId,
    succeeded: JobId,
    cancelled: JobId,
    discarded: JobId,
    exhausted: JobId,
    later: JobId,
}

async fn one_of_each(bench: &Bench) -> Jobs {
    let none = Options::default;
    let plain = bench.enqueue().await.id;
    let bulk = bench.enqueue_with(Options { queue: Queue::named("bulk"), ..none() }).await.id;
    let ada = CustomerId::new();
    let adas = mail(bench, Options { owner: Some(ada), ..none() }).await.id;
    let part = bench.enqueue_with(Options { parent: Some(plain), ..none() }).await.id;
    let in_line = mail(bench, Options { ordering_key: Some("mail:7".into()), ..none() }).await.id;
    bench.put(in_line, JobState::Pending).await;
    let behind = mail(bench, Options { ordering_key: Some("mail:7".into()), ..none() }).await.id;
    let parked = bench.enqueue().await.id;
    bench.set(parked, "state = 'pending', due_at = NULL, parked = 'images'").await;
    let mut tx = bench.db.begin().await.unwrap();
    let unique = enqueue_unique(&mut tx, "retention:daily", &Retention {}, none()).await.unwrap().job().id;
    tx.commit().await.unwrap();
    let running = bench.running().await.id;
    let waiting = bench.waiting_for(&[running]).await.id;
    let traceparent = || Some(format!("00-{TRACE}-b7ad6b7169203331-01"));
    let traced = bench.enqueue_with(Options { traceparent: traceparent(), ..none() }).await.id;
    let traced_over = bench.enqueue_with(Options { traceparent: traceparent(), ..none() }).await;
    ended(bench, &traced_over, Ending::Succeeded, "").await;
    let succeeded = bench.enqueue().await;
    ended(bench, &succeeded, Ending::Succeeded, "no route to host").await;
    let cancelled = bench.enqueue().await;
    ended(bench, &cancelled, Ending::Cancelled, "no route to host").await;
    // A handler ends so when somebody asked for it.
    bench.set(cancelled.id, "cancel_requested_at = created_at").await;
    let discarded = bench.enqueue().await;
    ended(bench, &discarded, Ending::Discarded, "the \"picture\" is 100% broken").await;
    let exhausted = mail(bench, Options { ordering_key: Some("mail:8".into()), ..none() }).await;
    ended(bench, &exhausted, Ending::Exhausted, "connect: No route to HOST").await;
    let later = bench.enqueue().await;
    ended(bench, &later, Ending::Retry(None), "no route to host").await;
    let (traced_over, succeeded, cancelled) = (traced_over.id, succeeded.id, cancelled.id);
    let (discarded, exhausted, later) = (discarded.id, exhausted.id, later.id);
    Jobs {
        plain,
        bulk,
        ada,
        adas,
        part,
        in_line,
        behind,
        parked,
        unique,
        running,
        waiting,
        traced,
        traced_over,
        succeeded,
        cancelled,
        discarded,
        exhausted,
        later,
    }
}

impl Jobs {
    /// Filters, and what each finds, the newest first.
    fn expected(&self) -> Vec<(serde_json::Value, Vec<JobId>)> {
        let j = self;
        vec![
            (
                json!({}),
                vec![
                    j.later,
                    j.exhausted,
                    j.discarded,
                    j.cancelled,
                    j.succeeded,
                    j.traced_over,
                    j.traced,
                    j.waiting,
                    j.running,
                    j.unique,
                    j.parked,
                    j.behind,
                    j.in_line,
                    j.part,
                    j.adas,
                    j.bulk,
                    j.plain,
                ],
            ),
            (json!({"kind": "send_email"}), vec![j.exhausted, j.behind, j.in_line, j.adas]),
            (
                json!({"kind": "make_thumbnails"}),
                vec![
                    j.later,
                    j.discarded,
                    j.cancelled,
                    j.succeeded,
                    j.traced_over,
                    j.traced,
                    j.waiting,
                    j.running,
                    j.parked,
                    j.part,
                    j.bulk,
                    j.plain,
                ],
            ),
            (json!({"kind": "make_thumbnails", "queue": "bulk"}), vec![j.bulk]),
            (json!({"kind": "make_thumbnails", "queue": "mail"}), vec![]),
            (json!({"kind": "make_thumbnails", "state": "succeeded"}), vec![j.succeeded, j.traced_over]),
            (json!({"kind": "make_thumbnails", "state": "queued"}), vec![j.traced, j.part, j.bulk, j.plain]),
            (json!({"kind": "retention"}), vec![j.unique]),
            (json!({"kind": "sales_report"}), vec![]),
            (json!({"queue": "bulk"}), vec![j.bulk]),
            (json!({"queue": "of-nobody"}), vec![]),
            (json!({"queue": "mail"}), vec![j.exhausted, j.behind, j.in_line, j.adas]),
            (json!({"queue": "images", "state": "cancelled"}), vec![j.cancelled]),
            (json!({"state": "scheduled"}), vec![j.later, j.parked, j.behind, j.in_line]),
            (json!({"state": "running"}), vec![j.running]),
            (json!({"state": "waiting"}), vec![j.waiting]),
            (json!({"state": "succeeded"}), vec![j.succeeded, j.traced_over]),
            (json!({"state": "cancelled"}), vec![j.cancelled]),
            (json!({"state": "failed"}), vec![j.exhausted, j.discarded]),
            (json!({"failure": "discarded"}), vec![j.discarded]),
            (json!({"failure": "crashed"}), vec![]),
            (json!({"failure": "dead"}), vec![j.exhausted]),
            (json!({"failure": "discarded", "kind": "send_email"}), vec![]),
            (json!({"customer": j.ada}), vec![j.adas]),
            (json!({"customer": j.ada, "state": "failed"}), vec![]),
            (json!({"parent": j.plain}), vec![j.part]),
            (json!({"text": j.plain}), vec![j.plain]),
            (json!({"text": JobId::new()}), vec![]),
            (json!({"text": TRACE}), vec![j.traced_over, j.traced]),
            (json!({"text": TRACE, "state": "queued"}), vec![j.traced]),
            (json!({"text": "retention:daily"}), vec![j.unique]),
            (json!({"text": "mail:7"}), vec![j.behind, j.in_line]),
            (json!({"text": "mail:8"}), vec![j.exhausted]),
            (json!({"text": "mail:"}), vec![]),
            (json!({"text": "no route to host"}), vec![j.exhausted]),
            (json!({"text": "\"picture\" is 100%"}), vec![j.discarded]),
            (json!({"text": "100_"}), vec![]),
            (json!({"text": "message"}), vec![]),
            (json!({"older_than": "1h"}), vec![]),
            (json!({"younger_than": "1h", "state": "failed"}), vec![j.exhausted, j.discarded]),
        ]
    }
}

async fn each_filter_finds_its_own_and_all_of_them(bench: &mut Bench) {
    let jobs = one_of_each(bench).await;
    for (typed, expected) in jobs.expected() {
        assert_eq!(found(bench, &filter(typed.clone())).await, expected, "{typed}");
    }
}

async fn a_filter_fits_the_same_rows_in_every_statement(bench: &mut Bench) {
    use diesel::prelude::*;
    use diesel_async::RunQueryDsl;
    let all = one_of_each(bench).await;
    for (typed, expected) in all.expected() {
        let fits = matches(&filter(typed.clone()));
        let changed: Vec<JobId> = with!(&mut bench.db.conn().await.unwrap(), |c| {
            diesel::update(jobs::table.filter(fits))
                .set(jobs::max_attempts.eq(jobs::max_attempts + 1))
                .returning(jobs::id)
                .get_results(c)
                .await
        })
        .unwrap();
        let mut changed = changed;
        changed.sort_unstable_by(|a, b| b.cmp(a));
        assert_eq!(changed, expected, "{typed}");
    }
}

async fn the_age_of_a_job_is_that_of_its_id(bench: &mut Bench) {
    let aged = |seconds_ago: i64| {
        let at = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds_ago);
        let millis = u64::try_from(at.timestamp_millis()).unwrap();
        JobId(uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid())
    };
    let of_age = async |seconds_ago| {
        bench.enqueue_with(Options { id: Some(aged(seconds_ago)), ..Options::default() }).await.id
    };
    let (old, hour, new) = (of_age(3 * 24 * 3600 + 60).await, of_age(3700).await, of_age(5).await);
    for (typed, expected) in [
        (json!({"older_than": "3d"}), vec![old]),
        (json!({"older_than": "1h"}), vec![hour, old]),
        (json!({"younger_than": "3d"}), vec![new, hour]),
        (json!({"older_than": "1h", "younger_than": "3d"}), vec![hour]),
        (json!({"older_than": "1h", "kind": "make_thumbnails", "state": "queued"}), vec![hour, old]),
    ] {
        assert_eq!(found(bench, &filter(typed.clone())).await, expected, "{typed}");
    }
}

async fn a_queue_and_a_kind_are_found_that_nobody_else_knows(bench: &mut Bench) {
    let images = bench.enqueue().await.id;
    let newer = bench.enqueue().await.id;
    bench.set(newer, "kind = 'of_the_next_release'").await;
    let moved = bench.enqueue().await.id;
    bench.set(moved, "queue = 'unregistered'").await;
    for (typed, expected) in [
        (json!({"queue": "images"}), vec![newer, images]),
        (json!({"queue": "unregistered"}), vec![moved]),
        (json!({"kind": "make_thumbnails"}), vec![moved, images]),
    ] {
        assert_eq!(found(bench, &filter(typed.clone())).await, expected, "{typed}");
    }
}

async fn an_id_finds_the_job_and_what_it_is_about(bench: &mut Bench) {
    let (_, photo, order) = order_of(bench, &[CANVAS]).await;
    let of = async |table: &str, id: String| {
        let found = found(bench, &filter(json!({"text": id}))).await;
        assert_eq!(found.len(), 1, "{table}");
        let sql = format!("SELECT count(*) FROM {table} WHERE id = '{id}' AND job_id = '{}'", found[0]);
        assert_eq!(bench.number(&sql).await, 1, "{table}");
        found[0]
    };
    of("photos", photo.to_string()).await;
    let job = of("orders", order.to_string()).await;
    let call = mail(bench, Options::default()).await.id;
    bench
        .sql(&format!(
            "INSERT INTO webhook_deliveries (delivery_id, fence, job_id, told, attempt, at, status, duration_ms)
             SELECT '{call}', 1, id, 'queued', 1, updated_at, 200, 1 FROM jobs WHERE id = '{job}'"
        ))
        .await;
    assert_eq!(found(bench, &filter(json!({"text": call}))).await, [call, job]);
}

async fn pages_follow_each_other_without_a_gap_while_new_jobs_come_and_old_ones_change(bench: &mut Bench) {
    let mut there = Vec::new();
    for _ in 0..60 {
        there.push(bench.enqueue().await.id);
    }
    there.reverse();
    let (db, to_change) = (bench.db.clone(), there.clone());
    let changing = tokio::spawn(async move {
        for id in to_change {
            let mut tx = db.begin().await.unwrap();
            let photo = MakeThumbnails { photo_id: PhotoId::new() };
            enqueue(&mut tx, &photo, Options::default()).await.unwrap();
            ::jobs::cancel::cancel(&mut tx, id).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    let by_kind = filter(json!({"kind": "make_thumbnails"}));
    let mut seen: Vec<JobId> = Vec::new();
    loop {
        let before = seen.last().copied().unwrap_or(there[0]);
        let some = page(bench, &by_kind, Some(before), 7).await;
        seen.extend(some.iter().map(|job| job.id));
        if some.len() < 7 {
            break;
        }
    }
    done(changing).await;
    assert_eq!(seen, there[1..]);
}

async fn a_list_shows_the_last_error(bench: &mut Bench) {
    let job = bench.enqueue().await;
    ended(bench, &job, Ending::Retry(None), "first").await;
    ended(bench, &job, Ending::Discarded, "second").await;
    bench.enqueue().await;
    let errors: Vec<_> =
        page(bench, &JobFilter::default(), None, 9).await.into_iter().map(|job| job.error).collect();
    assert_eq!(errors, [None, Some("second".into())]);
    let ids = listing::ids(&mut bench.db.conn().await.unwrap(), &JobFilter::failed(), None, 9).await.unwrap();
    assert_eq!(ids, [job.id]);
}
