//! `kill -9`, SIGTERM, and what is left afterwards: nothing accepted is lost, nothing is done twice.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;

use crate::harness::{App, Order, Placed, Setup, Upload, Visitor, eventually, on_both_set_ups, pictures};

async fn an_order_whose_worker_is_killed_while_it_charges_is_charged_once(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = slow_order_at_the_gateway(&app, &ada, &photo).await;
    app.kill_workers();
    app.start_again().await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    fulfilled_once(&app, &ada, &placed).await;
}

async fn what_was_accepted_before_a_crash_is_finished_after_it(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let mut uploads: Vec<Upload> = Vec::new();
    let mut orders: Vec<Placed> = Vec::new();
    for number in 0..6 {
        let upload = ada.upload(pictures::jpeg(800 + number, 600)).await;
        let order = Order::of(&upload.photo, "print-10x15", 1).mail_to(&format!("ada{number}@example.org"));
        orders.push(ada.order(&order).await);
        uploads.push(upload);
    }
    app.kill();
    app.start_again().await;
    for upload in &uploads {
        assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded");
        let photo = ada.read_photo(&upload.photo).await;
        assert_eq!(photo["variants"].as_array().unwrap().len(), 3, "{photo}");
        ada.get(&format!("/photos/{}/thumb", upload.photo)).await.expect(200);
    }
    for order in &orders {
        assert_eq!(ada.wait_for(&order.job).await["result"]["order_status"], "confirmed");
    }
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 6);
    assert_eq!(app.number("SELECT sum(quantity) FROM stock_moves WHERE kind = 'reserve'").await, 6);
    assert_eq!(app.number("SELECT 100000 - stock FROM products WHERE id = 'print-10x15'").await, 6);
    let mails: BTreeSet<String> = app.mails().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(mails.len(), 6, "one confirmation each");
}

/// Whatever moment a crash chooses: the order is killed at a different state each time.
async fn an_order_survives_a_crash_at_any_of_its_states(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let moments = [
        "SELECT count(*) FROM orders",
        "SELECT count(*) FROM jobs WHERE kind = 'fulfil_order' AND started_at IS NOT NULL",
        "SELECT count(*) FROM stock_moves",
        "SELECT count(*) FROM payments WHERE state = 'charged'",
        "SELECT count(*) FROM orders WHERE status = 'confirmed'",
    ];
    for (number, moment) in moments.into_iter().enumerate() {
        let before = app.number(moment).await;
        let order = Order::of(&photo, "print-13x18", 1).mail_to(&format!("ada{number}@example.org"));
        let placed = ada.order(&order).await;
        eventually(moment, async || (app.number(moment).await > before).then_some(())).await;
        app.kill();
        app.start_again().await;
        assert_eq!(
            ada.wait_for(&placed.job).await["result"]["order_status"],
            "confirmed",
            "killed at {moment}"
        );
    }
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 5);
    assert_eq!(app.number("SELECT 100000 - stock FROM products WHERE id = 'print-13x18'").await, 5);
    let mails: BTreeSet<String> = app.mails().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(mails.len(), 5);
}

async fn a_stop_in_the_middle_of_a_job_loses_and_burns_nothing(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 10).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = slow_order_at_the_gateway(&app, &ada, &photo).await;
    let took = app.stop_gracefully().await;
    assert!(took <= Duration::from_secs(11), "it may take 10 s, it took {took:?}");
    app.start_again().await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["attempt"], 1, "{job}");
    assert_eq!(app.number("SELECT sum(lapses) FROM jobs").await, 0, "a release is no crash");
    fulfilled_once(&app, &ada, &placed).await;
}

async fn a_job_that_outlasts_the_stop_is_given_back(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 5).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = slow_order_at_the_gateway(&app, &ada, &photo).await;
    let took = app.stop_gracefully().await;
    assert!(took <= Duration::from_secs(7), "it may take 5 s, it took {took:?}");
    assert_eq!(
        app.number("SELECT count(*) FROM jobs WHERE state = 'running'").await,
        0,
        "finished or given back"
    );
    app.start_again().await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["attempt"], 1, "{job}");
    fulfilled_once(&app, &ada, &placed).await;
}

async fn waiting_clients_do_not_hold_up_a_stop(setup: Setup) {
    // The order never runs, so that its followers wait for ever.
    let mut app = setup.with("QUEUES", "images").leaving_work().start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    let mut events = ada.events(&placed.job, None).await;
    events.next().await.expect("the current state");
    let path = format!("/api/jobs/{}", placed.job);
    let poll = ada.request(Method::GET, &path).header("Prefer", "wait=30").send();
    let poll = tokio::spawn(poll);
    // The poll is on its way; whether it has arrived is not to be seen from here, and makes no difference.
    tokio::task::yield_now().await;
    let took = app.stop_gracefully().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(events.next().await, None, "the stream is closed, not broken");
    if let Ok(Ok(answer)) = poll.await.map(Result::ok).map(|answer| answer.ok_or(())) {
        assert!(answer.status().as_u16() == 200 || answer.status().as_u16() == 503, "{}", answer.status());
    }
}

/// A slow order whose job is at the gateway right now.
async fn slow_order_at_the_gateway(app: &App, visitor: &Visitor, photo: &str) -> Placed {
    let placed = visitor.order(&Order::of(photo, "canvas-60x80", 1).paid_by("tok_slow")).await;
    eventually("the order to be at the gateway", async || {
        (app.number("SELECT count(*) FROM payments").await == 1).then_some(())
    })
    .await;
    placed
}

/// One charge, one canvas, one mail (by its Message-ID).
async fn fulfilled_once(app: &App, visitor: &Visitor, placed: &Placed) {
    assert_eq!(visitor.read_order(&placed.order).await["status"], "confirmed");
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
    assert_eq!(app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await, 2);
    let mails: BTreeSet<String> = app.mails().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(mails.len(), 1, "{mails:?}");
}

on_both_set_ups!(
    an_order_whose_worker_is_killed_while_it_charges_is_charged_once,
    what_was_accepted_before_a_crash_is_finished_after_it,
    an_order_survives_a_crash_at_any_of_its_states,
    a_stop_in_the_middle_of_a_job_loses_and_burns_nothing,
    a_job_that_outlasts_the_stop_is_given_back,
    waiting_clients_do_not_hold_up_a_stop,
);
