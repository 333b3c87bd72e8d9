//! What a job's life costs the database, and that no plan goes bad that was made while a table was empty.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::bench::{Bench, own, waits};
use super::promises;
use super::shop::{CANVAS, begin_placing, order_of};
use crate::db::customers;
use crate::domain::{CustomerId, PhotoId};
use crate::jobs::MakeThumbnails;
use ::jobs::claim::{Claimed, Claims};
use ::jobs::enqueue::{Options, enqueue, enqueue_all};
use ::jobs::relay::due::take_due;
use ::jobs::settle::{Ended, Note, Progress, Settles, checkpoint, settle_with_step};
use database::ask_postgres;
use database::{Conn, with};
use model::JobId;
use model::job::Ending;

promises!(both:
    no_index_of_jobs_names_a_state,
    what_can_not_be_written_of_an_order_leaves_nothing_of_it,
);

mod on_servers {
    use super::*;
    promises!(postgres:
        half_of_a_jobs_updates_stay_in_their_page,
        a_jobs_life_makes_few_entries_in_indexes,
        what_was_prepared_on_an_empty_table_finds_its_index_in_a_full_one,
        what_is_asked_often_is_planned_no_more,
    );
}

async fn no_index_of_jobs_names_a_state(bench: &mut Bench) {
    let (of_jobs, naming) = match bench.is_postgres() {
        true => ("SELECT count(*) FROM pg_indexes WHERE tablename = 'jobs'", "indexdef"),
        false => ("SELECT count(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = 'jobs'", "sql"),
    };
    assert!(bench.number(of_jobs).await > 10);
    assert_eq!(bench.number(&format!("{of_jobs} AND {naming} LIKE '%state%'")).await, 0);
    if bench.is_postgres() {
        let conditions =
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c'";
        assert_eq!(bench.number(conditions).await, 2, "each costs as much as an index");
    }
}

/// The last statement fails, on a connection that has prepared none of them: a COMMIT that overtook them would keep
/// what came before.
async fn what_can_not_be_written_of_an_order_leaves_nothing_of_it(bench: &mut Bench) {
    let (customer, photo, _) = order_of(bench, &[CANVAS]).await;
    let refuse = match bench.is_postgres() {
        true => "ALTER TABLE order_events ADD CHECK (event <> 'received') NOT VALID",
        false => {
            "CREATE TRIGGER refuse BEFORE INSERT ON order_events BEGIN SELECT RAISE(ABORT, 'refused'); END"
        }
    };
    bench.sql(refuse).await;
    let elsewhere = bench.another_process(|settings| settings.max_connections = 1);
    let everything = "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM orders) \
                      + (SELECT count(*) FROM order_lines) + (SELECT count(*) FROM idempotency_keys)";
    let before = bench.number(everything).await;
    for _ in 0..2 {
        let placing = begin_placing(&elsewhere, customer, photo, &[CANVAS]).await.unwrap();
        placing.try_end().await.unwrap_err();
        assert_eq!(bench.number(everything).await, before);
    }
    // What it was done by is of use again.
    elsewhere.ping().await.unwrap();
}

/// So many no-op jobs of a customer go through their lives, each alone.
async fn lives(bench: &Bench, jobs: u32) {
    let (claims, settles) = (Claims::new(bench.db.clone()), Settles::new(bench.db.clone()));
    let owner = customers::create(&mut bench.db.conn().await.unwrap(), "a hash").await.unwrap();
    for _ in 0..jobs {
        let job = bench.enqueue_with(Options { owner: Some(owner), ..Options::default() }).await;
        let Claimed::Yes(job) = claims.claim(job.id, bench.worker).await.unwrap() else { panic!() };
        settles.settle(&job, Ended::by(Ending::Succeeded, Note::None)).await.unwrap();
    }
}

