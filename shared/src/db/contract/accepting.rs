//! A photo and its job: both or neither, and once for each key.

use super::bench::{Bench, done};
use super::promises;
use super::shop::new_photo;
use crate::db::accepting::{accept_and_commit, accept_keyed};
use crate::db::customers;
use crate::db::idempotency::{Key, KeyedRequest, WAIT, store_and_commit};
use crate::db::photos::{self, NewPhoto};
use crate::domain::CustomerId;
use database::DbError;
use model::job::JobState;

promises!(both:
    a_photo_is_accepted_with_its_job_and_the_relay_is_told_of_that,
    a_photo_whose_job_can_not_be_written_is_not_accepted,
    a_job_whose_photo_can_not_be_written_is_not_enqueued,
    a_photo_under_a_key_is_accepted_once,
);

const EVERYTHING: &str = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM photos)";

async fn customer(bench: &Bench) -> CustomerId {
    customers::create(&mut bench.db.conn().await.unwrap(), "a hash").await.unwrap()
}

async fn a_photo_is_accepted_with_its_job_and_the_relay_is_told_of_that(bench: &mut Bench) {
    let new = new_photo(customer(bench).await);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let tx = bench.db.begin().await.unwrap();
    let (photo, job) = accept_and_commit(tx, &new, Some(trace.into())).await.unwrap();
    assert_eq!((photo.id, photo.job_id, job.id, job.state), (new.id, job.id, new.job_id, JobState::Queued));
    let told = bench.signals.publications.try_recv().unwrap();
    assert_eq!((told.envelope.job, told.fence), (job.id, 0));
    let row = bench.job(job.id).await;
    assert_eq!((row.owner, row.traceparent.as_deref()), (Some(new.customer_id), Some(trace)));
    assert_eq!((row.state, row.args, row.created_at), (job.state, job.args, job.created_at));
    let found = photos::find(&mut bench.db.conn().await.unwrap(), new.id).await.unwrap().unwrap();
    assert_eq!((found.customer_id, found.created_at), (new.customer_id, photo.created_at));
}

/// On a connection that has prepared nothing: a COMMIT that overtook the statements would keep what came before.
async fn a_photo_whose_job_can_not_be_written_is_not_accepted(bench: &mut Bench) {
    let customer = customer(bench).await;
    let taken = bench.enqueue().await;
    let new = NewPhoto { job_id: taken.id, ..new_photo(customer) };
    let before = bench.number(EVERYTHING).await;
    let (elsewhere, mut signals) = bench.another_process_with_a_relay();
    for _ in 0..2 {
        let refused = accept_and_commit(elsewhere.begin().await.unwrap(), &new, None).await.unwrap_err();
        assert!(matches!(refused, DbError::Duplicate(_)), "{refused:?}");
        assert_eq!(bench.number(EVERYTHING).await, before);
    }
    assert!(signals.publications.try_recv().is_err(), "of what is not committed nobody hears");
    elsewhere.ping().await.unwrap();
}

async fn a_job_whose_photo_can_not_be_written_is_not_enqueued(bench: &mut Bench) {
    let nobody = new_photo(CustomerId::new());
    let (elsewhere, mut signals) = bench.another_process_with_a_relay();
    for _ in 0..2 {
        accept_and_commit(elsewhere.begin().await.unwrap(), &nobody, None).await.unwrap_err();
        assert_eq!(bench.number(EVERYTHING).await, 0);
    }
    assert!(signals.publications.try_recv().is_err(), "of what is not committed nobody hears");
    elsewhere.ping().await.unwrap();
}

async fn a_photo_under_a_key_is_accepted_once(bench: &mut Bench) {
    let customer = customer(bench).await;
    let keyed = KeyedRequest { customer, key: "k".into(), hash: "h".into() };
    let mut tx = bench.db.begin().await.unwrap();
    let (_, job) = accept_keyed(&mut tx, &keyed, &new_photo(customer), None).await.unwrap().unwrap();
    assert!(bench.signals.publications.try_recv().is_err(), "it is not committed");
    store_and_commit(tx, &keyed, "/there", "{}").await.unwrap();
    assert_eq!(bench.signals.publications.try_recv().unwrap().envelope.job, job.id);
    assert_eq!(bench.number(EVERYTHING).await, 2);
    let another = KeyedRequest { hash: "another".into(), ..keyed.clone() };
    for request in [&keyed, &another] {
        let mut tx = bench.db.begin().await.unwrap();
        let again = accept_keyed(&mut tx, request, &new_photo(customer), None).await.unwrap().unwrap_err();
        tx.rollback().await.unwrap();
        match again {
            Key::Answered(stored) => {
                assert_eq!((stored.location.as_str(), &request.hash), ("/there", &keyed.hash));
            }
            Key::Misused => assert_eq!(request.hash, another.hash),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bench.number(EVERYTHING).await, 2);
    assert!(bench.signals.publications.try_recv().is_err());
}

/// Two requests with one key, at once: only PostgreSQL lets the second begin before the first ended.
mod races {
    use super::*;

    promises!(postgres:
        who_comes_second_with_a_photo_waits_for_the_answer,
        who_comes_second_with_a_photo_waits_two_seconds_and_no_more,
    );

    fn accept_later(bench: &Bench, request: &KeyedRequest) -> tokio::task::JoinHandle<Key> {
        let (db, request) = (bench.db.clone(), request.clone());
        tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            tx.wait_for_locks(WAIT);
            let new = new_photo(request.customer);
            accept_keyed(&mut tx, &request, &new, None).await.unwrap().unwrap_err()
        })
    }

    async fn who_comes_second_with_a_photo_waits_for_the_answer(bench: &mut Bench) {
        let customer = customer(bench).await;
        let keyed = KeyedRequest { customer, key: "k".into(), hash: "h".into() };
        let mut first = bench.db.begin().await.unwrap();
        accept_keyed(&mut first, &keyed, &new_photo(customer), None).await.unwrap().unwrap();
        let second = accept_later(bench, &keyed);
        bench.until_blocked(1).await;
        store_and_commit(first, &keyed, "/there", "{}").await.unwrap();
        assert!(matches!(done(second).await, Key::Answered(stored) if stored.location == "/there"));
        assert_eq!(bench.number(EVERYTHING).await, 2);
    }

    async fn who_comes_second_with_a_photo_waits_two_seconds_and_no_more(bench: &mut Bench) {
        let customer = customer(bench).await;
        let keyed = KeyedRequest { customer, key: "k".into(), hash: "h".into() };
        let mut first = bench.db.begin().await.unwrap();
        accept_keyed(&mut first, &keyed, &new_photo(customer), None).await.unwrap().unwrap();
        assert!(matches!(done(accept_later(bench, &keyed)).await, Key::Busy));
        first.rollback().await.unwrap();
        assert_eq!(bench.number(EVERYTHING).await, 0);
    }
}
