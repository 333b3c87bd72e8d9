//! Idempotency keys: the same request twice is one answer.

use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::bench::{Bench, done};
use super::promises;
use crate::db::customers;
use crate::db::idempotency::{KEPT, Key, KeyedRequest, WAIT, claiming, found, store_and_commit, stored};
use crate::db::schema::idempotency_keys as keys;
use crate::domain::CustomerId;
use database::expressions::{now, now_minus};
use database::together;
use database::{DbError, Tx};

promises!(both:
    the_same_request_gets_the_same_answer,
    another_request_under_the_same_key_is_a_misuse,
    a_key_whose_request_was_refused_is_free_again,
    an_answer_is_kept_for_a_day,
    customers_do_not_share_keys,
);

async fn request(bench: &Bench) -> KeyedRequest {
    let token_hash = CustomerId::new().to_string();
    let customer = customers::create(&mut bench.db.conn().await.unwrap(), &token_hash).await.unwrap();
    KeyedRequest { customer, key: "k".into(), hash: "h".into() }
}

/// Claims a key, and nothing else.
pub(super) async fn claim(tx: &mut Tx, request: &KeyedRequest) -> Result<Key, DbError> {
    let asked = together!(
        tx.conn(),
        claimed = |c| claiming!(request).execute(c),
        stored = |c| stored!(request).load(c),
    );
    found(tx, request, asked)
}

async fn answer(bench: &Bench, request: &KeyedRequest) {
    let mut tx = bench.db.begin().await.unwrap();
    assert!(matches!(claim(&mut tx, request).await.unwrap(), Key::New));
    store_and_commit(tx, request, "/api/jobs/1", "{}").await.unwrap();
}

async fn ask(bench: &Bench, request: &KeyedRequest) -> Key {
    let mut tx = bench.db.begin().await.unwrap();
    claim(&mut tx, request).await.unwrap()
}

async fn the_same_request_gets_the_same_answer(bench: &mut Bench) {
    let request = request(bench).await;
    answer(bench, &request).await;
    for _ in 0..2 {
        match ask(bench, &request).await {
            Key::Answered(stored) => {
                assert_eq!((stored.location.as_str(), stored.body.as_str()), ("/api/jobs/1", "{}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

async fn another_request_under_the_same_key_is_a_misuse(bench: &mut Bench) {
    let request = request(bench).await;
    answer(bench, &request).await;
    let other = KeyedRequest { hash: "other".into(), ..request };
    assert!(matches!(ask(bench, &other).await, Key::Misused));
}

async fn a_key_whose_request_was_refused_is_free_again(bench: &mut Bench) {
    let request = request(bench).await;
    for _ in 0..2 {
        assert!(matches!(ask(bench, &request).await, Key::New));
    }
}

async fn an_answer_is_kept_for_a_day(bench: &mut Bench) {
    let request = request(bench).await;
    answer(bench, &request).await;
    bench.time_passes(24 * 3600 - 5).await;
    assert!(matches!(ask(bench, &request).await, Key::Answered(_)));
    bench.time_passes(10).await;
    assert!(matches!(ask(bench, &request).await, Key::New));
}

async fn customers_do_not_share_keys(bench: &mut Bench) {
    let one = request(bench).await;
    answer(bench, &one).await;
    assert!(matches!(ask(bench, &request(bench).await).await, Key::New));
}

/// Two requests with one key, at once: only PostgreSQL lets the second begin before the first ended.
mod races {
    use super::*;

    promises!(postgres:
    a_competitor_gets_the_answer_that_it_waited_for,
    a_competitor_gets_the_key_when_the_first_is_refused,
    a_competitor_waits_two_seconds_and_no_more,
    a_competitor_for_an_expired_key_waits_no_longer,
    );

    fn ask_later(bench: &Bench, request: &KeyedRequest) -> tokio::task::JoinHandle<Key> {
        let (db, request) = (bench.db.clone(), request.clone());
        tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            tx.wait_for_locks(WAIT);
            claim(&mut tx, &request).await.unwrap()
        })
    }

    async fn a_competitor_gets_the_answer_that_it_waited_for(bench: &mut Bench) {
        let request = request(bench).await;
        let mut first = bench.db.begin().await.unwrap();
        assert!(matches!(claim(&mut first, &request).await.unwrap(), Key::New));
        let second = ask_later(bench, &request);
        bench.until_blocked(1).await;
        store_and_commit(first, &request, "/there", "{}").await.unwrap();
        assert!(matches!(done(second).await, Key::Answered(stored) if stored.location == "/there"));
    }

    async fn a_competitor_gets_the_key_when_the_first_is_refused(bench: &mut Bench) {
        let request = request(bench).await;
        let mut first = bench.db.begin().await.unwrap();
        assert!(matches!(claim(&mut first, &request).await.unwrap(), Key::New));
        let second = ask_later(bench, &request);
        bench.until_blocked(1).await;
        drop(first);
        assert!(matches!(done(second).await, Key::New));
    }

    async fn a_competitor_waits_two_seconds_and_no_more(bench: &mut Bench) {
        let request = request(bench).await;
        let mut first = bench.db.begin().await.unwrap();
        assert!(matches!(claim(&mut first, &request).await.unwrap(), Key::New));
        assert!(matches!(done(ask_later(bench, &request)).await, Key::Busy));
    }

    async fn a_competitor_for_an_expired_key_waits_no_longer(bench: &mut Bench) {
        let request = request(bench).await;
        answer(bench, &request).await;
        bench.time_passes(25 * 3600).await;
        let mut first = bench.db.begin().await.unwrap();
        assert!(matches!(claim(&mut first, &request).await.unwrap(), Key::New));
        assert!(matches!(done(ask_later(bench, &request)).await, Key::Busy));
    }
}
