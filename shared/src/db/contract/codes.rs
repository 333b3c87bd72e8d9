//! Errors of PostgreSQL are told apart by their codes: on a server that speaks English, and on one that does not.

use std::time::Duration;

use super::bench::{Bench, done, own};
use super::keys::claim;
use super::promises;
use crate::db::customers;
use crate::db::idempotency::{Key, KeyedRequest, WAIT};
use ::jobs::FencedError;
use ::jobs::lease::lock_own;
use database::DbError;

promises!(postgres:
    a_lock_that_is_not_to_be_had_in_time_may_be_later,
    a_statement_that_takes_too_long_may_not_the_next_time,
    a_transaction_that_an_operator_ends_is_unavailable,
    a_deadlock_is_a_collision,
    a_key_that_is_being_answered_is_busy,
    a_mistake_of_ours_is_one,
);

promises!(postgres_in_german:
    a_lock_that_is_not_to_be_had_in_time_may_be_later,
    a_statement_that_takes_too_long_may_not_the_next_time,
    a_transaction_that_an_operator_ends_is_unavailable,
    a_deadlock_is_a_collision,
    a_key_that_is_being_answered_is_busy,
    a_mistake_of_ours_is_one,
);

async fn a_lock_that_is_not_to_be_had_in_time_may_be_later(bench: &mut Bench) {
    let job = bench.running().await;
    let held = bench.hold(&[job.id]).await;
    let impatient = bench.another_process(|settings| settings.limits.lock = Duration::from_millis(50));
    let mut tx = impatient.begin().await.unwrap();
    let error = match lock_own(&mut tx, own(&job)).await {
        Err(FencedError::Db(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(error.is_unavailable() && error.may_pass(), "{error:?}");
    drop(held);
}

async fn a_statement_that_takes_too_long_may_not_the_next_time(bench: &mut Bench) {
    let mut tx = bench.db.begin().await.unwrap();
    tx.allow(Duration::from_millis(50)).await.unwrap();
    let error = tx.conn().postgres("SELECT pg_sleep(60)").await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    drop(tx);
    bench.db.ping().await.unwrap();
}

async fn a_transaction_that_an_operator_ends_is_unavailable(bench: &mut Bench) {
    let job = bench.running().await;
    let elsewhere = bench.another_process(|_| {});
    let mut tx = bench.db.begin().await.unwrap();
    lock_own(&mut tx, own(&job)).await.unwrap();
    let ours = std::mem::replace(&mut bench.db, elsewhere);
    let others = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert!(bench.number(others).await > 0);
    bench.db = ours;
    let error = match lock_own(&mut tx, own(&job)).await {
        Err(FencedError::Db(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(error.is_unavailable(), "{error:?}");
}

async fn a_deadlock_is_a_collision(bench: &mut Bench) {
    let (one, two) = (bench.running().await, bench.running().await);
    let mut first = bench.db.begin().await.unwrap();
    lock_own(&mut first, own(&one)).await.unwrap();
    let mut second = bench.db.begin().await.unwrap();
    lock_own(&mut second, own(&two)).await.unwrap();
    let wanted = own(&two);
    let crossing = tokio::spawn(async move { lock_own(&mut first, wanted).await.map(|_| ()) });
    bench.until_blocked(1).await;
    let outcome = lock_own(&mut second, own(&one)).await.map(|_| ());
    drop(second);
    let outcomes = [outcome, done(crossing).await];
    let collided =
        |outcome: &&Result<(), FencedError>| matches!(outcome, Err(FencedError::Db(DbError::Collision(_))));
    assert_eq!(outcomes.iter().filter(collided).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
}

async fn a_key_that_is_being_answered_is_busy(bench: &mut Bench) {
    let customer = customers::create(&mut bench.db.conn().await.unwrap(), "a hash").await.unwrap();
    let request = KeyedRequest { customer, key: "k".into(), hash: "h".into() };
    let mut first = bench.db.begin().await.unwrap();
    assert!(matches!(claim(&mut first, &request).await.unwrap(), Key::New));
    let mut second = bench.db.begin().await.unwrap();
    second.wait_for_locks(WAIT);
    assert!(matches!(claim(&mut second, &request).await.unwrap(), Key::Busy));
}

async fn a_mistake_of_ours_is_one(bench: &mut Bench) {
    let mut conn = bench.db.conn().await.unwrap();
    let error = conn.postgres("SELECT no_such_column").await.unwrap_err();
    assert!(matches!(error, DbError::Other(_)) && !error.may_pass(), "{error:?}");
}
