//! What happens at set times, seen from outside.

use serde_json::{Value, json};

use crate::harness::{App, Order, Setup, Visitor, eventually, on_both_set_ups};

async fn what_was_ordered_together_is_shown_after_the_nightly_count(setup: Setup) {
    let app = setup.with("SCHEDULE", "on").workers(2).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let both =
        Order::of(&photo, "print-10x15", 1).and(&photo, "print-20x30", 2).and(&photo, "print-20x30", 1);
    assert_eq!(ada.order_and_wait(&both).await["status"], "confirmed");
    ada.order_and_wait(&Order::of(&photo, "print-13x18", 1)).await;
    assert_eq!(also_bought(&ada, "print-10x15").await, json!([]));
    app.make_due("also-bought").await;
    eventually("the list to be counted", async || {
        (also_bought(&ada, "print-10x15").await == json!(["print-20x30"])).then_some(())
    })
    .await;
    // Each product is counted in a transaction of its own.
    app.idle().await;
    assert_eq!(also_bought(&ada, "print-20x30").await, json!(["print-10x15"]));
    assert_eq!(also_bought(&ada, "print-13x18").await, json!([]));
    let form = ada.get("/orders/new").await.expect(200).text();
    assert!(form.contains("Often ordered with Print 10 × 15 cm: Print 20 × 30 cm"), "{form}");
    assert_eq!(runs(&app, "also_bought").await, 1, "one job, however many workers");
}

async fn a_day_after_its_confirmation_an_order_asks_for_a_review(setup: Setup) {
    let app = setup.with("REVIEW_HOURS", 24).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    assert_eq!(ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await["status"], "confirmed");
    let refused = Order::of(&photo, "print-10x15", 1).paid_by("tok_declined").mail_to("bob@example.org");
    assert_eq!(ada.order_and_wait(&refused).await["status"], "rejected");
    assert!(app.mail_to("ada@example.org").await.subject.contains("on their way"));
    app.mail_to("bob@example.org").await;
    let tomorrow = format!(
        "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND state = 'pending' AND ordering_key IS NULL
         AND run_at > {} AND run_at < {}",
        app.ago(-23 * 3600),
        app.ago(-25 * 3600)
    );
    assert_eq!(app.number(&tomorrow).await, 1, "one waits for tomorrow, and in no line");
    let past = app.ago(1);
    let tomorrow_comes = format!("run_at = {past}, due_at = {past}");
    app.execute(&format!("UPDATE jobs SET {tomorrow_comes} WHERE kind = 'send_email' AND state = 'pending'"))
        .await;
    let review = eventually("the review request", async || {
        app.mails().into_iter().find(|mail| mail.subject.contains("how are your prints?"))
    })
    .await;
    assert_eq!(review.to, ["ada@example.org"]);
    app.nobody().get(&review.order_link()).await.expect(200);
    app.idle().await;
    assert_eq!(app.mails().len(), 3);
    let in_line = "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND ordering_key IS NOT NULL";
    assert_eq!(app.number(in_line).await, 2, "the others stand in their orders' lines");
}

async fn also_bought(visitor: &Visitor, product: &str) -> Value {
    let catalogue = visitor.get("/api/products").await.expect(200).json();
    let products = catalogue["products"].as_array().unwrap();
    products.iter().find(|other| other["id"] == product).unwrap()["also_bought"].clone()
}

async fn runs(app: &App, kind: &str) -> i64 {
    app.number(&format!("SELECT count(*) FROM jobs WHERE kind = '{kind}'")).await
}

on_both_set_ups!(
    what_was_ordered_together_is_shown_after_the_nightly_count,
    a_day_after_its_confirmation_an_order_asks_for_a_review,
);
