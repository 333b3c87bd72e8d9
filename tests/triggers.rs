//! Starting work from outside: by HTTP with a machine token, and from a terminal.

use std::process::Output;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, App, Order, Setup, Visitor, eventually, on_both_set_ups, on_production, pictures, run_to_end,
};

/// The secret of the machine `nightly`.
pub const SECRET: &str = "a-machine-secret-of-the-tests-0123456789";

const OTHER_SECRET: &str = "another-machine-secret-of-the-tests-0123";

/// The setting with which both are known.
pub fn machine_tokens() -> String {
    format!("nightly:{SECRET},backup:{OTHER_SECRET}")
}

/// Asks for a task.
pub async fn start(machine: &Visitor, task: &str, args: &Value, key: Option<&str>) -> Answer {
    let request = machine.request(Method::POST, &format!("/api/tasks/{task}")).json(args);
    machine
        .send(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
        .await
}

/// The state of the shop after somebody lost the sizes of a photo.
async fn photo_without_sizes(app: &App) -> (Visitor, String) {
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let sizes: Vec<_> = app.blob_files().into_iter().filter(|file| !file.ends_with("original")).collect();
    assert_eq!(sizes.len(), 3);
    for file in sizes {
        std::fs::remove_file(file).unwrap();
    }
    (ada, photo)
}

async fn assert_sizes_are_back(app: &App, ada: &Visitor, photo: &str) {
    assert_eq!(app.blob_files().len(), 4);
    ada.get(&format!("/photos/{photo}/thumb")).await.expect(200);
    assert_eq!(ada.read_photo(photo).await["status"], "ready");
}

async fn a_machine_starts_a_task_and_follows_it(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let (ada, photo) = photo_without_sizes(&app).await;
    let nightly = app.nobody().with_token(SECRET);
    let accepted = start(&nightly, "remake_thumbnails", &json!({"photo_id": photo}), None).await.expect(202);
    let job = accepted.json()["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(accepted.header("location"), format!("/api/jobs/{job}"));
    assert_eq!(nightly.wait_for(&job).await["status"], "succeeded");
    assert_sizes_are_back(&app, &ada, &photo).await;
    assert!(app.logs().contains("a machine started a task"), "it is in the log");

    let path = format!("/api/jobs/{job}");
    ada.get(&path).await.problem(404);
    app.nobody().with_token(OTHER_SECRET).get(&path).await.problem(404);
    app.nobody().get(&path).await.problem(401);
    let adas = ada.read_photo(&photo).await["job_id"].as_str().unwrap().to_owned();
    nightly.get(&format!("/api/jobs/{adas}")).await.problem(404);
}

async fn the_same_key_is_the_same_job_even_when_that_is_over(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let photo = app.visitor().await.ready_photo().await;
    let nightly = app.nobody().with_token(SECRET);
    let args = json!({"photo_id": photo});
    let first = start(&nightly, "remake_thumbnails", &args, Some("monday")).await.expect(202);
    let job = first.json()["job"]["id"].as_str().unwrap().to_owned();
    nightly.wait_for(&job).await;
    let again = start(&nightly, "remake_thumbnails", &args, Some("monday")).await.expect(202);
    assert_eq!(again.json()["job"]["id"], job);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = json!({"photo_id": uuid::Uuid::nil()});
    start(&nightly, "remake_thumbnails", &other, Some("monday")).await.problem(422);
    let backup = app.nobody().with_token(OTHER_SECRET);
    let others = start(&backup, "remake_thumbnails", &args, Some("monday")).await.expect(202);
    assert_ne!(others.json()["job"]["id"], job, "keys of different machines never meet");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'remake_thumbnails'").await, 2);
}

async fn whoever_may_not_start_a_task_is_told_why(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let nightly = app.nobody().with_token(SECRET);
    let args = json!({"photo_id": uuid::Uuid::nil()});
    start(&app.nobody(), "remake_thumbnails", &args, None).await.problem(401);
    start(&app.nobody().with_token("guessed"), "remake_thumbnails", &args, None).await.problem(401);
    start(&app.visitor().await, "remake_thumbnails", &args, None).await.problem(403);
    start(&nightly, "fulfil_order", &json!({"order_id": uuid::Uuid::nil()}), None).await.problem(404);
    start(&nightly, "no_such_task", &json!({}), None).await.problem(404);
    let wrong = async |args: &Value| start(&nightly, "remake_thumbnails", args, None).await.wrong_fields();
    assert_eq!(wrong(&json!({})).await, ["photo_id"]);
    assert_eq!(wrong(&json!({"photo_id": "x"})).await, ["photo_id"]);
    assert_eq!(wrong(&json!({"photo_id": uuid::Uuid::nil(), "when": "now"})).await, ["when"]);
    let broken = nightly.request(Method::POST, "/api/tasks/remake_thumbnails");
    nightly.send(broken.header("Content-Type", "application/json").body("{")).await.problem(400);
    assert_eq!(app.number("SELECT count(*) FROM jobs").await, 0);
}

async fn a_machine_that_starts_too_much_is_slowed_down(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).with("RATE_LIMIT", "on").start().await;
    let nightly = app.nobody().with_token(SECRET);
    let mut refused = None;
    for _ in 0..62 {
        let answer = start(&nightly, "no_such_task", &json!({}), None).await;
        if answer.status == 429 {
            refused = Some(answer);
        }
    }
    let refused = refused.unwrap();
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    refused.problem(429);
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs a command that an operator types, on the settings of the running programs.
async fn run(app: &App, program: &str, arguments: &[&str]) -> Output {
    let mut settings = app.settings().to_vec();
    settings.push(("RUST_LOG".into(), "error".into()));
    run_to_end(program, &[&["run"], arguments].concat(), &settings).await
}

async fn an_operator_runs_a_task_and_waits_for_its_end(setup: Setup) {
    let app = setup.start().await;
    let (ada, photo) = photo_without_sizes(&app).await;
    let args = json!({"photo_id": photo}).to_string();
    let output = run(&app, "worker", &["remake_thumbnails", &args, "--wait", "--express"]).await;
    let (stdout, stderr) = said(&output);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(uuid::Uuid::parse_str(lines[0]).is_ok() && lines[1].starts_with("succeeded: "), "{stdout}");
    assert_sizes_are_back(&app, &ada, &photo).await;
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE express").await, 1);

    let unknown = json!({"photo_id": uuid::Uuid::nil()}).to_string();
    let output = run(&app, "worker", &["remake_thumbnails", &unknown, "--wait"]).await;
    let (stdout, _) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout.contains("failed: there is no such photo"), "{stdout}");
}

#[tokio::test]
async fn a_wrong_task_is_refused_in_one_line_before_any_server_is_asked_for() {
    for (arguments, expected) in [
        (vec!["run", "fulfil_order"], "remake_thumbnails"),
        (vec!["run", "remake_thumbnails", "{}"], "photo_id: is missing"),
        (vec!["run", "remake_thumbnails", "{"], "not JSON"),
    ] {
        let output = run_to_end("worker", &arguments, &[]).await;
        let (stdout, stderr) = said(&output);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stdout.is_empty() && stderr.lines().count() == 1 && stderr.contains(expected), "{stderr}");
    }
    let help = run_to_end("worker", &["run", "--help"], &[]).await;
    assert!(said(&help).0.contains("Tasks: also_bought, remake_thumbnails, sales_report"), "{help:?}");
}

