//! What the business says yes and no to, and that a no leaves everything as it was.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{App, Order, Setup, Visitor, eventually, on_both_set_ups, pictures};

/// There are this many of the limited canvas.
const CANVASES: i64 = 3;

async fn a_declined_card_gives_the_stock_back_and_the_mail_says_so(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = Order::of(&photo, "canvas-60x80", 2).and(&photo, "print-10x15", 5).paid_by("tok_declined");
    let placed = ada.order(&order).await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "succeeded", "a no of the business is no failure of ours: {job}");
    assert_eq!(
        (&job["result"]["order_status"], &job["result"]["reason"]),
        (&json!("rejected"), &json!("declined"))
    );
    assert_rejected(&ada.read_order(&placed.order).await, "declined");
    assert_eq!(canvases(&ada).await, CANVASES);
    let mail = app.mail_to("ada@example.org").await;
    assert!(mail.text.contains("declined"), "{}", mail.text);
    assert_eq!(charged(&app).await, 0);
}

async fn what_is_not_in_stock_is_not_sold(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let too_many =
        Order::of(&photo, "print-10x15", 5).and(&photo, "canvas-60x80", 2).and(&photo, "canvas-60x80", 2);
    assert_rejected(&ada.order_and_wait(&too_many).await, "out_of_stock");
    assert_eq!(canvases(&ada).await, CANVASES, "lines of one product count together, and none is kept");
    let mail = app.mail_to("ada@example.org").await;
    assert!(mail.text.contains("stock"), "{}", mail.text);
    assert_eq!(
        app.number("SELECT count(*) FROM payments WHERE state <> 'voided'").await,
        0,
        "nothing was charged"
    );
}

async fn a_photo_that_turns_out_to_be_none_rejects_its_order(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let good = ada.ready_photo().await;
    let bad = ada.upload(pictures::truncated_png()).await;
    let order = Order::of(&good, "print-10x15", 1).and(&bad.photo, "print-10x15", 1);
    assert_rejected(&ada.order_and_wait(&order).await, "photo_rejected");
    assert_eq!(charged(&app).await, 0);
    app.mail_to("ada@example.org").await;
}

async fn an_order_waits_for_its_photos(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::jpeg(4000, 3000)).await;
    let second = ada.upload(pictures::jpeg_of_colour(9, 9, 9)).await;
    let order = Order::of(&upload.photo, "print-10x15", 1).and(&second.photo, "print-10x15", 1);
    let order = ada.order_and_wait(&order).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    assert_eq!(ada.read_photo(&upload.photo).await["status"], "ready");
    let job = ada.read_job(order["job_id"].as_str().unwrap()).await;
    assert_eq!(job["attempt"], 1, "waiting burns no attempt: {job}");
}

async fn a_gateway_that_is_away_for_a_moment_burns_no_attempt(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1).paid_by("tok_flaky")).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    assert_eq!(app.number("SELECT asked FROM payments").await, 3, "unavailable twice, then charged");
    assert_eq!(charged(&app).await, 1);
    let job = ada.read_job(order["job_id"].as_str().unwrap()).await;
    assert_eq!(job["attempt"], 1, "{job}");
}

async fn the_last_ones_are_sold_once_however_many_ask_at_a_time(setup: Setup) {
    let app = setup.workers(2).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let orders: Vec<Order> = (0..8)
        .map(|number| Order::of(&photo, "canvas-60x80", 1).mail_to(&format!("ada{number}@example.org")))
        .collect();
    let orders = join_all(orders.iter().map(|order| ada.order_and_wait(order))).await;
    let confirmed = orders.iter().filter(|order| order["status"] == "confirmed").count();
    let refused = orders.iter().filter(|order| order["reason"] == "out_of_stock").count();
    assert_eq!((confirmed, refused), (3, 5), "{orders:?}");
    assert_eq!(canvases(&ada).await, 0);
    assert_eq!(charged(&app).await, 3);
    app.idle().await;
    assert_eq!(app.mails().len(), 8);
}

