//! Every handler may be run again after a crash that lost its outcome, and comes to the same end.

use std::collections::BTreeMap;

use crate::harness::{App, Order, Setup, on_both_set_ups, pictures};

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
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
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
        app.execute(
            "UPDATE jobs SET state = 'pending', failure = NULL, result = NULL, attempt = 0, run_at = created_at",
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

async fn world(app: &App) -> BTreeMap<&'static str, i64> {
    let mut world = BTreeMap::new();
    for query in WORLD {
        world.insert(query, app.number(query).await);
    }
    world
}

on_both_set_ups!(every_handler_that_is_run_five_times_comes_to_the_same_end);
