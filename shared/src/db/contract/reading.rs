//! What the pages and the API read, and the smaller writes: every statement runs on both databases.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::Bench;
use super::promises;
use super::shop::{CANVAS, order_of, photo_of, place};
use crate::db::customers::unfinished_by_token;
use crate::db::photos::PhotoVariant;
use crate::db::{customers, orders, photos};
use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::photo::{ImageType, PhotoStatus, Variant};
use crate::domain::{CustomerId, OrderId, PhotoId};
use ::jobs::dead_messages;
use ::jobs::depths::unfinished_by_queue;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::kinds::DeliverCallback;
use ::jobs::samples::{self, Counts};
use ::jobs::status::{find_many, unfinished, unfinished_of};
use model::JobId;
use model::job::{Ending, JobState};

promises!(both:
    a_customer_is_known_by_the_hash_of_their_token,
    pages_are_the_customers_own_the_newest_first_and_meet_without_a_gap,
    an_order_goes_only_where_its_table_allows_and_its_timeline_says_so_once,
    lines_come_in_the_customers_order_with_the_price_of_then,
    a_photo_made_ready_twice_has_its_sizes_once,
    only_a_photo_in_work_can_be_rejected,
    a_message_that_is_no_job_is_kept,
    unfinished_jobs_are_counted_by_queue_and_state,
    neither_plans_nor_callbacks_count_as_work_that_is_piled_up,
    what_is_parked_waits_or_stands_in_line_is_piled_up,
    who_asks_is_known_together_with_what_of_theirs_is_piled_up,
    the_pace_is_that_of_what_workers_wrote_down,
);

async fn a_customer_is_known_by_the_hash_of_their_token(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    let ada = customers::create(&mut conn, "hash of ada").await.unwrap();
    assert_eq!(customers::by_token_hash(&mut conn, "hash of ada").await.unwrap(), Some(ada));
    assert_eq!(customers::by_token_hash(&mut conn, "hash of bob").await.unwrap(), None);
    let again = customers::create(&mut conn, "hash of ada").await.unwrap_err();
    assert!(matches!(again, database::DbError::Duplicate(_)), "{again:?}");
}

async fn pages_are_the_customers_own_the_newest_first_and_meet_without_a_gap(bench: &mut Bench) {
    let (customer, photo, order) = order_of(bench, &[CANVAS]).await;
    order_of(bench, &[CANVAS]).await;
    let mut photos_newest_first = vec![photo];
    let mut orders_newest_first = vec![order];
    for _ in 0..4 {
        photos_newest_first.insert(0, photo_of(bench, customer).await);
        orders_newest_first.insert(0, place(bench, customer, photo, &[CANVAS]).await);
    }
    let mut conn = bench.db.conn().await.unwrap();
    let (mut photos_seen, mut orders_seen): (Vec<PhotoId>, Vec<OrderId>) = Default::default();
    for _ in 0..3 {
        let page = photos::page(&mut conn, customer, photos_seen.last().copied(), 2).await.unwrap();
        photos_seen.extend(page.iter().map(|photo| photo.id));
        let page = orders::page(&mut conn, customer, orders_seen.last().copied(), 2).await.unwrap();
        orders_seen.extend(page.iter().map(|order| order.id));
    }
    assert_eq!((photos_seen, orders_seen), (photos_newest_first, orders_newest_first));
}

