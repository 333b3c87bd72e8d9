//! A database that is in use is brought up to date, and back, with everything intact.

use super::bench::Bench;
use super::promises;

promises!(both: photos_and_orders_let_go_of_their_jobs_and_take_them_back);

mod on_servers {
    use super::*;
    promises!(postgres: a_migration_that_would_keep_everybody_waiting_gives_up_and_can_be_run_again);
}

const ID: [&str; 6] = [
    "01900000-0000-7000-8000-000000000001",
    "01900000-0000-7000-8000-000000000002",
    "01900000-0000-7000-8000-000000000003",
    "01900000-0000-7000-8000-000000000004",
    "01900000-0000-7000-8000-000000000005",
    "01900000-0000-7000-8000-000000000006",
];

async fn photos_and_orders_let_go_of_their_jobs_and_take_them_back(bench: &mut Bench) {
    const RETENTION: &str = "2026-11-25-080000_retention";
    empty(bench).await;
    bench.db.migrate_to_before(RETENTION).await.unwrap();
    fill(bench).await;
    let everything = [
        "SELECT count(*) FROM photos JOIN customers ON customers.id = customer_id WHERE status = 'ready' AND bytes = 7",
        "SELECT count(*) FROM photo_variants JOIN photos ON photos.id = photo_id",
        "SELECT count(*) FROM orders WHERE email = 'ada@example.org' AND total_cents = 29 AND express",
        "SELECT count(*) FROM order_lines JOIN orders ON orders.id = order_id",
        "SELECT count(*) FROM order_events JOIN orders ON orders.id = order_id",
        "SELECT count(*) FROM stock_moves JOIN orders ON orders.id = order_id",
        "SELECT count(*) FROM photos JOIN jobs ON jobs.id = job_id WHERE kind = 'make_thumbnails'",
        "SELECT count(*) FROM orders JOIN jobs ON jobs.id = job_id WHERE kind = 'fulfil_order'",
    ];
    assert_intact(bench, &everything).await;

    assert!(bench.db.migrate().await.unwrap() >= 1);
    assert_intact(bench, &everything).await;
    bench.sql("DELETE FROM jobs").await;
    assert_intact(bench, &everything[..6]).await;
    let kept = format!(
        "SELECT count(*) FROM photos JOIN orders ON photos.job_id = '{}' AND orders.job_id = '{}'",
        ID[1], ID[3]
    );
    assert_eq!(bench.number(&kept).await, 1, "the jobs' ids stay");
    // What else referred to a photo or an order still does.
    assert!(refuses(bench, &format!("DELETE FROM orders WHERE id = '{}'", ID[4])).await);

    bench.db.revert_to_before(RETENTION).await.unwrap();
    assert_intact(bench, &everything).await;
    assert!(refuses(bench, "DELETE FROM jobs").await, "they are referred to again");
    bench.db.migrate().await.unwrap();
    assert_intact(bench, &everything).await;
    bench.sql(&format!("DELETE FROM photos WHERE id = '{}'", ID[2])).await;
    assert_eq!(
        bench.number("SELECT count(*) FROM photo_variants").await,
        0,
        "they still go with their photo"
    );
}

async fn a_migration_that_would_keep_everybody_waiting_gives_up_and_can_be_run_again(bench: &mut Bench) {
    let job = bench.enqueue().await;
    bench.db.revert_to_before("2026-11-26-040000_args_version").await.unwrap();
    // Somebody's transaction that does not end.
    let held = bench.hold(&[job.id]).await;
    let error = bench.db.migrate().await.unwrap_err().to_string();
    assert!(error.contains("lock timeout"), "{error}");
    held.rollback().await.unwrap();
    assert!(bench.db.migrate().await.unwrap() >= 1);
    assert_eq!(bench.job(job.id).await.args_version, 1, "as it was before there were versions");
}

/// The benches' databases are up to date: back to the beginning.
async fn empty(bench: &Bench) {
    match bench.is_postgres() {
        true => bench.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await,
        false => bench.db.revert_to_before("").await.unwrap(),
    }
}

async fn assert_intact(bench: &Bench, queries: &[&str]) {
    for query in queries {
        assert_eq!(bench.number(query).await, 1, "{query}");
    }
}

async fn refuses(bench: &Bench, sql: &str) -> bool {
    bench.try_sql(sql).await.is_err()
}

/// A photo that is ready and an order that is confirmed.
async fn fill(bench: &Bench) {
    let json =
        |text: &str| if bench.is_postgres() { format!("'{text}'") } else { format!("jsonb('{text}')") };
    let (now, yes) = if bench.is_postgres() { ("now()", "true") } else { ("unixepoch() * 1000000", "1") };
    let [customer, photo_job, photo, order_job, order, event] = ID;
    let (object, list) = (json("{}"), json("[]"));
    let job = |id: &str, kind: &str| {
        format!(
            "INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, created_at, updated_at)
             VALUES ('{id}', '{kind}', 'images', {object}, 'succeeded', 20, {now}, {list}, {now}, {now});"
        )
    };
    bench.sql(&job(photo_job, "make_thumbnails")).await;
    bench.sql(&job(order_job, "fulfil_order")).await;
    bench
        .sql(&format!(
            "INSERT INTO customers (id, token_hash, created_at) VALUES ('{customer}', 'h', {now});
             INSERT INTO photos (id, customer_id, job_id, status, content_type, bytes, created_at)
                 VALUES ('{photo}', '{customer}', '{photo_job}', 'ready', 'image/png', 7, {now});
             INSERT INTO photo_variants (photo_id, name, width, height, content_type, bytes)
                 VALUES ('{photo}', 'thumb', 1, 1, 'image/png', 1);
             INSERT INTO orders (id, customer_id, job_id, email, status, total_cents, payment_token, created_at, express)
                 VALUES ('{order}', '{customer}', '{order_job}', 'ada@example.org', 'confirmed', 29, 'tok_ok', {now}, {yes});
             INSERT INTO order_lines (order_id, position, photo_id, product_id, quantity, price_cents)
                 VALUES ('{order}', 0, '{photo}', 'print-10x15', 1, 29);
             INSERT INTO order_events (id, order_id, at, event) VALUES ('{event}', '{order}', {now}, 'confirmed');
             INSERT INTO stock_moves (order_id, product_id, kind, quantity, at)
                 VALUES ('{order}', 'print-10x15', 'reserve', 1, {now});"
        ))
        .await;
}
