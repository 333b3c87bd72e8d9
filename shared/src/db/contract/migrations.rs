//! A database that is in use is brought up to date, and back, with everything intact.

use super::bench::Bench;
use super::promises;

promises!(both:
    photos_and_orders_let_go_of_their_jobs_and_take_them_back,
    jobs_of_each_state_learn_when_they_are_due_and_what_they_hold,
);

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
    if !bench.is_postgres() {
        // What else referred to a photo or an order still does. (PostgreSQL does not look after that any more.)
        assert!(refuses(bench, &format!("DELETE FROM orders WHERE id = '{}'", ID[4])).await);
    }

    bench.db.revert_to_before(RETENTION).await.unwrap();
    assert_intact(bench, &everything).await;
    assert!(refuses(bench, "DELETE FROM jobs").await, "they are referred to again");
    assert!(refuses(bench, &format!("DELETE FROM orders WHERE id = '{}'", ID[4])).await);
    bench.db.migrate().await.unwrap();
    assert_intact(bench, &everything).await;
    bench.sql(&format!("DELETE FROM photos WHERE id = '{}'", ID[2])).await;
    assert_eq!(
        bench.number("SELECT count(*) FROM photo_variants").await,
        0,
        "they still go with their photo"
    );
}

/// A job as the last release left it, and what must hold of it: the names of its columns beside those that
/// each has, what is in them, and a condition.
type Former = (&'static str, &'static str, &'static str);

const NOTHING: &str = "parked IS NULL AND unique_open IS NULL AND ordering_open IS NULL AND dead_at IS NULL \
                       AND waiting_since IS NULL";

/// In the order of their numbers. A time is the hour of the day.
const FORMER: [Former; 14] = [
    ("state", "'pending'", "due_at = run_at AND NOT awaited"),
    ("state, run_at", "'pending', {20}", "due_at = {20}"),
    ("state, unique_key", "'pending', 'photo'", "due_at = run_at AND unique_open = 'photo'"),
    (
        "state, ordering_key, ordering_seq",
        "'pending', 'mails', 4",
        "due_at = run_at AND ordering_open = 'mails'",
    ),
    (
        "state, ordering_key, ordering_seq",
        "'pending', 'mails', 5",
        "due_at IS NULL AND ordering_open = 'mails'",
    ),
    ("state, republish_at", "'queued', {7}", "due_at = {7}"),
    (
        "state, ordering_key, ordering_seq",
        "'running', 'calls', 1",
        "due_at IS NOT NULL AND ordering_open = 'calls' AND awaited",
    ),
    (
        "state, ordering_key, ordering_seq",
        "'pending', 'calls', 2",
        "due_at IS NULL AND ordering_open = 'calls'",
    ),
    ("state", "'waiting'", "due_at IS NULL AND waiting_since = updated_at AND NOT awaited"),
    (
        "state, failure, unique_key, ordering_key, ordering_seq",
        "'failed', 'exhausted', 'photo', 'held', 1",
        "due_at IS NULL AND dead_at = updated_at AND unique_open IS NULL AND ordering_open IS NULL \
         AND unique_key = 'photo' AND ordering_key = 'held'",
    ),
    (
        "state, ordering_key, ordering_seq",
        "'pending', 'held', 2",
        "due_at = run_at AND ordering_open = 'held'",
    ),
    ("state, failure", "'failed', 'crashed'", "due_at IS NULL AND dead_at = updated_at"),
    ("state, failure", "'failed', 'discarded'", "due_at IS NULL AND {nothing}"),
    (
        "state, unique_key, ordering_key, ordering_seq",
        "'succeeded', 'photo', 'mails', 3",
        "due_at IS NULL AND {nothing} AND unique_key = 'photo' AND ordering_key = 'mails'",
    ),
];

/// The one that runs, and the one that waits for it.
const RUNNING: usize = 6;
const WAITING: usize = 8;

fn former(number: usize) -> String {
    format!("01900000-0000-7000-8000-0000000001{number:02}")
}

async fn jobs_of_each_state_learn_when_they_are_due_and_what_they_hold(bench: &mut Bench) {
    const DUE: &str = "2026-11-30-000000_what_is_due";
    let at = |hour: i64| {
        let second = 1_767_225_600 + hour * 3600;
        if bench.is_postgres() { format!("to_timestamp({second})") } else { format!("{second}000000") }
    };
    let spelled =
        |words: &str| words.replace("{7}", &at(7)).replace("{20}", &at(20)).replace("{nothing}", NOTHING);
    let json =
        |text: &str| if bench.is_postgres() { format!("'{text}'") } else { format!("jsonb('{text}')") };
    empty(bench).await;
    bench.db.migrate_to_before(DUE).await.unwrap();
    for (number, (columns, values, _)) in FORMER.iter().enumerate() {
        let mut row = format!("'{}', 'make_thumbnails', 'images', {}, 20", former(number), json("{}"));
        row += &format!(", {}, {}, {}, {}", json("[]"), at(1), at(3), spelled(values));
        let mut names = "id, kind, queue, args, max_attempts, errors, created_at, updated_at".to_owned();
        names += &format!(", {columns}");
        if !columns.contains("run_at") {
            row += &format!(", {}", at(2));
            names += ", run_at";
        }
        bench.sql(&format!("INSERT INTO jobs ({names}) VALUES ({row})")).await;
    }
    let (running, waiting) = (former(RUNNING), former(WAITING));
    bench.sql(&format!("INSERT INTO job_waits (waiter, on_job) VALUES ('{waiting}', '{running}')")).await;

    for time in ["the first time", "again"] {
        assert!(bench.db.migrate().await.unwrap() >= 1);
        for (number, (columns, values, holds)) in FORMER.iter().enumerate() {
            let holds = spelled(holds);
            let query = format!("SELECT count(*) FROM jobs WHERE id = '{}' AND {holds}", former(number));
            assert_eq!(bench.number(&query).await, 1, "{time}: of ({columns}) = ({values}): {holds}");
        }
        for refused in [
            "due_at = NULL WHERE state = 'queued'",
            "due_at = NULL WHERE state = 'running'",
            "due_at = run_at WHERE state = 'succeeded'",
            "due_at = run_at WHERE state = 'waiting'",
            "parked = 'images' WHERE state = 'queued'",
            "parked = 'images' WHERE state = 'failed'",
            // One of a key is unfinished, and one of a line is due.
            "unique_open = 'photo' WHERE state = 'running'",
            "due_at = run_at WHERE ordering_open = 'mails'",
        ] {
            assert!(refuses(bench, &format!("UPDATE jobs SET {refused}")).await, "{time}: {refused}");
        }
        // One that was unique until it began: it has given its key up, and the row still says which that was.
        bench.sql(&format!("UPDATE jobs SET unique_key = 'begun' WHERE id = '{running}'")).await;
        bench.db.revert_to_before(DUE).await.unwrap();
        let published = "SELECT count(*) FROM jobs WHERE republish_at IS NOT NULL";
        assert_eq!(bench.number(published).await, 1, "{time}: what is queued, and nothing else");
        let begun = "SELECT count(*) FROM jobs WHERE unique_key = 'begun'";
        assert_eq!(bench.number(begun).await, 0, "{time}: the former release would not know that it is free");
    }
    assert!(bench.db.migrate().await.unwrap() >= 1);
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
