//! How long PostgreSQL waits, as each connection is told: for a lock, for a statement, for an idle transaction.

use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;

use super::bench::Bench;
use super::promises;
use database::{Conn, Db, Limits, WHOLE_TABLE, with};

promises!(postgres:
    no_wait_is_without_an_end_in_a_transaction_or_outside_of_one,
    a_transaction_sets_its_limits_whatever_became_of_those_of_its_session,
    what_one_transaction_is_allowed_the_next_is_not,
);

/// `lock_timeout`, `statement_timeout` and `idle_in_transaction_session_timeout`.
const USUAL: [&str; 3] = ["5s", "30s", "10s"];

/// A process of its own with one connection, and the limits that every program has.
fn process(bench: &Bench) -> Db {
    bench.another_process(|settings| {
        settings.max_connections = 1;
        settings.limits = Limits::default();
    })
}

async fn limits(conn: &mut Conn) -> [String; 3] {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        lock: String,
        #[diesel(sql_type = Text)]
        statement: String,
        #[diesel(sql_type = Text)]
        idle: String,
    }
    let query = diesel::sql_query(
        "SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement, \
         current_setting('idle_in_transaction_session_timeout') AS idle",
    );
    let row: Row = with!(conn, |c| query.get_result(c).await).unwrap();
    [row.lock, row.statement, row.idle]
}

/// How long the client waits for an answer, should the server keep silent.
fn patience(conn: &mut Conn) -> Duration {
    let Conn::Postgres(object) = conn else { unreachable!() };
    let (patience, _) = object.ask().unwrap();
    object.answered(Ok(Ok(()))).unwrap();
    patience
}

async fn no_wait_is_without_an_end_in_a_transaction_or_outside_of_one(bench: &mut Bench) {
    let usual = Limits::default();
    assert_eq!((usual.lock, usual.statement), (Duration::from_secs(5), Duration::from_secs(30)));
    assert_eq!(usual.idle_transaction, Duration::from_secs(10));
    let db = process(bench);
    let mut conn = db.conn().await.unwrap();
    assert_eq!(limits(&mut conn).await, USUAL);
    assert!(
        patience(&mut conn) > usual.statement,
        "the server ends a statement before the client gives it up"
    );
    drop(conn);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(limits(tx.conn()).await, USUAL);
    tx.commit().await.unwrap();
    assert_eq!(limits(&mut db.conn().await.unwrap()).await, USUAL);
}

/// A pooler gives a transaction another session of the server, which was never told, or was told something else.
async fn a_transaction_sets_its_limits_whatever_became_of_those_of_its_session(bench: &mut Bench) {
    let db = process(bench);
    let mut conn = db.conn().await.unwrap();
    conn.postgres(
        "SET lock_timeout = 0; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
         SET default_transaction_isolation = 'repeatable read'",
    )
    .await
    .unwrap();
    assert_eq!(limits(&mut conn).await, ["0", "0", "0"]);
    drop(conn);
    let mut tx = db.begin().await.unwrap();
    assert_eq!(limits(tx.conn()).await, USUAL);
    let sees_what_it_waited_for = "DO $$ BEGIN \
        ASSERT current_setting('transaction_isolation') = 'read committed'; END $$";
    tx.conn().postgres(sees_what_it_waited_for).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(limits(&mut db.conn().await.unwrap()).await, ["0", "0", "0"], "it was the same session");
}

async fn what_one_transaction_is_allowed_the_next_is_not(bench: &mut Bench) {
    let db = process(bench);
    let usual = patience(&mut db.conn().await.unwrap());
    let longer = WHOLE_TABLE - Limits::default().statement;
    for commits in [true, false] {
        let mut tx = db.begin().await.unwrap();
        tx.allow(WHOLE_TABLE).await.unwrap();
        assert_eq!(limits(tx.conn()).await, ["5s", "10min", "10s"]);
        assert_eq!(patience(tx.conn()), usual + longer, "and the client waits for it");
        match commits {
            true => tx.commit().await.unwrap(),
            false => tx.rollback().await.unwrap(),
        }
        let mut next = db.begin().await.unwrap();
        assert_eq!(limits(next.conn()).await, USUAL);
        assert_eq!(patience(next.conn()), usual);
        next.commit().await.unwrap();
        let mut conn = db.conn().await.unwrap();
        assert_eq!((limits(&mut conn).await, patience(&mut conn)), (USUAL.map(str::to_owned), usual));
    }
}