/// HOT (heap-only tuples): an update that changes no indexed column and finds room in its page writes no index.
async fn half_of_a_jobs_updates_stay_in_their_page(bench: &mut Bench) {
    const JOBS: u32 = 50;
    lives(bench, JOBS).await;
    // Each connection tells the statistics when it is idle for a while, or when it ends.
    bench.db = bench.another_process(|_| {});
    let updates = "SELECT coalesce(sum(n_tup_upd), 0) FROM pg_stat_user_tables WHERE relname = 'jobs'";
    let told = async { while bench.number(updates).await < i64::from(2 * JOBS) {} };
    tokio::time::timeout(super::bench::PATIENCE, told).await.expect("the statistics do not come");
    let updates = bench.number(updates).await;
    let hot = bench.number("SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'jobs'").await;
    assert_eq!(updates, i64::from(2 * JOBS), "a claim and an end");
    assert!(hot * 100 >= updates * 45, "{hot} of {updates}");
}

/// Counted as tuples of the indexes, which nothing has cleaned yet: what is dead counts, too.
async fn a_jobs_life_makes_few_entries_in_indexes(bench: &mut Bench) {
    const JOBS: u32 = 50;
    bench
        .sql("CREATE EXTENSION IF NOT EXISTS pageinspect; ALTER TABLE jobs SET (autovacuum_enabled = false)")
        .await;
    let entries = "SELECT sum((SELECT count(*) FROM generate_series(1, pg_relation_size(indexrelid) / 8192 - 1) AS page, \
                   LATERAL bt_page_items(indexrelid::regclass::text, page::int))) \
                   FROM pg_index WHERE indrelid = 'jobs'::regclass AND pg_relation_size(indexrelid) > 8192";
    lives(bench, JOBS).await;
    let each = bench.number(entries).await / i64::from(JOBS);
    assert!((1..=8).contains(&each), "{each} a job");
}

#[derive(QueryableByName)]
struct Planned {
    #[diesel(sql_type = Text)]
    statement: String,
    #[diesel(sql_type = BigInt)]
    times: i64,
}

/// A job with a part that it waits for, on one connection. PostgreSQL plans a statement five times before it may keep a
/// plan.
async fn what_is_asked_often_is_planned_no_more(bench: &mut Bench) {
    let db = bench.another_process(|settings| settings.max_connections = 1);
    let (claims, settles) = (Claims::new(db.clone()), Settles::new(db.clone()));
    let owner = Some(customers::create(&mut db.conn().await.unwrap(), "a hash").await.unwrap());
    let claimed = async |id: JobId| match claims.claim(id, bench.worker).await.unwrap() {
        Claimed::Yes(job) => job,
        other => panic!("{other:?}"),
    };
    for _ in 0..12 {
        let args = MakeThumbnails { photo_id: PhotoId::new() };
        let mut tx = db.begin().await.unwrap();
        let whole = enqueue(&mut tx, &args, Options { owner, ..Options::default() }).await.unwrap();
        tx.commit().await.unwrap();
        let whole = claimed(whole.id).await;
        let mut tx = db.begin().await.unwrap();
        let row = checkpoint(&mut tx, own(&whole), &json!({}), false, &Progress::default()).await.unwrap();
        let options = Options { owner, parent: Some(whole.id), ..Options::default() };
        let parts = enqueue_all(&mut tx, &[args], options).await.unwrap();
        settle_with_step(tx, &row, &[parts[0].id], waits()).await.unwrap();
        let part = claimed(parts[0].id).await;
        settles.settle(&part, Ended::by(Ending::Succeeded, Note::None)).await.unwrap();
        assert_eq!(take_due(&db, 10).await.unwrap().len(), 1);
        let whole = claimed(whole.id).await;
        settles.settle(&whole, Ended::by(Ending::Succeeded, Note::None)).await.unwrap();
    }
    let planned: Vec<Planned> = {
        let mut conn = db.conn().await.unwrap();
        let often = "SELECT statement, custom_plans AS times FROM pg_prepared_statements \
                     WHERE custom_plans > 6 AND statement LIKE '%jobs%'";
        with!(&mut conn, |c| diesel::sql_query(often).load(c).await).unwrap()
    };
    let planned = planned.iter().map(|one| format!("{} times: {}", one.times, one.statement));
    assert_eq!(planned.collect::<Vec<_>>(), Vec::<String>::new());
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    #[diesel(column_name = "QUERY PLAN")]
    plan: String,
}

