//! A worker that ends when its queues are empty.

use std::process::Output;

use serde_json::json;

use crate::harness::{App, Order, Setup, on_both_set_ups, run_to_end};

/// The program that works, to its end. It would look at the schedule, if it were not to end.
async fn drain(app: &App) -> (Output, String) {
    let program = if app.is_production() { "worker" } else { "all-in-one" };
    let mut settings = app.settings().to_vec();
    settings.retain(|(name, _)| name != "SCHEDULE");
    settings.push(("BASE_URL".into(), "http://127.0.0.1:8080".into()));
    let output = run_to_end(program, &["--drain"], &settings).await;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output, printed)
}

async fn a_worker_that_drains_does_what_is_due_and_ends(setup: Setup) {
    let mut app = setup.with("REVIEW_HOURS", 24).leaving_work().start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    assert_eq!(ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await["status"], "confirmed");
    app.mail_to("ada@example.org").await;
    app.stop_gracefully().await;
    let args = json!({"photo_id": photo}).to_string();
    let task = if app.is_production() { "worker" } else { "all-in-one" };
    for _ in 0..3 {
        let output = run_to_end(task, &["run", "remake_thumbnails", &args], app.settings()).await;
        assert!(output.status.success(), "{output:?}");
    }
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE state IN ('pending', 'queued')").await, 4);

    let (output, printed) = drain(&app).await;
    assert!(output.status.success(), "{output:?}");
    let last = printed.lines().last().unwrap_or_default();
    assert_eq!(last, "the queues are empty; jobs left for later: 1", "tomorrow's question for a review");
    let done = "SELECT count(*) FROM jobs WHERE kind = 'remake_thumbnails' AND state = 'succeeded'";
    assert_eq!(app.number(done).await, 3);
    assert_eq!(app.number("SELECT count(*) FROM schedules").await, 0, "nobody looked at the schedule");

    // There is nothing to do, so that is what it does.
    let (output, printed) = drain(&app).await;
    assert!(output.status.success() && printed.ends_with("jobs left for later: 1"), "{output:?}");
}

on_both_set_ups!(a_worker_that_drains_does_what_is_due_and_ends);