async fn an_order_goes_only_where_its_table_allows_and_its_timeline_says_so_once(bench: &mut Bench) {
    let (.., order) = order_of(bench, &[CANVAS]).await;
    let mut tx = bench.db.begin().await.unwrap();
    for (status, reason) in [
        (OrderStatus::Reserved, None),
        (OrderStatus::Reserved, None),
        (OrderStatus::Confirmed, None),
        (OrderStatus::Rejected, Some(RejectReason::Declined)),
        (OrderStatus::Cancelled, None),
    ] {
        orders::set_status(&mut tx, order, status, reason).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut conn = bench.db.conn().await.unwrap();
    let row = orders::find(&mut conn, order).await.unwrap().unwrap();
    assert_eq!((row.status, row.reason), (OrderStatus::Rejected, Some(RejectReason::Declined)));
    let timeline = orders::timeline(&mut conn, &[order]).await.unwrap();
    let events: Vec<&str> = timeline.iter().map(|(_, event)| event.event.as_str()).collect();
    assert_eq!(events, ["received", "reserved", "rejected"]);
    assert_eq!(timeline[2].1.detail.as_deref(), Some(RejectReason::Declined.sentence()));
}

async fn lines_come_in_the_customers_order_with_the_price_of_then(bench: &mut Bench) {
    let (.., order) = order_of(bench, &[CANVAS, "print-10x15"]).await;
    let mut conn = bench.db.conn().await.unwrap();
    let lines = orders::lines(&mut conn, &[order]).await.unwrap();
    let seen: Vec<(&str, i64)> =
        lines.iter().map(|(_, line)| (line.product_id.as_str(), line.price_cents)).collect();
    assert_eq!(seen, [(CANVAS, 100), ("print-10x15", 100)]);
    assert_eq!(orders::find(&mut conn, order).await.unwrap().unwrap().total_cents, 200);
}

async fn a_photo_made_ready_twice_has_its_sizes_once(bench: &mut Bench) {
    let (_, photo, _) = order_of(bench, &[CANVAS]).await;
    let sizes: Vec<PhotoVariant> = [(Variant::Large, 1200), (Variant::Thumb, 160)]
        .map(|(name, width)| PhotoVariant {
            photo_id: photo,
            name,
            width,
            height: 100,
            content_type: ImageType::Jpeg,
            bytes: 1,
        })
        .into();
    for _ in 0..2 {
        let mut tx = bench.db.begin().await.unwrap();
        photos::set_ready(&mut tx, photo, (4000, 3000), &sizes).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut conn = bench.db.conn().await.unwrap();
    let row = photos::find(&mut conn, photo).await.unwrap().unwrap();
    assert_eq!((row.status, row.width, row.height), (PhotoStatus::Ready, Some(4000), Some(3000)));
    let made = photos::variants(&mut conn, &[photo]).await.unwrap();
    assert_eq!(made.iter().map(|size| size.name).collect::<Vec<_>>(), [Variant::Thumb, Variant::Large]);
}

async fn only_a_photo_in_work_can_be_rejected(bench: &mut Bench) {
    let (customer, ready, _) = order_of(bench, &[CANVAS]).await;
    let in_work = photo_of(bench, customer).await;
    let mut tx = bench.db.begin().await.unwrap();
    photos::set_ready(&mut tx, ready, (1, 1), &[]).await.unwrap();
    for photo in [ready, in_work] {
        photos::set_rejected(&mut tx, photo, "no picture").await.unwrap();
    }
    tx.commit().await.unwrap();
    let found = photos::find_many(&mut bench.db.conn().await.unwrap(), &[ready, in_work]).await.unwrap();
    let status = |id| found.iter().find(|photo| photo.id == id).map(|photo| photo.status);
    assert_eq!(status(ready), Some(PhotoStatus::Ready));
    assert_eq!(status(in_work), Some(PhotoStatus::Rejected));
}

async fn a_message_that_is_no_job_is_kept(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    dead_messages::keep(&mut conn, "images", b"\xff\x00not json", "expected a value").await.unwrap();
    assert_eq!(dead_messages::count(&mut conn).await.unwrap(), 1);
}

async fn unfinished_jobs_are_counted_by_queue_and_state(bench: &mut Bench) {
    let queued = bench.enqueue().await;
    bench.enqueue().await;
    let over = bench.running().await;
    bench.settle(&over, Ending::Succeeded).await;
    let mut conn = bench.db.conn().await.unwrap();
    let counts = unfinished_by_queue(&mut conn).await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(("images".to_owned(), JobState::Queued), 2)]);
    let found = find_many(&mut conn, &[queued.id, over.id, model::JobId::new()]).await.unwrap();
    assert_eq!(found.len(), 2);
}

/// How many unfinished jobs this customer has, and how many there are.
async fn piled_up(bench: &Bench, customer: CustomerId) -> (i64, i64) {
    let mut conn = bench.db.conn().await.unwrap();
    let own = unfinished_of(&mut conn, customer, 100).await.unwrap();
    (own, unfinished(&mut conn, 100).await.unwrap())
}

