//! The prints of an order: rendered side by side as parts of its job, thrown away when it is undone.

use serde_json::{Value, json};

use crate::harness::{App, Order, Placed, Setup, Visitor, eventually, on_both_set_ups, pictures};

/// There are this many of the limited canvas.
const CANVASES: i64 = 3;

async fn each_line_is_rendered_in_the_shape_of_its_product(setup: Setup) {
    let app = setup.workers(2).start().await;
    let ada = app.visitor().await;
    let lying = ada.upload(pictures::jpeg(1_600, 1_200)).await;
    let standing = ada.upload(pictures::jpeg(600, 900)).await;
    let order = Order::of(&lying.photo, "print-10x15", 3).and(&standing.photo, "print-13x18", 1).and(
        &lying.photo,
        "canvas-60x80",
        1,
    );
    let placed = ada.order(&order).await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!((&job["status"], &job["progress"]["percent"]), (&json!("succeeded"), &json!(100)), "{job}");
    assert_eq!(job["attempt"], 1, "waiting burns no attempt: {job}");
    let order = ada.read_order(&placed.order).await;
    let events: Vec<&str> =
        order["timeline"].as_array().unwrap().iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert!(events.ends_with(&["paid", "rendering", "confirmed"]), "{events:?}");
    assert_eq!(order["progress"]["percent"], 100, "{order}");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'render_print'").await, 3, "one a line");
    let sizes: Vec<(u32, u32)> = prints(&app).iter().map(|file| pictures::dimensions(file)).collect();
    assert_eq!(sizes, [(1_772, 1_181), (1_535, 2_126), (4_724, 3_543)]);
    ada.delete(&format!("/api/photos/{}", lying.photo)).await.expect(204);
    assert_eq!(prints(&app).len(), 3, "prints of an order that is over outlive their photos");
}

async fn the_progress_of_an_order_grows_with_its_prints(setup: Setup) {
    let (mut app, ada, placed) = order_that_waits_for_its_prints(setup).await;
    let job = ada.read_job(&placed.job).await;
    assert_eq!(
        (&job["progress"]["percent"], &job["progress"]["step"]),
        (&json!(60), &json!("rendering prints")),
        "{job}"
    );
    let order = ada.read_order(&placed.order).await;
    assert_eq!(order["progress"], job["progress"], "{order}");
    ada.delete(&format!("/api/photos/{}", order["lines"][0]["photo_id"].as_str().unwrap()))
        .await
        .problem(409);
    app.stop_gracefully().await;
    app.set("QUEUES", "images=1,orders,mail");
    app.start_again().await;
    let mut seen = vec![60];
    let path = format!("/api/jobs/{}", placed.job);
    let job = eventually("the order to be over", async || {
        let job = ada.get(&path).await.expect(200).json();
        let percent = job["progress"]["percent"].as_u64().unwrap();
        if seen.last() != Some(&percent) {
            seen.push(percent);
        }
        (job["status"] == "succeeded").then_some(job)
    })
    .await;
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().any(|percent| (61..80).contains(percent)), "a share for each print: {seen:?}");
    assert_eq!(job["attempt"], 1, "{job}");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'render_print'").await, 3, "no second set");
}

async fn an_order_that_waits_for_its_prints_can_be_cancelled(setup: Setup) {
    let (app, ada, placed) = order_that_waits_for_its_prints(setup).await;
    assert_eq!(canvases(&ada).await, CANVASES - 1);
    let asked = ada.post(&format!("/api/orders/{}/cancel", placed.order)).await.expect(202).json();
    assert_eq!(asked["job"]["id"], placed.job.as_str(), "{asked}");
    cancelled_and_undone(&app, &ada, &placed).await;
    let children = "SELECT count(*) FROM jobs WHERE kind = 'render_print' AND state = 'cancelled'";
    assert_eq!(app.number(children).await, 3);
}

async fn an_order_is_cancelled_while_it_is_at_the_gateway(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1).paid_by("tok_slow")).await;
    eventually("the order to be at the gateway", async || {
        (app.number("SELECT count(*) FROM payments").await == 1).then_some(())
    })
    .await;
    ada.post(&format!("/api/orders/{}/cancel", placed.order)).await.expect(202);
    cancelled_and_undone(&app, &ada, &placed).await;
}

/// A visitor who has no JavaScript presses the button on the page.
async fn the_button_on_the_page_cancels_an_order_and_says_no_when_it_is_too_late(setup: Setup) {
    let (app, ada, placed) = order_that_waits_for_its_prints(setup).await;
    let path = format!("/orders/{}", placed.order);
    let page = ada.get(&path).await.expect(200).text();
    assert!(page.contains(&format!("action=\"{path}/cancel\"")), "{page}");
    assert!(page.contains("60 %") && page.contains("rendering prints"), "{page}");
    let sent = ada.post(&format!("{path}/cancel")).await.expect(303);
    assert_eq!(sent.header("location"), path);
    cancelled_and_undone(&app, &ada, &placed).await;
    let page = ada.post(&format!("{path}/cancel")).await.expect(409).text();
    assert!(page.contains("cancelled"), "{page}");
}

