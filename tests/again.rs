//! Every handler may be run again after a crash that lost its outcome, and comes to the same end.

use std::collections::BTreeMap;

use model::KindInfo;
use reqwest::Method;
use serde_json::json;
use shared::jobs::KINDS;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{App, Order, Setup, Visitor, eventually, on_both_set_ups, pictures};
use crate::triggers::{SECRET, machine_tokens};

/// What there is in the world: whatever a handler that is not safe to run twice would change.
const WORLD: [&str; 9] = [
    "SELECT sum(stock) FROM products",
    "SELECT count(*) FROM stock_moves",
    "SELECT count(*) FROM payments WHERE state = 'charged'",
    "SELECT count(*) FROM payments WHERE state = 'voided' OR state = 'refunded'",
    "SELECT sum(asked) FROM payments",
    "SELECT count(*) FROM photos WHERE status = 'ready'",
    "SELECT sum(width * height) FROM photo_variants",
    "SELECT count(*) FROM order_events",
    "SELECT count(*) FROM jobs",
];

async fn every_handler_that_is_run_five_times_comes_to_the_same_end(setup: Setup) {
    let receiver = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    let mut app = setup
        .with("CALLBACKS", "any")
        .with("MACHINE_TOKENS", machine_tokens())
        .with("OPERATOR_EMAIL", "ops@example.org")
        .with("INCOMING_SECONDS", 1)
        .start()
        .await;
    let ada = app.visitor().await;
    app.stop_gracefully().await;
    app.set("INCOMING_TOKEN", ada.token());
    app.start_again().await;
    let photo = ada.ready_photo().await;
    every_other_kind(&app, &ada, &photo, &receiver.uri()).await;
    let broken = ada.upload(pictures::truncated_png()).await;
    assert_eq!(ada.wait_for(&broken.job).await["failure"], "discarded");
    let confirmed = ada.order_and_wait(&Order::of(&photo, "canvas-60x80", 2)).await;
    let declined = Order::of(&photo, "print-10x15", 3).paid_by("tok_declined").mail_to("bob@example.org");
    let declined = ada.order_and_wait(&declined).await;
    assert_eq!((&confirmed["status"], &declined["status"]), (&"confirmed".into(), &"rejected".into()));
    app.idle().await;

    let (before, mails, blobs) = (world(&app).await, app.mails().len(), app.blob_files().len());
    let jobs = app.number("SELECT count(*) FROM jobs").await;
    for time in 2..=5 {
        let runs = app.number("SELECT sum(fence) FROM jobs").await;
        // Of each line the first is due, and the others come in turn.
        app.execute(
            "UPDATE jobs SET state = 'pending', failure = NULL, result = NULL, attempt = 0, run_at = created_at,
             ordering_open = ordering_key, due_at = CASE WHEN ordering_key IS NULL OR ordering_seq = (
             SELECT min(ordering_seq) FROM jobs AS line WHERE line.ordering_key = jobs.ordering_key
             ) THEN created_at END",
        )
        .await;
        app.idle().await;
        assert!(app.number("SELECT sum(fence) FROM jobs").await >= runs + jobs, "each was run again");
        assert_eq!(world(&app).await, before, "run {time}");
        assert_eq!((app.mails().len(), app.blob_files().len()), (mails, blobs), "run {time}");
        assert_eq!(ada.read_job(&broken.job).await["failure"], "discarded");
        for order in [&confirmed, &declined] {
            assert_eq!(&ada.read_order(order["id"].as_str().unwrap()).await, order, "run {time}");
        }
    }
}

/// What neither an upload nor an order does: tasks, the watched folder, callbacks. Replies need AMQP, and stand
/// beside callbacks in all that matters here.
async fn every_other_kind(app: &App, ada: &Visitor, photo: &str, receiver: &str) {
    shared::jobs::register();
    let nightly = app.nobody().with_token(SECRET);
    let tasks: Vec<&str> = KindInfo::tasks().map(|task| task.name).collect();
    for task in &tasks {
        let args = if *task == "remake_thumbnails" { json!({"photo_id": photo}) } else { json!({}) };
        let request = nightly.request(Method::POST, &format!("/api/tasks/{task}")).json(&args);
        let job = nightly.send(request).await.expect(202).json()["job"]["id"].as_str().unwrap().to_owned();
        assert_eq!(nightly.wait_for(&job).await["status"], "succeeded", "{task}");
    }
    let folder = app.blob_folder().join("incoming");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("one.jpg"), pictures::jpeg_of_colour(7, 7, 7)).unwrap();
    eventually("the file to be a photo", async || {
        let taken = "SELECT count(*) FROM ingested_files WHERE photo_id IS NOT NULL";
        (app.number(taken).await == 1).then_some(())
    })
    .await;
    let order = json!({
        "email": "carl@example.org", "payment_token": "tok_ok", "callback_url": receiver,
        "lines": [{"photo_id": photo, "product": "print-10x15", "quantity": 1}],
    });
    let request = ada.request(Method::POST, "/api/orders").header("Idempotency-Key", "called back");
    ada.send(request.json(&order)).await.expect(202);
    app.idle().await;
    for kind in KINDS.iter().filter(|kind| kind.name != "send_reply") {
        let jobs = format!("SELECT count(*) FROM jobs WHERE kind = '{}'", kind.name);
        assert!(app.number(&jobs).await > 0, "{}: a kind that this test does not know", kind.name);
    }
}

async fn world(app: &App) -> BTreeMap<&'static str, i64> {
    let mut world = BTreeMap::new();
    for query in WORLD {
        world.insert(query, app.number(query).await);
    }
    world
}

on_both_set_ups!(every_handler_that_is_run_five_times_comes_to_the_same_end);
