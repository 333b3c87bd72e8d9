//! What is removed when it was kept long enough, and what is not.

use std::time::Duration;

use super::bench::{Bench, done};
use super::keys::claim;
use super::promises;
use super::shop::{CANVAS, order_of, photo_in, photo_of};
use crate::blobs::BlobPath;
use crate::db::idempotency::KeyedRequest;
use crate::db::retention::{self, Class};
use crate::db::{customers, mails};
use crate::domain::{CustomerId, OrderId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::expired_jobs::ExpiredJob;
use ::jobs::triggers::{Trigger, Triggered, trigger};
use ::jobs::{dead_messages, expired_jobs};
use model::JobId;
use model::KindInfo;
use model::job::{Ending, JobState};
use platform::callbacks::{Callback, CallbackOn, CallbackPolicy, CallbackUrl};

promises!(both:
    a_job_that_was_over_for_long_leaves_a_tombstone_and_takes_what_refers_to_it,
    what_a_person_must_decide_on_is_kept_with_what_it_needs,
    a_job_is_kept_as_long_as_its_subject_is_unfinished,
    tombstones_do_not_stay_for_ever,
    a_customer_who_has_something_is_kept,
    no_table_of_the_customers_is_unknown_to_the_clean_up,
    an_answer_is_removed_with_its_key_after_a_day,
    the_place_of_a_mail_is_kept_as_long_as_its_job_may_come_back,
    messages_that_were_no_job_are_kept_for_a_while,
    a_line_begins_anew_only_when_nobody_stands_in_it,
    blobs_without_rows_are_found,
);

const DAY: i64 = 24 * 3600;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Removes all that is older than a month, two at a time.
async fn remove(bench: &Bench, class: Class) -> usize {
    let mut removed = 0;
    loop {
        let mut tx = bench.db.begin().await.unwrap();
        let some = retention::remove(&mut tx, class, MONTH, 2).await.unwrap();
        tx.commit().await.unwrap();
        assert!(some <= 2);
        removed += some;
        if some == 0 {
            return removed;
        }
    }
}

async fn finished(bench: &Bench, options: Options, ending: Ending) -> JobId {
    let job = bench.enqueue_with(options).await;
    // One that stands behind another in its line is not born queued.
    bench.put(job.id, JobState::Queued).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, ending).await;
    job.id
}

async fn is_there(bench: &Bench, job: JobId) -> bool {
    bench.number(&format!("SELECT count(*) FROM jobs WHERE id = '{job}'")).await == 1
}

async fn expired(bench: &Bench, job: JobId) -> Option<ExpiredJob> {
    expired_jobs::find(&mut bench.db.conn().await.unwrap(), job).await.unwrap()
}

async fn customer(bench: &Bench) -> CustomerId {
    let hash = uuid::Uuid::now_v7().to_string();
    customers::create(&mut bench.db.conn().await.unwrap(), &hash).await.unwrap()
}