async fn neither_plans_nor_callbacks_count_as_work_that_is_piled_up(bench: &mut Bench) {
    let (customer, ..) = order_of(bench, &[CANVAS]).await;
    let (own, all) = piled_up(bench, customer).await;
    let owned = || Options { owner: Some(customer), ..Options::default() };
    let tomorrow = Options { delay: Duration::from_secs(24 * 3600), ..owned() };
    bench.enqueue_with(tomorrow).await;
    assert_eq!(piled_up(bench, customer).await, (own, all), "planned for tomorrow");
    let mut tx = bench.db.begin().await.unwrap();
    enqueue(&mut tx, &DeliverCallback { job_id: JobId::new(), event: serde_json::Value::Null }, owned())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let with_callback = piled_up(bench, customer).await;
    assert_eq!(with_callback, (own, all + 1), "a receiver that is away is not its owner's fault");
    // One that was tried and comes again is work all the same.
    let job = bench.enqueue_with(owned()).await;
    let run = bench.claim(job.id).await;
    bench.settle(&run, Ending::Retry(Some(Duration::from_secs(600)))).await;
    assert_eq!(piled_up(bench, customer).await, (own + 1, all + 2));
}

async fn what_is_parked_waits_or_stands_in_line_is_piled_up(bench: &mut Bench) {
    let customer = CustomerId::new();
    let owned = || Options { owner: Some(customer), ..Options::default() };
    assert_eq!(piled_up(bench, customer).await, (0, 0));
    let parked = bench.enqueue_with(owned()).await;
    bench.set(parked.id, "state = 'pending', due_at = NULL, parked = 'images'").await;
    assert_eq!(piled_up(bench, customer).await, (1, 1));
    let waits = bench.enqueue_with(owned()).await;
    bench.put(waits.id, JobState::Waiting).await;
    assert_eq!(piled_up(bench, customer).await, (2, 2));
    for _ in 0..3 {
        bench.enqueue_with(Options { ordering_key: Some("line".into()), ..owned() }).await;
    }
    assert_eq!(piled_up(bench, customer).await, (3, 5), "of a line the first is its owner's");
    let mut conn = bench.db.conn().await.unwrap();
    assert_eq!(unfinished_of(&mut conn, customer, 2).await.unwrap(), 2, "no more than was asked for");
    assert_eq!(unfinished(&mut conn, 4).await.unwrap(), 4);
    drop(conn);
    bench.put(parked.id, JobState::Succeeded).await;
    assert_eq!(piled_up(bench, customer).await, (2, 4));
}

async fn who_asks_is_known_together_with_what_of_theirs_is_piled_up(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    let ada = customers::create(&mut conn, "hash of ada").await.unwrap();
    let bob = customers::create(&mut conn, "hash of bob").await.unwrap();
    drop(conn);
    let owned = || Options { owner: Some(ada), ..Options::default() };
    bench.enqueue_with(owned()).await;
    let parked = bench.enqueue_with(owned()).await;
    bench.set(parked.id, "state = 'pending', due_at = NULL, parked = 'images'").await;
    let waits = bench.enqueue_with(owned()).await;
    bench.put(waits.id, JobState::Waiting).await;
    bench.enqueue_with(Options { delay: Duration::from_secs(24 * 3600), ..owned() }).await;
    bench.enqueue().await;
    let mut conn = bench.db.conn().await.unwrap();
    for (token_hash, limit, expected) in [
        ("hash of ada", 100, Some((ada, 3))),
        ("hash of ada", 2, Some((ada, 2))),
        ("hash of bob", 100, Some((bob, 0))),
        ("hash of nobody", 100, None),
    ] {
        let known = unfinished_by_token(&mut conn, token_hash, limit).await.unwrap();
        assert_eq!(known, expected, "{token_hash}");
    }
}

async fn the_pace_is_that_of_what_workers_wrote_down(bench: &mut Bench) {
    let ended = |succeeded, failed| Counts { succeeded, failed, retried: 5, ..Counts::default() };
    let counted = BTreeMap::from([("images".to_owned(), ended(3, 1)), ("mail".to_owned(), ended(2, 0))]);
    samples::add(&bench.db, &counted).await.unwrap();
    let (ended, window) = samples::ended_lately(&mut bench.db.conn().await.unwrap()).await.unwrap();
    assert_eq!(ended, 6);
    assert!(window >= Duration::from_secs(60) && window < Duration::from_secs(121), "{window:?}");
}