async fn an_order_that_never_ran_is_cancelled_at_once(setup: Setup) {
    // Nobody works on orders here.
    let app = setup.with("QUEUES", "images,mail").start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1)).await;
    let cancelled = ada.post(&format!("/api/orders/{}/cancel", placed.order)).await;
    assert!(matches!(cancelled.status, 200 | 202), "{}", cancelled.text());
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "cancelled", "{job}");
    assert_eq!(ada.read_order(&placed.order).await["status"], "cancelled");
    assert_eq!(canvases(&ada).await, CANVASES);

    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1)).await;
    let path = format!("/api/jobs/{}", placed.job);
    let first = ada.delete(&path).await;
    assert!(matches!(first.status, 200 | 202), "{}", first.text());
    ada.delete(&path).await.expect(200);
    assert_eq!(
        ada.read_order(&placed.order).await["status"],
        "cancelled",
        "the job is cancelled with its order"
    );
}

async fn an_order_that_waits_for_its_photos_can_be_cancelled(setup: Setup) {
    // Nobody works on pictures here.
    let app = setup.with("QUEUES", "orders,mail").leaving_work().start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::small_jpeg()).await;
    let placed = ada.order(&Order::of(&upload.photo, "canvas-60x80", 1)).await;
    let path = format!("/api/orders/{}", placed.order);
    ada.wait_for_status(&path, "awaiting_photos").await;
    ada.wait_for_status(&format!("/api/jobs/{}", placed.job), "waiting").await;
    ada.post(&format!("{path}/cancel")).await.expect(202);
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "cancelled", "{job}");
    assert_eq!(ada.read_order(&placed.order).await["status"], "cancelled");
    app.mail_to("ada@example.org").await;
}

async fn what_is_over_cannot_be_cancelled(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    ada.wait_for(&placed.job).await;
    ada.post(&format!("/api/orders/{}/cancel", placed.order)).await.problem(409);
    ada.delete(&format!("/api/jobs/{}", placed.job)).await.problem(409);
    assert_eq!(ada.read_order(&placed.order).await["status"], "confirmed");
}

async fn one_recipient_gets_ten_mails_a_minute(setup: Setup) {
    let app = setup.leaving_work().start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    for _ in 0..14 {
        ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    }
    eventually("every order to be confirmed", async || {
        (app.number("SELECT count(*) FROM orders WHERE status = 'confirmed'").await == 14).then_some(())
    })
    .await;
    // A mail that waits is pending with a date in the future, after it was claimed once.
    let busy = "SELECT count(*) FROM jobs WHERE kind = 'send_email'
                AND (state IN ('queued', 'running') OR (state = 'pending' AND started_at IS NULL))";
    eventually("the mails to be sent or put off", async || (app.number(busy).await == 0).then_some(())).await;
    assert_eq!(app.mails().len(), 10);
    let later = "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND state = 'pending'";
    assert_eq!(app.number(later).await, 4, "the others wait");
}

async fn canvases(visitor: &Visitor) -> i64 {
    let products = visitor.get("/api/products").await.expect(200).json();
    let products = products["products"].as_array().unwrap();
    products.iter().find(|product| product["id"] == "canvas-60x80").unwrap()["stock"].as_i64().unwrap()
}

async fn charged(app: &App) -> i64 {
    app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await
}

#[track_caller]
fn assert_rejected(order: &Value, reason: &str) {
    assert_eq!((&order["status"], &order["reason"]), (&json!("rejected"), &json!(reason)), "{order}");
}

on_both_set_ups!(
    a_declined_card_gives_the_stock_back_and_the_mail_says_so,
    what_is_not_in_stock_is_not_sold,
    a_photo_that_turns_out_to_be_none_rejects_its_order,
    an_order_waits_for_its_photos,
    a_gateway_that_is_away_for_a_moment_burns_no_attempt,
    the_last_ones_are_sold_once_however_many_ask_at_a_time,
    an_order_that_never_ran_is_cancelled_at_once,
    an_order_that_waits_for_its_photos_can_be_cancelled,
    what_is_over_cannot_be_cancelled,
    one_recipient_gets_ten_mails_a_minute,
);