/// Each statement of a job's life, forced to the plan that it keeps, made while there was nothing.
async fn what_was_prepared_on_an_empty_table_finds_its_index_in_a_full_one(bench: &mut Bench) {
    const STATEMENTS: [(&str, &str, &str); 5] = [
        (
            "look (timestamptz) AS SELECT id FROM jobs WHERE \
             (CASE WHEN jobs.express OR jobs.woken THEN 0 ELSE 1 END) = 1 AND due_at IS NOT NULL AND due_at <= $1 \
             ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED",
            "look (now())",
            "jobs_due",
        ),
        (
            "share (uuid, text) AS SELECT count(*) FROM (SELECT 1 FROM jobs \
             WHERE (CASE WHEN due_at IS NOT NULL THEN owner END) = $1 AND queue = $2 \
             AND (CASE WHEN owner IS NOT NULL THEN due_at END) <= now() AND state IN ('queued', 'running') LIMIT 50) AS counted",
            "share (gen_random_uuid(), 'images')",
            "jobs_due_of_owner",
        ),
        (
            "parked (uuid, text) AS SELECT id FROM jobs \
             WHERE (CASE WHEN parked IS NOT NULL THEN owner END) = $1 AND parked = $2 AND parked IS NOT NULL \
             ORDER BY woken DESC, id LIMIT 50",
            "parked (gen_random_uuid(), 'images')",
            "jobs_parked",
        ),
        (
            "next (text) AS SELECT id FROM jobs WHERE ordering_open = $1 ORDER BY ordering_seq LIMIT 1",
            "next ('a line')",
            "jobs_in_line",
        ),
        (
            "claim (uuid[]) AS UPDATE jobs SET fence = fence + 1 WHERE id = ANY (ARRAY (SELECT free.id FROM jobs AS free \
             WHERE free.id = ANY (ARRAY (SELECT unnest($1))) AND free.state = 'queued' FOR NO KEY UPDATE SKIP LOCKED)) \
             AND state = 'queued'",
            "claim (ARRAY[gen_random_uuid()])",
            "jobs_pkey",
        ),
    ];
    bench.sql("VACUUM jobs").await;
    let mut conn = bench.db.conn().await.unwrap();
    conn.postgres("SET plan_cache_mode = force_generic_plan").await.unwrap();
    for (prepare, execute, _) in STATEMENTS {
        conn.postgres(&format!("PREPARE {prepare}")).await.unwrap();
        conn.postgres(&format!("EXPLAIN EXECUTE {execute}")).await.unwrap();
    }
    full(bench).await;
    for (_, execute, index) in STATEMENTS {
        let Conn::Postgres(object) = &mut conn else { panic!() };
        let explain = diesel::sql_query(format!("EXPLAIN EXECUTE {execute}"));
        let lines: Vec<Line> = ask_postgres!(object, |c| explain.load(&mut &*c).await).unwrap();
        let plan: Vec<String> = lines.into_iter().map(|line| line.plan).collect();
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{execute}:\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{execute}:\n{plan}");
    }
}

/// Five thousand jobs that are over, and a hundred of each kind of unfinished ones.
async fn full(bench: &Bench) {
    let customer: CustomerId = CustomerId::new();
    bench
        .sql(&format!(
            "INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, owner, created_at, updated_at, \
                 due_at, parked) \
             SELECT gen_random_uuid(), 'make_thumbnails', 'images', '{{}}', \
                 CASE WHEN n < 100 THEN 'queued' WHEN n < 200 THEN 'pending' ELSE 'succeeded' END, 20, now(), '[]', \
                 '{customer}', now(), now(), CASE WHEN n < 100 THEN now() END, \
                 CASE WHEN n BETWEEN 100 AND 199 THEN 'images' END \
             FROM generate_series(0, 5199) AS numbers (n)"
        ))
        .await;
}
