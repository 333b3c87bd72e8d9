//! Deep tables stay fast: a page of a list costs what it shows, not what there is.
//!
//! Time differs from machine to machine, so what is held is how much longer a page takes among 200,000 jobs than
//! among 1,000. `cargo test -p shared --lib deep_lists -- --include-ignored --nocapture` prints the times.

use std::time::{Duration, Instant};

use serde_json::json;

use super::bench::Bench;
use super::promises;
use ::jobs::filter::JobFilter;
use ::jobs::listing;
use model::JobId;

promises!(both: a_page_of_a_deep_table_takes_no_longer_than_one_of_a_shallow_one);

const SHALLOW: usize = 1_000;
const DEEP: usize = 200_000;

/// The best of several: what the machine does beside it only adds.
const TRIES: usize = 7;

/// Below this, times are noise.
const FLOOR: Duration = Duration::from_millis(4);

/// How much longer a page may take.
const MOST_RATIO: u32 = 4;

const OWNER: &str = "01900000-0000-7000-8000-000000000007";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Fills the table up to `until`: most succeeded; few of a rare kind, in a rare queue, failed, cancelled, of one
/// customer, of one trace, of one parent, all of them long ago.
async fn fill(bench: &Bench, from: usize, until: usize) {
    let (number, id, trace, now, args, errors) = match bench.is_postgres() {
        true => (
            "generate_series({from}, {until}) AS numbers (n)",
            "('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid",
            "lpad(n::text, 32, '0')",
            "now()",
            "'{}'::jsonb",
            "'[{\"message\": \"no route to host\"}]'::jsonb",
        ),
        false => (
            "numbers",
            "'01900000-0000-7000-8000-' || printf('%012x', n)",
            "printf('%032d', n)",
            "(unixepoch() * 1000000)",
            "jsonb('{}')",
            "jsonb('[{\"message\": \"no route to host\"}]')",
        ),
    };
    let with = match bench.is_postgres() {
        true => String::new(),
        false => format!(
            "WITH RECURSIVE numbers (n) AS (SELECT {from} UNION ALL SELECT n + 1 FROM numbers WHERE n < {until})"
        ),
    };
    let number = number.replace("{from}", &from.to_string()).replace("{until}", &until.to_string());
    let cast = if bench.is_postgres() { "::uuid" } else { "" };
    bench
        .sql(&format!(
            "INSERT INTO jobs (id, kind, queue, args, state, failure, dead_reason, dead_at, cancel_requested_at, \
                               waiting_since, due_at, max_attempts, run_at, errors, owner, parent, traceparent, \
                               created_at, updated_at)
             {with} SELECT {id},
                CASE WHEN n < 20 THEN 'sales_report' ELSE 'make_thumbnails' END,
                CASE WHEN n < 20 THEN 'rare' ELSE 'images' END, {args},
                CASE WHEN n < 40 THEN 'failed' WHEN n < 60 THEN 'cancelled' WHEN n < 80 THEN 'waiting'
                     WHEN n < 100 THEN 'pending' ELSE 'succeeded' END,
                CASE WHEN n < 40 THEN 'exhausted' END, CASE WHEN n < 40 THEN 'no route' END,
                CASE WHEN n < 40 THEN {now} END, CASE WHEN n BETWEEN 40 AND 59 THEN {now} END,
                CASE WHEN n BETWEEN 60 AND 79 THEN {now} END, CASE WHEN n BETWEEN 80 AND 99 THEN {now} END,
                20, {now}, {errors},
                CASE WHEN n < 20 THEN '{OWNER}'{cast} END, CASE WHEN n < 20 THEN '{OWNER}'{cast} END,
                CASE WHEN n < 20 THEN '00-{TRACE}-b7ad6b7169203331-01'
                     ELSE '00-' || {trace} || '-b7ad6b7169203331-01' END,
                {now}, {now}
             FROM {number}"
        ))
        .await;
    if bench.is_postgres() {
        bench.sql("ANALYZE jobs").await;
    }
}

/// A page of each filter: how long it takes, and how many jobs it shows.
async fn times(bench: &Bench) -> Vec<(String, Duration, usize)> {
    let mut measured = Vec::new();
    for (typed, before) in [
        (json!({}), None),
        (json!({}), Some("01900000-0000-7000-8000-000000000100")),
        (json!({"kind": "sales_report"}), None),
        (json!({"kind": "make_thumbnails"}), None),
        (json!({"kind": "make_thumbnails"}), Some("01900000-0000-7000-8000-000000000100")),
        (json!({"kind": "make_thumbnails", "queue": "rare"}), None),
        (json!({"queue": "rare"}), None),
        (json!({"queue": "images"}), None),
        (json!({"state": "succeeded"}), None),
        (json!({"state": "succeeded", "kind": "make_thumbnails"}), None),
        (json!({"state": "failed"}), None),
        (json!({"state": "cancelled"}), None),
        (json!({"state": "waiting"}), None),
        (json!({"state": "scheduled"}), None),
        (json!({"state": "queued"}), None),
        (json!({"state": "running"}), None),
        (json!({"failure": "dead"}), None),
        (json!({"failure": "exhausted"}), None),
        (json!({"reason": "no route"}), None),
        (json!({"failure": "crashed"}), None),
        (json!({"customer": OWNER}), None),
        (json!({"customer": JobId::new()}), None),
        (json!({"parent": OWNER}), None),
        (json!({"text": TRACE}), None),
        (json!({"text": JobId::new()}), None),
        (json!({"text": "a-key-of-nobody"}), None),
        (json!({"text": "no route"}), None),
        (json!({"older_than": "1h", "kind": "sales_report"}), None),
        (json!({"older_than": "1h", "queue": "images"}), None),
        (json!({"younger_than": "1h", "kind": "make_thumbnails"}), None),
        (json!({"kind": "sales_report", "state": "failed", "queue": "rare"}), None),
    ] {
        let filter: JobFilter = serde_json::from_value(typed.clone()).unwrap();
        let before: Option<JobId> = before.map(|id| id.parse().unwrap());
        let mut conn = bench.db.conn().await.unwrap();
        let (mut best, mut shown) = (Duration::MAX, 0);
        for _ in 0..TRIES {
            let began = Instant::now();
            shown = listing::page(&mut conn, &filter, before, 50).await.unwrap().len();
            best = best.min(began.elapsed());
        }
        measured.push((format!("{typed} {before:?}"), best, shown));
    }
    measured
}

async fn a_page_of_a_deep_table_takes_no_longer_than_one_of_a_shallow_one(bench: &mut Bench) {
    fill(bench, 1, SHALLOW).await;
    let shallow = times(bench).await;
    fill(bench, SHALLOW + 1, DEEP).await;
    let deep = times(bench).await;
    for ((filter, short, few), (_, long, many)) in shallow.into_iter().zip(deep) {
        println!("{filter}: {few} jobs {short:?}, {many} jobs {long:?}");
        assert!(
            long < short.max(FLOOR) * MOST_RATIO,
            "{filter}: {short:?} among {SHALLOW}, {long:?} among {DEEP}"
        );
        assert_eq!(few, many, "{filter}");
    }
}
