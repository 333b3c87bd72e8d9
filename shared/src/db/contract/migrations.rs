//! A database is brought up to date, and back.

use diesel_async::SimpleAsyncConnection;

use super::bench::Bench;
use super::promises;
use database::with;
use model::job::JobState;

promises!(both: the_schema_can_be_taken_back_and_made_again);

mod on_servers {
    use super::*;
    promises!(postgres: a_migration_that_would_keep_everybody_waiting_gives_up_and_can_be_run_again);
}

async fn the_schema_can_be_taken_back_and_made_again(bench: &mut Bench) {
    let tables = if bench.is_postgres() {
        "SELECT count(*) FROM information_schema.tables \
         WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations'"
    } else {
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name <> '__diesel_schema_migrations'"
    };
    let all = bench.number(tables).await;
    bench.enqueue().await;
    bench.db.revert_to_before("").await.unwrap();
    assert_eq!(bench.number(tables).await, 0);
    assert!(bench.db.migrate().await.unwrap() >= 1);
    assert_eq!(bench.number(tables).await, all);
    assert_eq!(bench.enqueue().await.state, JobState::Queued);
}

async fn a_migration_that_would_keep_everybody_waiting_gives_up_and_can_be_run_again(bench: &mut Bench) {
    bench.db.revert_to_before("2026-12-01-000001_shop").await.unwrap();
    // Somebody's transaction that does not end, and has what the step is to make.
    let mut held = bench.db.begin().await.unwrap();
    with!(held.conn(), |c| c.batch_execute("CREATE TABLE customers (id integer)").await).unwrap();
    let error = bench.db.migrate().await.unwrap_err().to_string();
    assert!(error.contains("lock timeout"), "{error}");
    held.rollback().await.unwrap();
    assert!(bench.db.migrate().await.unwrap() >= 1);
    assert_eq!(bench.number("SELECT count(*) FROM products").await, 5);
}