/// The embedded set-up is one process: while it runs, the terminal is sent to HTTP; while it does not, a
/// worker is started for the task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_all_in_one_runs_a_task_when_nobody_else_has_its_folder() {
    let mut app = Setup::embedded().start().await;
    let (ada, photo) = photo_without_sizes(&app).await;
    let args = json!({"photo_id": photo}).to_string();
    let output = run(&app, "all-in-one", &["remake_thumbnails", &args]).await;
    let (_, stderr) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.lines().count() == 1 && stderr.contains("POST /api/tasks/{name}"), "{stderr}");
    app.stop_gracefully().await;
    let output = run(&app, "all-in-one", &["remake_thumbnails", &args, "--wait"]).await;
    assert!(output.status.success(), "{output:?}");
    let output = run(&app, "all-in-one", &["remake_thumbnails", &args]).await;
    assert!(output.status.success(), "{output:?}");
    app.start_again().await;
    app.idle().await;
    assert_sizes_are_back(&app, &ada, &photo).await;
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE state = 'succeeded'").await, 3);
}

/// What runs in the database of a server may be another program's, whatever the lock of a folder says.
async fn an_all_in_one_beside_a_worker_takes_nothing_from_it(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let slow = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    ada.wait_for_status(&format!("/api/jobs/{}", slow.job), "running").await;
    let output = run(&app, "all-in-one", &["consistency_check"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ada.wait_for(&slow.job).await["result"]["order_status"], "confirmed");
    let lapsed = "SELECT count(*) FROM jobs WHERE errors::text LIKE '%the lease lapsed%'";
    assert_eq!(app.number(lapsed).await, 0);
}

/// A queue that no program was built with is worked on by those who follow, without a restart, and left
/// alone by those who don't.
async fn a_queue_that_is_named_at_run_time_is_followed_by_those_on_a_star(setup: Setup) {
    let mut app = setup.start().await;
    let photo = app.visitor().await.ready_photo().await;
    let args = json!({"photo_id": photo}).to_string();
    let bulk = ["remake_thumbnails", &args, "--queue", "bulk-1", "--wait"];
    let output = run(&app, "worker", &bulk).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE queue = 'bulk-1'").await, 1);

    app.kill_workers();
    app.set("QUEUES", "orders");
    app.start_again().await;
    let output = run(&app, "worker", &["remake_thumbnails", &args, "--queue", "bulk-2"]).await;
    let job = said(&output).0;
    eventually("the message to be with the broker", async || {
        let published = "SELECT count(*) FROM jobs WHERE queue = 'bulk-2' AND published > 0";
        (app.number(published).await == 1).then_some(())
    })
    .await;
    // The worker is there and does what it is for; one that follows looks first thing at its start.
    let ada = app.visitor().await;
    let photo = ada.upload(pictures::small_jpeg()).await.photo;
    let order = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    ada.wait_for_status(&format!("/api/jobs/{}", order.job), "waiting").await;
    let untouched = format!("SELECT count(*) FROM jobs WHERE id = '{job}' AND started_at IS NULL");
    assert_eq!(app.number(&untouched).await, 1);
    app.kill_workers();
    app.set("QUEUES", "*");
    app.start_again().await;
    app.idle().await;
}

on_both_set_ups!(
    a_machine_starts_a_task_and_follows_it,
    the_same_key_is_the_same_job_even_when_that_is_over,
    whoever_may_not_start_a_task_is_told_why,
    a_machine_that_starts_too_much_is_slowed_down,
);

mod on_servers {
    use super::*;
    on_production!(
        an_operator_runs_a_task_and_waits_for_its_end,
        an_all_in_one_beside_a_worker_takes_nothing_from_it,
        a_queue_that_is_named_at_run_time_is_followed_by_those_on_a_star,
    );
}
