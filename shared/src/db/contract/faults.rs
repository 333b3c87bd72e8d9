//! Connections that freeze, are dropped or are cut.

use std::time::Duration;

use super::bench::{Bench, PATIENCE, own};
use super::promises;
use crate::domain::PhotoId;
use crate::jobs::MakeThumbnails;
use ::jobs::enqueue::{Options, enqueue};
use ::jobs::lease::lock_own;
use database::DbError;
use model::job::{Ending, JobState};

promises!(postgres:
    a_transaction_that_is_dropped_lets_go_of_its_rows_at_once,
    a_transaction_that_is_frozen_loses_its_rows_and_can_commit_nothing,
    a_connection_that_is_cut_is_unavailable_once_and_replaced,
    a_transaction_that_is_cut_is_unavailable,
    a_database_without_a_free_connection_is_unavailable,
    a_database_that_became_read_only_is_unavailable,
);

async fn a_transaction_that_is_dropped_lets_go_of_its_rows_at_once(bench: &mut Bench) {
    let job = bench.running().await;
    // Nobody else asks the pool of this process for a connection, so that it has no cause to tidy up.
    let frozen = bench.another_process(|settings| settings.limits.idle_transaction = PATIENCE * 3);
    let mut tx = frozen.begin().await.unwrap();
    lock_own(&mut tx, own(&job)).await.unwrap();
    drop(tx);
    let settled = tokio::time::timeout(PATIENCE, bench.settle_later(&job, Ending::Succeeded));
    assert_eq!(settled.await.expect("its row stays locked").unwrap().unwrap(), JobState::Succeeded);
}

async fn a_transaction_that_is_frozen_loses_its_rows_and_can_commit_nothing(bench: &mut Bench) {
    let job = bench.running().await;
    let worker = bench.another_process(|s| s.limits.idle_transaction = Duration::from_millis(300));
    let mut frozen = worker.begin().await.unwrap();
    lock_own(&mut frozen, own(&job)).await.unwrap();
    let args = MakeThumbnails { photo_id: PhotoId::new() };
    let lost = enqueue(&mut frozen, &args, Options::default()).await.unwrap();
    let settled = tokio::time::timeout(PATIENCE, bench.settle_later(&job, Ending::Succeeded));
    assert_eq!(settled.await.expect("its row stays locked").unwrap().unwrap(), JobState::Succeeded);
    let error = frozen.commit().await.unwrap_err();
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    let row = ::jobs::status::find(&mut worker.conn().await.unwrap(), lost.id).await.unwrap();
    assert!(row.is_none());
}

async fn a_connection_that_is_cut_is_unavailable_once_and_replaced(bench: &mut Bench) {
    let mut conns = Vec::new();
    for _ in 0..4 {
        conns.push(bench.db.conn().await.unwrap());
    }
    drop(conns);
    let elsewhere = bench.another_process(|_| {});
    cut_all(bench, &elsewhere).await;
    // One that was cut a moment ago may not have been told yet.
    let mut failures = 0;
    while let Err(error) = bench.db.ping().await {
        assert!(error.is_unavailable(), "{error:?}");
        failures += 1;
        assert!(failures <= 8, "the pool keeps what is broken");
    }
    for _ in 0..8 {
        bench.db.ping().await.unwrap();
    }
}

async fn a_transaction_that_is_cut_is_unavailable(bench: &mut Bench) {
    let job = bench.running().await;
    let elsewhere = bench.another_process(|_| {});
    let mut tx = bench.db.begin().await.unwrap();
    lock_own(&mut tx, own(&job)).await.unwrap();
    cut_all(bench, &elsewhere).await;
    let error = lock_own(&mut tx, own(&job)).await.unwrap_err();
    assert!(error.to_string().contains("unavailable"), "{error:?}");
    let error = tx.commit().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}

/// Ends every connection to the database but the one that asks, as an operator or a restart does.
async fn cut_all(bench: &mut Bench, elsewhere: &database::Db) {
    let ours = std::mem::replace(&mut bench.db, elsewhere.clone());
    let cut = bench
        .number(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    assert!(cut > 0);
    bench.db = ours;
}

async fn a_database_without_a_free_connection_is_unavailable(bench: &mut Bench) {
    let busy = bench.another_process(|settings| settings.max_connections = 1);
    let held = busy.conn().await.unwrap();
    assert!(busy.begin().await.err().unwrap().is_unavailable());
    drop(held);
    busy.ping().await.unwrap();
}

/// So does the old primary after a failover.
async fn a_database_that_became_read_only_is_unavailable(bench: &mut Bench) {
    let job = bench.enqueue().await;
    bench
        .sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
             current_database()); END $$",
        )
        .await;
    let standby = bench.another_process(|_| {});
    let worker = bench.worker;
    let error = ::jobs::claim::claim(&standby, job.id, worker).await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
}
