//! What is removed when it is old, and what is left for those who ask for it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::harness::{Answer, App, Order, Setup, Visitor, eventually, on_both_set_ups};
use crate::triggers::{SECRET, machine_tokens};

const DAY: i64 = 24 * 3600;

/// Runs it once, to its end. Gives its result: how many of each were removed.
async fn clean_up(app: &App) -> Value {
    let nightly = app.nobody().with_token(SECRET);
    let accepted = start(&nightly, "retention", &json!({})).await.expect(202).json();
    let job = nightly.wait_for(accepted["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    job["result"]["removed"].clone()
}

async fn start(machine: &Visitor, task: &str, args: &Value) -> Answer {
    machine.send(machine.request(reqwest::Method::POST, &format!("/api/tasks/{task}")).json(args)).await
}

/// Every job that is over was so long ago.
async fn jobs_age(app: &App, days: i64) {
    app.execute(&format!("UPDATE jobs SET updated_at = {} WHERE state = 'succeeded'", app.ago(days * DAY)))
        .await;
}

fn age(file: &Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_secs(hours * 3600);
    File::options().write(true).open(file).unwrap().set_modified(then).unwrap();
}

async fn an_old_job_is_gone_for_those_who_knew_it_and_unknown_to_others(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let (ada, bob, nightly) = (app.visitor().await, app.visitor().await, app.nobody().with_token(SECRET));
    let upload = ada.upload(crate::harness::pictures::small_jpeg()).await;
    ada.wait_for(&upload.job).await;
    let placed = ada.order(&Order::of(&upload.photo, "print-10x15", 1)).await;
    ada.wait_for(&placed.job).await;
    let started = start(&nightly, "remake_thumbnails", &json!({"photo_id": upload.photo})).await.expect(202);
    let task = started.json()["job"]["id"].as_str().unwrap().to_owned();
    nightly.wait_for(&task).await;
    app.idle().await;
    assert_eq!(clean_up(&app).await["jobs"], 0, "they are young");

    jobs_age(&app, 31).await;
    assert!(clean_up(&app).await["jobs"].as_u64().unwrap() >= 5);
    for job in [&upload.job, &placed.job] {
        let path = format!("/api/jobs/{job}");
        ada.get(&path).await.problem(410);
        ada.get(&format!("{path}/events")).await.problem(410);
        ada.get(&format!("{path}/deliveries")).await.problem(410);
        ada.delete(&path).await.problem(410);
        bob.get(&path).await.problem(404);
        nightly.get(&path).await.problem(404);
        app.nobody().get(&path).await.problem(401);
    }
    nightly.get(&format!("/api/jobs/{task}")).await.problem(410);
    ada.get(&format!("/api/jobs/{task}")).await.problem(404);

    // What the jobs did is all there, and can be used.
    assert_eq!(ada.read_photo(&upload.photo).await["job_id"], upload.job);
    assert_eq!(ada.read_order(&placed.order).await["status"], "confirmed");
    ada.get(&format!("/orders/{}", placed.order)).await.expect(200);
    ada.get(&format!("/photos/{}", upload.photo)).await.expect(200);
    ada.get("/").await.expect(200);
    ada.post(&format!("/api/orders/{}/cancel", placed.order)).await.problem(409);
    let again = Order::of(&upload.photo, "print-13x18", 1);
    assert_eq!(ada.order_and_wait(&again).await["status"], "confirmed");
    ada.delete(&format!("/api/photos/{}", upload.photo)).await.expect(204);

    app.execute(&format!("UPDATE expired_jobs SET expired_at = {}", app.ago(366 * DAY))).await;
    assert!(clean_up(&app).await["tombstones"].as_u64().unwrap() >= 5);
    ada.get(&format!("/api/jobs/{}", upload.job)).await.problem(404);
}

async fn a_job_that_can_be_tried_again_is_kept(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(crate::harness::pictures::small_jpeg()).await;
    ada.wait_for(&upload.job).await;
    jobs_age(&app, 400).await;
    let exhausted = "state = 'failed', failure = 'exhausted', dead_at = updated_at";
    app.execute(&format!("UPDATE jobs SET {exhausted} WHERE id = '{}'", upload.job)).await;
    assert_eq!(clean_up(&app).await["jobs"], 0);
    assert_eq!(ada.read_job(&upload.job).await["failure"], "exhausted");
}

async fn blobs_and_mails_that_nobody_needs_are_removed_and_no_others(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    app.mail_to("ada@example.org").await;
    app.idle().await;
    let kept = app.blob_files();
    assert_eq!(kept.len(), 5, "an original, three sizes, a print");
    let root = kept[0].ancestors().find(|folder| folder.ends_with("blobs")).unwrap().to_owned();
    let nobodys = uuid::Uuid::now_v7();
    let litter = [
        format!("photos/{nobodys}/original"),
        format!("photos/{nobodys}/thumb"),
        format!("orders/{nobodys}/prints/0"),
    ]
    .map(|path| root.join(path));
    let strangers =
        ["notes.txt".to_owned(), format!("incoming/{nobodys}.jpg"), format!("photos/{nobodys}/notes")]
            .map(|path| root.join(path));
    let unfinished = root.join(format!("photos/{nobodys}/original#1"));
    for file in litter.iter().chain(&strangers).chain([&unfinished]) {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "litter").unwrap();
    }
    let removed = clean_up(&app).await;
    assert_eq!(
        (&removed["orphan_blobs"], &removed["unfinished_blobs"]),
        (&json!(0), &json!(0)),
        "they are young"
    );
    for file in kept.iter().chain(&litter).chain(&strangers).chain([&unfinished]) {
        age(file, 25);
    }
    let mails = app.mails().len();
    let removed = clean_up(&app).await;
    assert_eq!((&removed["orphan_blobs"], &removed["mail_files"]), (&json!(3), &json!(0)));
    assert!(kept.iter().chain(&strangers).all(|file| file.exists()));
    assert_eq!(removed["unfinished_blobs"], 1);
    assert!(!litter.iter().chain([&unfinished]).any(|file| file.exists()));

    // A print that came too late for an order that was given up.
    let given_up =
        format!("UPDATE orders SET status = 'cancelled' WHERE id = '{}'", order["id"].as_str().unwrap());
    app.execute(&given_up).await;
    assert_eq!(clean_up(&app).await["orphan_blobs"], 1);
    assert_eq!(clean_up(&app).await["orphan_blobs"], 0);
    ada.get(&format!("/photos/{photo}/thumb")).await.expect(200);

    if !app.is_production() {
        assert_eq!(app.mails().len(), mails);
        for mail in mail_files(&root) {
            age(&mail, 31 * 24);
        }
        assert_eq!(clean_up(&app).await["mail_files"], mails);
        assert!(app.mails().is_empty());
    }
}

/// The files of the mailbox, beside the blobs.
fn mail_files(blobs: &Path) -> Vec<PathBuf> {
    let mails = std::fs::read_dir(blobs.with_file_name("mail")).unwrap();
    mails.map(|entry| entry.unwrap().path()).collect()
}

async fn who_never_did_anything_is_forgotten_and_welcome_again(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let (ada, idler) = (app.visitor().await, app.visitor().await);
    ada.ready_photo().await;
    app.execute(&format!("UPDATE customers SET created_at = {}", app.ago(31 * DAY))).await;
    let young = app.visitor().await;
    assert_eq!(clean_up(&app).await["unused_customers"], 1);
    ada.get("/api/photos").await.expect(200);
    young.get("/api/photos").await.expect(200);
    idler.get("/api/photos").await.problem(401);
    // A browser that comes back with the old cookie is a new one.
    let nobody = app.nobody();
    let cookie = format!("session={}", idler.token());
    nobody.get_with("/", "Cookie", &cookie).await.expect(200);
    let session = nobody.request(reqwest::Method::POST, "/session").header("Cookie", &cookie);
    let opened = nobody.send(session.header("Sec-Fetch-Site", "same-origin")).await.expect(204);
    assert!(opened.header("set-cookie").starts_with("session="), "{opened:?}");
}

async fn what_piles_up_beside_the_jobs_is_removed_by_the_schedule(setup: Setup) {
    let app = setup.with("SCHEDULE", "on").with("MACHINE_TOKENS", machine_tokens()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    app.mail_to("ada@example.org").await;
    app.idle().await;
    for table in ["idempotency_keys", "mails", "mail_recipients", "ordering_keys"] {
        assert!(app.number(&format!("SELECT count(*) FROM {table}")).await > 0, "{table}");
    }
    app.execute(&format!("UPDATE idempotency_keys SET created_at = {}", app.ago(DAY + 60))).await;
    app.execute(&format!("UPDATE mails SET at = {}", app.ago(3600))).await;
    app.make_due("retention").await;
    eventually("the clean-up to be over", async || {
        let over = "SELECT count(*) FROM jobs WHERE kind = 'retention' AND state = 'succeeded'";
        (app.number(over).await == 1).then_some(())
    })
    .await;
    for table in ["idempotency_keys", "mails", "mail_recipients", "ordering_keys"] {
        assert_eq!(app.number(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
    }
    assert!(app.logs().contains("removed what was kept long enough"));
    assert!(app.metric(0, "retention_removed_total").await >= 4.0);
    // Everything begins anew.
    let bob = Order::of(&photo, "print-10x15", 1).mail_to("bob@example.org");
    assert_eq!(ada.order_and_wait(&bob).await["status"], "confirmed");
    app.mail_to("bob@example.org").await;
    app.idle().await;
}

async fn a_clean_up_that_is_killed_goes_on_where_it_was(setup: Setup) {
    const MANY: i64 = 3000;
    let mut app = setup.with("MACHINE_TOKENS", machine_tokens()).with("LEASE_SECONDS", 3).start().await;
    let (numbers, id, object, list) = match app.is_production() {
        true => (format!("generate_series(1, {MANY})"), "gen_random_uuid()", "'{}'", "'[]'"),
        false => (
            format!(
                "(WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) SELECT i FROM n)"
            ),
            "lower(printf('%s-%s-%s-%s-%s', hex(randomblob(4)), hex(randomblob(2)), hex(randomblob(2)), hex(randomblob(2)), hex(randomblob(6))))",
            "jsonb('{}')",
            "jsonb('[]')",
        ),
    };
    let old = app.ago(40 * DAY);
    app.execute(&format!(
        "INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, created_at, updated_at)
         SELECT {id}, 'send_email', 'mail', {object}, 'succeeded', 20, {old}, {list}, {old}, {old} FROM {numbers} AS n"
    ))
    .await;
    let nightly = app.nobody().with_token(SECRET);
    let accepted = start(&nightly, "retention", &json!({})).await.expect(202).json();
    let job = accepted["job"]["id"].as_str().unwrap();
    eventually("some of it to be done", async || {
        (app.number("SELECT count(*) FROM expired_jobs").await > 0).then_some(())
    })
    .await;
    app.kill_workers();
    let before = app.number("SELECT count(*) FROM expired_jobs").await;
    assert!(before < MANY, "it was killed in the middle: {before}");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'send_email'").await, MANY - before);
    app.start_again().await;
    let job = nightly.wait_for(job).await;
    assert_eq!(job["result"]["removed"]["jobs"], MANY, "each was counted once");
    assert_eq!(app.number("SELECT count(*) FROM expired_jobs").await, MANY);
}

async fn an_order_of_a_photo_that_nobody_makes_any_more_is_rejected(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.execute(&format!("UPDATE photos SET status = 'processing' WHERE id = '{photo}'")).await;
    app.execute("DELETE FROM jobs").await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("rejected"), &json!("photo_rejected")));
}

async fn a_store_of_objects_is_looked_through_as_well(setup: Setup) {
    let app = setup.blobs_in_s3().with("MACHINE_TOKENS", machine_tokens()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    assert_eq!(clean_up(&app).await["orphan_blobs"], 0);
    ada.get(&format!("/photos/{photo}/thumb")).await.expect(200);
}

async fn what_is_to_be_kept_for_ever_is(setup: Setup) {
    let mut setup = setup.with("MACHINE_TOKENS", machine_tokens());
    for setting in ["KEEP_JOBS_DAYS", "KEEP_UNUSED_CUSTOMERS_DAYS", "KEEP_ORPHANS_HOURS", "KEEP_MAIL_DAYS"] {
        setup = setup.with(setting, 0);
    }
    let app = setup.start().await;
    let (ada, idler) = (app.visitor().await, app.visitor().await);
    let photo = ada.ready_photo().await;
    jobs_age(&app, 4000).await;
    app.execute(&format!("UPDATE customers SET created_at = {}", app.ago(4000 * DAY))).await;
    let removed = clean_up(&app).await;
    assert_eq!((&removed["jobs"], &removed["unused_customers"]), (&Value::Null, &Value::Null));
    let job = ada.read_photo(&photo).await["job_id"].as_str().unwrap().to_owned();
    assert_eq!(ada.read_job(&job).await["status"], "succeeded");
    idler.get("/api/photos").await.expect(200);
}

on_both_set_ups!(
    an_old_job_is_gone_for_those_who_knew_it_and_unknown_to_others,
    a_job_that_can_be_tried_again_is_kept,
    blobs_and_mails_that_nobody_needs_are_removed_and_no_others,
    who_never_did_anything_is_forgotten_and_welcome_again,
    what_piles_up_beside_the_jobs_is_removed_by_the_schedule,
    a_clean_up_that_is_killed_goes_on_where_it_was,
    what_is_to_be_kept_for_ever_is,
    an_order_of_a_photo_that_nobody_makes_any_more_is_rejected,
);

mod on_servers {
    use super::*;
    crate::harness::on_production!(a_store_of_objects_is_looked_through_as_well);
}