async fn a_print_that_cannot_be_made_rejects_its_order(setup: Setup) {
    let (mut app, ada, placed) = order_that_waits_for_its_prints(setup).await;
    for original in app.blob_files().iter().filter(|file| file.ends_with("original")) {
        std::fs::remove_file(original).unwrap();
    }
    app.stop_gracefully().await;
    app.set("QUEUES", "images,orders,mail");
    app.start_again().await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(
        (&job["status"], &job["result"]["reason"]),
        (&json!("succeeded"), &json!("photo_rejected")),
        "{job}"
    );
    assert_eq!(ada.read_order(&placed.order).await["status"], "rejected");
    undone(&app, &ada).await;
}

/// A technical failure is no answer of the business: nothing is undone, the order is held for a person.
async fn a_print_whose_job_failed_for_good_holds_its_order(setup: Setup) {
    let (mut app, ada, placed) = order_that_waits_for_its_prints(setup).await;
    app.stop_gracefully().await;
    // As if its worker had died again and again: it ran in a process that is not there any more.
    app.execute(
        "UPDATE jobs SET state = 'running', fence = fence + 1, attempt = max_attempts, lapses = max_attempts, \
         started_at = created_at, due_at = created_at, parked = NULL \
         WHERE id = (SELECT id FROM jobs WHERE kind = 'render_print' ORDER BY id LIMIT 1)",
    )
    .await;
    // Its lease lapsed too often: whoever redrives it needs a worker for the quarantine.
    app.set("QUEUES", "images,orders,mail,quarantine");
    app.start_again().await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!((&job["status"], &job["failure"]), (&json!("failed"), &json!("exhausted")), "{job}");
    assert!(job["error"]["detail"].as_str().unwrap().contains("the print's job"), "{job}");
    let order = ada.read_order(&placed.order).await;
    assert_eq!(order["status"], "rendering", "{order}");
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
    assert_eq!(canvases(&ada).await, CANVASES - 1);
    app.idle().await;
    assert_eq!(prints(&app).len(), 2, "the others were made and are kept");

    // Whoever redrives the order redrives what it needs.
    let said = app.says(&["dead", "redrive", &placed.job]).await;
    assert_eq!(said, "1 redriven, with 1 that they need, 0 left as they are");
    let order = ada.wait_for_status(&format!("/api/orders/{}", placed.order), "confirmed").await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
    assert_eq!((canvases(&ada).await, prints(&app).len()), (CANVASES - 1, 3));
    app.idle().await;
}

/// An order of three lines, paid, whose prints nobody renders: images are not worked on any more.
async fn order_that_waits_for_its_prints(setup: Setup) -> (App, Visitor, Placed) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.stop_gracefully().await;
    app.set("QUEUES", "orders,mail");
    app.start_again().await;
    let order =
        Order::of(&photo, "canvas-60x80", 1).and(&photo, "print-10x15", 2).and(&photo, "print-13x18", 1);
    let placed = ada.order(&order).await;
    ada.wait_for_status(&format!("/api/orders/{}", placed.order), "rendering").await;
    ada.wait_for_status(&format!("/api/jobs/{}", placed.job), "waiting").await;
    (app, ada, placed)
}

async fn cancelled_and_undone(app: &App, ada: &Visitor, placed: &Placed) {
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "cancelled", "{job}");
    assert_eq!(ada.read_order(&placed.order).await["status"], "cancelled");
    undone(app, ada).await;
    let mail = app.mail_to("ada@example.org").await;
    assert!(mail.text.contains("cancelled"), "{}", mail.text);
    ada.post(&format!("/api/orders/{}/cancel", placed.order)).await.problem(409);
}

/// Money and canvases are back, and nothing is rendered any more or left of it.
async fn undone(app: &App, ada: &Visitor) {
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'refunded'").await, 1);
    assert_eq!(canvases(ada).await, CANVASES);
    app.idle().await;
    assert_eq!(prints(app).len(), 0);
}

async fn canvases(visitor: &Visitor) -> i64 {
    let products: Value = visitor.get("/api/products").await.expect(200).json();
    let products = products["products"].as_array().unwrap();
    products.iter().find(|product| product["id"] == "canvas-60x80").unwrap()["stock"].as_i64().unwrap()
}

/// The files of the prints, in the order of their lines.
fn prints(app: &App) -> Vec<Vec<u8>> {
    let mut files = app.blob_files();
    files.retain(|file| file.components().any(|part| part.as_os_str() == "prints"));
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

on_both_set_ups!(
    each_line_is_rendered_in_the_shape_of_its_product,
    the_progress_of_an_order_grows_with_its_prints,
    an_order_that_waits_for_its_prints_can_be_cancelled,
    an_order_is_cancelled_while_it_is_at_the_gateway,
    the_button_on_the_page_cancels_an_order_and_says_no_when_it_is_too_late,
    a_print_that_cannot_be_made_rejects_its_order,
    a_print_whose_job_failed_for_good_holds_its_order,
);