async fn a_job_that_was_over_for_long_leaves_a_tombstone_and_takes_what_refers_to_it(bench: &mut Bench) {
    let owner = customer(bench).await;
    let url = CallbackUrl::parse("https://example.org/hook", CallbackPolicy::Https).unwrap();
    let callback = Some(Callback { url, on: CallbackOn::End });
    let options = Options { owner: Some(owner), callback, ..Options::default() };
    let told = finished(bench, options, Ending::Succeeded).await;
    let delivery = JobId::new();
    bench
        .sql(&format!(
            "INSERT INTO webhook_deliveries (delivery_id, fence, job_id, told, attempt, at, status, duration_ms)
             SELECT '{delivery}', 1, id, 'succeeded', 1, updated_at, 200, 1 FROM jobs WHERE id = '{told}'"
        ))
        .await;
    let kind = KindInfo::task("remake_thumbnails").unwrap();
    let args = serde_json::json!({"photo_id": PhotoId::new()});
    let (source, key) = ("nightly".to_owned(), Some("monday".to_owned()));
    let request = Trigger { source, key, kind, args, traceparent: None };
    let mut tx = bench.db.begin().await.unwrap();
    let Triggered::New(started) = trigger(&mut tx, &request).await.unwrap() else { panic!("a new key") };
    tx.commit().await.unwrap();
    let run = bench.claim(started.id).await;
    bench.settle(&run, Ending::Discarded).await;
    let parent = finished(bench, Options::default(), Ending::Cancelled).await;
    let child =
        finished(bench, Options { parent: Some(parent), ..Options::default() }, Ending::Succeeded).await;
    // The delivery's own job is not over.
    let over = bench.row(JobState::Succeeded);
    bench.sql(&format!("UPDATE jobs SET {over} WHERE kind = 'deliver_callback'")).await;

    bench.time_passes(29 * DAY).await;
    assert_eq!(remove(bench, Class::Jobs).await, 0, "they are not old enough");
    bench.time_passes(2 * DAY).await;
    let young = finished(bench, Options::default(), Ending::Succeeded).await;
    let unfinished = bench.enqueue().await.id;
    assert_eq!(remove(bench, Class::Jobs).await, 5);
    assert!(is_there(bench, young).await && is_there(bench, unfinished).await);
    for table in ["job_callbacks", "webhook_deliveries", "triggered_jobs", "job_waits"] {
        assert_eq!(bench.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    let of = |owner, source: Option<&str>| Some(ExpiredJob { owner, source: source.map(str::to_owned) });
    assert_eq!(expired(bench, told).await, of(Some(owner), None));
    assert_eq!(expired(bench, started.id).await, of(None, Some("nightly")));
    assert_eq!(expired(bench, child).await, of(None, None));
    assert_eq!(expired(bench, young).await, None);
    let as_it_was = "SELECT count(*) FROM expired_jobs WHERE state = 'failed' AND kind = 'remake_thumbnails'
                     AND finished_at < expired_at";
    assert_eq!(bench.number(as_it_was).await, 1);
    assert_eq!(remove(bench, Class::Jobs).await, 0);
    // The key is free again.
    let mut tx = bench.db.begin().await.unwrap();
    assert!(matches!(trigger(&mut tx, &request).await.unwrap(), Triggered::New(_)));
    tx.rollback().await.unwrap();
}

async fn what_a_person_must_decide_on_is_kept_with_what_it_needs(bench: &mut Bench) {
    // It waited for one that succeeded and made parts of which one did; then it failed for good.
    let awaited = bench.running().await;
    let waiter = bench.waiting_for(&[awaited.id]).await;
    bench.settle(&awaited, Ending::Succeeded).await;
    let part = Options { parent: Some(waiter.id), ..Options::default() };
    let child = finished(bench, part, Ending::Succeeded).await;
    let run = bench.run_again(waiter.id).await;
    bench.settle(&run, Ending::Exhausted).await;
    // And others that still are on their way.
    let awaited_now = bench.running().await;
    let open = bench.waiting_for(&[awaited_now.id, bench.enqueue().await.id]).await;
    bench.settle(&awaited_now, Ending::Succeeded).await;
    let part = Options { parent: Some(open.id), ..Options::default() };
    let open_child = finished(bench, part, Ending::Discarded).await;
    let over = finished(bench, Options::default(), Ending::Succeeded).await;
    let open_part = bench.enqueue_with(Options { parent: Some(over), ..Options::default() }).await;
    let crashed = finished(bench, Options::default(), Ending::Exhausted).await;
    bench.set(crashed, "failure = 'crashed'").await;

    bench.time_passes(400 * DAY).await;
    assert_eq!(remove(bench, Class::Jobs).await, 0);
    for job in [awaited.id, child, waiter.id, awaited_now.id, open_child, over, crashed] {
        assert!(is_there(bench, job).await);
    }
    // Somebody decided.
    bench.put(waiter.id, JobState::Succeeded).await;
    bench.put(open_part.id, JobState::Succeeded).await;
    assert_eq!(remove(bench, Class::Jobs).await, 5);
    assert!(is_there(bench, awaited_now.id).await && is_there(bench, open_child).await);
}

async fn a_job_is_kept_as_long_as_its_subject_is_unfinished(bench: &mut Bench) {
    let (_, photo, order) = order_of(bench, &[CANVAS]).await;
    bench.sql(&format!("UPDATE jobs SET {}", bench.row(JobState::Succeeded))).await;
    bench.time_passes(31 * DAY).await;
    assert_eq!(remove(bench, Class::Jobs).await, 0, "a person must look at those");
    bench.sql(&format!("UPDATE photos SET status = 'ready' WHERE id = '{photo}'")).await;
    assert_eq!(remove(bench, Class::Jobs).await, 1);
    bench.sql(&format!("UPDATE orders SET status = 'confirmed' WHERE id = '{order}'")).await;
    assert_eq!(remove(bench, Class::Jobs).await, 1);
    assert_eq!(
        bench.number("SELECT count(*) FROM photos JOIN expired_jobs ON job_id = expired_jobs.id").await,
        1
    );
    assert_eq!(
        bench.number("SELECT count(*) FROM orders JOIN expired_jobs ON job_id = expired_jobs.id").await,
        1
    );
}

async fn tombstones_do_not_stay_for_ever(bench: &mut Bench) {
    let first = finished(bench, Options::default(), Ending::Succeeded).await;
    bench.time_passes(31 * DAY).await;
    let second = finished(bench, Options::default(), Ending::Succeeded).await;
    remove(bench, Class::Jobs).await;
    bench.time_passes(31 * DAY).await;
    remove(bench, Class::Jobs).await;
    assert_eq!(remove(bench, Class::Tombstones).await, 1);
    assert_eq!(expired(bench, first).await, None);
    assert!(expired(bench, second).await.is_some());
}

async fn a_customer_who_has_something_is_kept(bench: &mut Bench) {
    let with_photo = customer(bench).await;
    photo_of(bench, with_photo).await;
    let (with_order, photo, _) = order_of(bench, &[CANVAS]).await;
    bench.sql(&format!("DELETE FROM photos WHERE id = '{photo}'")).await;
    // They would keep their owners, too.
    bench.sql("UPDATE jobs SET owner = NULL").await;
    let with_job = customer(bench).await;
    finished(bench, Options { owner: Some(with_job), ..Options::default() }, Ending::Succeeded).await;
    let with_key = customer(bench).await;
    let request = KeyedRequest { customer: with_key, key: "k".into(), hash: "h".into() };
    let mut tx = bench.db.begin().await.unwrap();
    claim(&mut tx, &request).await.unwrap();
    tx.commit().await.unwrap();
    let with_tombstone = customer(bench).await;
    finished(bench, Options { owner: Some(with_tombstone), ..Options::default() }, Ending::Succeeded).await;
    bench.sql(&format!("UPDATE jobs SET updated_at = created_at WHERE owner = '{with_tombstone}'")).await;
    for _ in 0..3 {
        customer(bench).await;
    }
    bench.time_passes(31 * DAY).await;
    let exhausted = "state = 'failed', failure = 'exhausted', dead_at = updated_at";
    bench.sql(&format!("UPDATE jobs SET {exhausted} WHERE owner = '{with_job}'")).await;
    assert_eq!(remove(bench, Class::Jobs).await, 1);
    let (young, in_use) = (customer(bench).await, customer(bench).await);
    bench
        .sql(&format!(
            "UPDATE customers SET created_at = (SELECT min(created_at) FROM customers) WHERE id = '{in_use}'"
        ))
        .await;
    customers::keep(&mut bench.db.conn().await.unwrap(), in_use).await.unwrap();
    assert_eq!(remove(bench, Class::Customers).await, 3);
    for kept in [with_photo, with_order, with_job, with_key, with_tombstone, young, in_use] {
        assert_eq!(bench.number(&format!("SELECT count(*) FROM customers WHERE id = '{kept}'")).await, 1);
    }
}

/// A new table that refers to customers would otherwise lose its rows, or stop the task for ever.
async fn no_table_of_the_customers_is_unknown_to_the_clean_up(bench: &mut Bench) {
    let known: Vec<String> = retention::HAS_NOTHING
        .split(" FROM ")
        .skip(1)
        .filter_map(|rest| Some(format!("'{}'", rest.split(' ').next()?)))
        .collect();
    let of_customers = if bench.is_postgres() {
        "SELECT table_name::text AS name FROM information_schema.columns \
         WHERE table_schema = 'public' AND column_name IN ('customer_id', 'owner') \
         UNION SELECT conrelid::regclass::text FROM pg_constraint \
         WHERE contype = 'f' AND confrelid = 'customers'::regclass"
    } else {
        "SELECT tables.name AS name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns \
         WHERE tables.type = 'table' AND columns.name IN ('customer_id', 'owner') \
         UNION SELECT tables.name FROM sqlite_master AS tables, pragma_foreign_key_list(tables.name) AS keys \
         WHERE tables.type = 'table' AND keys.\"table\" = 'customers'"
    };
    let count = async |which: &str| {
        let names = known.join(", ");
        bench
            .number(&format!(
                "SELECT count(*) FROM ({of_customers}) AS of_customers WHERE name {which} ({names})"
            ))
            .await
    };
    assert_eq!(count("NOT IN").await, 0, "a table that is not in HAS_NOTHING");
    assert_eq!(usize::try_from(count("IN").await).unwrap(), known.len(), "the schema was read");
}

async fn an_answer_is_removed_with_its_key_after_a_day(bench: &mut Bench) {
    let owner = customer(bench).await;
    for (key, days) in [("a", 10), ("b", 10), ("c", 20), ("d", 0)] {
        let request = KeyedRequest { customer: owner, key: key.into(), hash: "h".into() };
        let mut tx = bench.db.begin().await.unwrap();
        claim(&mut tx, &request).await.unwrap();
        tx.commit().await.unwrap();
        bench.time_passes(days * DAY).await;
    }
    // The month of these tests instead of the day.
    assert_eq!(remove(bench, Class::IdempotencyKeys).await, 2);
    assert_eq!(bench.number("SELECT count(*) FROM idempotency_keys WHERE key IN ('c', 'd')").await, 2);
}

async fn the_place_of_a_mail_is_kept_as_long_as_its_job_may_come_back(bench: &mut Bench) {
    let (ada, bob) = ("ada@example.org", "bob@example.org");
    let mut sent = Vec::new();
    for recipient in [ada, ada, bob] {
        let job = bench.running().await;
        let tx = bench.db.begin().await.unwrap();
        let address = recipient.parse().unwrap();
        mails::take_place(tx, job.id, &address, 10, MONTH).await.unwrap();
        sent.push(job);
    }
    bench.time_passes(31 * DAY).await;
    assert_eq!(remove(bench, Class::Mails).await, 0);
    bench.settle(&sent[0], Ending::Succeeded).await;
    bench.settle(&sent[1], Ending::Exhausted).await;
    bench.settle(&sent[2], Ending::Succeeded).await;
    assert_eq!(remove(bench, Class::Mails).await, 2);
    assert_eq!(remove(bench, Class::MailRecipients).await, 1);
    assert_eq!(bench.number(&format!("SELECT count(*) FROM mails WHERE recipient = '{ada}'")).await, 1);
    assert_eq!(bench.number("SELECT count(*) FROM mail_recipients").await, 1);
}

async fn messages_that_were_no_job_are_kept_for_a_while(bench: &mut Bench) {
    for days in [2, 29, 0] {
        let mut conn = bench.db.conn().await.unwrap();
        dead_messages::keep(&mut conn, "images", b"x", "no envelope").await.unwrap();
        drop(conn);
        bench.time_passes(days * DAY).await;
    }
    assert_eq!(remove(bench, Class::DeadMessages).await, 1, "one is 31 days old, one 29");
}

async fn a_line_begins_anew_only_when_nobody_stands_in_it(bench: &mut Bench) {
    let line = |key: &str| Options { ordering_key: Some(key.into()), ..Options::default() };
    for _ in 0..2 {
        finished(bench, line("over"), Ending::Succeeded).await;
        finished(bench, line("held"), Ending::Succeeded).await;
        finished(bench, line("open"), Ending::Succeeded).await;
    }
    finished(bench, line("held"), Ending::Exhausted).await;
    bench.enqueue_with(line("open")).await;
    assert_eq!(remove(bench, Class::OrderingKeys).await, 1);
    assert_eq!(bench.number("SELECT last_seq FROM ordering_keys WHERE key = 'held'").await, 3);
    assert_eq!(bench.number("SELECT last_seq FROM ordering_keys WHERE key = 'open'").await, 3);
    let again = bench.enqueue_with(line("over")).await;
    assert_eq!(
        bench.number(&format!("SELECT ordering_seq FROM jobs WHERE id = '{}'", again.id)).await,
        1,
        "nobody has this place: those before are over"
    );
}

async fn blobs_without_rows_are_found(bench: &mut Bench) {
    let (_, photo, order) = order_of(bench, &[CANVAS]).await;
    let (no_photo, no_order) = (PhotoId::new(), OrderId::new());
    let there = [BlobPath::all_of(photo).as_slice(), &[BlobPath::Print(order, 0)]].concat();
    let gone = [BlobPath::all_of(no_photo).as_slice(), &[BlobPath::Print(no_order, 0)]].concat();
    let find = async || {
        let all = [there.clone(), gone.clone()].concat();
        retention::orphans(&mut bench.db.conn().await.unwrap(), &all).await.unwrap()
    };
    assert_eq!(find().await, gone);
    bench.sql("UPDATE orders SET status = 'confirmed'").await;
    assert_eq!(find().await, gone);
    for over in ["rejected", "cancelled"] {
        bench.sql(&format!("UPDATE orders SET status = '{over}'")).await;
        assert!(find().await.contains(&BlobPath::Print(order, 0)), "{over}");
    }
}

/// Two at once, stepped by hand.
mod races {
    use super::*;

    promises!(postgres:
        a_place_that_is_just_taken_keeps_its_line,
        whoever_takes_a_place_in_a_line_that_is_removed_begins_it_anew,
        whoever_writes_to_a_recipient_that_is_removed_makes_it_anew,
        a_customer_who_just_comes_back_is_kept,
    );

    fn in_line() -> (MakeThumbnails, Options) {
        let options = Options { ordering_key: Some("a".into()), ..Options::default() };
        (MakeThumbnails { photo_id: PhotoId::new() }, options)
    }

    async fn a_place_that_is_just_taken_keeps_its_line(bench: &mut Bench) {
        let (args, options) = in_line();
        finished(bench, options.clone(), Ending::Succeeded).await;
        let mut tx = bench.db.begin().await.unwrap();
        enqueue(&mut tx, &args, options).await.unwrap();
        assert_eq!(remove(bench, Class::OrderingKeys).await, 0);
        tx.commit().await.unwrap();
        assert_eq!(remove(bench, Class::OrderingKeys).await, 0);
        assert_eq!(bench.number("SELECT last_seq FROM ordering_keys").await, 2);
    }

    async fn whoever_takes_a_place_in_a_line_that_is_removed_begins_it_anew(bench: &mut Bench) {
        let (args, options) = in_line();
        finished(bench, options.clone(), Ending::Succeeded).await;
        let mut tx = bench.db.begin().await.unwrap();
        assert_eq!(retention::remove(&mut tx, Class::OrderingKeys, MONTH, 9).await.unwrap(), 1);
        let db = bench.db.clone();
        let later = tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            let job = enqueue(&mut tx, &args, options).await.unwrap();
            tx.commit().await.unwrap();
            job
        });
        bench.until_blocked(1).await;
        tx.commit().await.unwrap();
        let job = done(later).await;
        assert_eq!(bench.number("SELECT last_seq FROM ordering_keys").await, 1);
        assert_eq!(bench.number(&format!("SELECT ordering_seq FROM jobs WHERE id = '{}'", job.id)).await, 1);
    }

    async fn whoever_writes_to_a_recipient_that_is_removed_makes_it_anew(bench: &mut Bench) {
        bench.sql("INSERT INTO mail_recipients (recipient) VALUES ('ada@example.org')").await;
        let mut tx = bench.db.begin().await.unwrap();
        assert_eq!(retention::remove(&mut tx, Class::MailRecipients, MONTH, 9).await.unwrap(), 1);
        let (db, job) = (bench.db.clone(), bench.running().await.id);
        let later = tokio::spawn(async move {
            let tx = db.begin().await.unwrap();
            let ada = "ada@example.org".parse().unwrap();
            mails::take_place(tx, job, &ada, 1, MONTH).await.unwrap()
        });
        bench.until_blocked(1).await;
        tx.commit().await.unwrap();
        assert_eq!(done(later).await, mails::Place::Taken);
    }

    /// Whoever has nothing begins with a photo.
    async fn a_customer_who_just_comes_back_is_kept(bench: &mut Bench) {
        let ada = customer(bench).await;
        bench.time_passes(31 * DAY).await;
        let mut tx = bench.db.begin().await.unwrap();
        photo_in(&mut tx, ada).await;
        assert_eq!(remove(bench, Class::Customers).await, 0);
        tx.commit().await.unwrap();
        assert_eq!(remove(bench, Class::Customers).await, 0);
    }
}
