//! The consistency check: silent while all is well, however busy the shop; and it names each damage.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{App, Order, Setup, Visitor, on_both_set_ups};
use crate::triggers::{SECRET, machine_tokens};

async fn a_busy_shop_gives_no_false_alarm(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).workers(2).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let mut jobs = Vec::new();
    for round in 0..4 {
        let cards = ["tok_ok", "tok_declined", "tok_flaky"];
        for card in cards {
            let order = Order::of(&photo, "print-10x15", 1).and(&photo, "canvas-60x80", 1).paid_by(card);
            let placed = ada.order(&order.mail_to(&format!("{card}-{round}@example.org"))).await;
            if round == 1 {
                ada.post(&format!("/api/orders/{}/cancel", placed.order)).await;
            }
            jobs.push(placed.job);
        }
        ada.upload(crate::harness::pictures::small_jpeg()).await;
        assert_eq!(check(&app).await["findings"], json!([]), "round {round}");
    }
    for job in jobs {
        ada.wait_for(&job).await;
    }
    app.idle().await;
    let result = check(&app).await;
    assert_eq!((&result["found"], &result["findings"]), (&json!(0), &json!([])), "{result}");
    assert_eq!(
        (&result["checked"]["orders"], &result["checked"]["photos"]),
        (&json!(12), &json!(5)),
        "{result}"
    );
}

async fn each_damage_is_named_and_nothing_is_changed(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).leaving_work().start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let other = ada.ready_photo().await;
    let confirmed = order(&ada, &photo, "tok_ok").await;
    let unprinted = order(&ada, &photo, "tok_ok").await;
    let unmoved = order(&ada, &photo, "tok_ok").await;
    let half_way = order(&ada, &photo, "tok_ok").await;
    let declined = order(&ada, &photo, "tok_declined").await;
    app.idle().await;
    for damage in [
        "UPDATE products SET stock = stock - 2 WHERE id = 'canvas-60x80'".to_owned(),
        format!("UPDATE payments SET state = 'refunded' WHERE order_id = '{confirmed}'"),
        format!("UPDATE payments SET state = 'charged' WHERE order_id = '{declined}'"),
        format!("UPDATE stock_moves SET quantity = quantity + 1 WHERE order_id = '{unmoved}'"),
        "UPDATE products SET stock = stock - 1 WHERE id = 'print-10x15'".to_owned(),
        format!("UPDATE orders SET status = 'paid' WHERE id = '{half_way}'"),
        format!("UPDATE photos SET status = 'processing' WHERE id = '{other}'"),
        format!(
            "UPDATE jobs SET state = 'waiting', waiting_since = updated_at \
             WHERE kind = 'send_email' AND ordering_key = 'mail:{confirmed}'"
        ),
        format!("UPDATE jobs SET state = 'pending' WHERE {}", job_of(&unmoved)),
        format!("UPDATE jobs SET unique_open = 'a key' WHERE {}", job_of(&unprinted)),
    ] {
        app.execute(&damage).await;
    }
    // SQLite would not take it.
    let nobodys = uuid::Uuid::now_v7().to_string();
    if app.is_production() {
        let events = format!("UPDATE order_events SET order_id = '{nobodys}' WHERE order_id = '{declined}'");
        app.execute(&events).await;
    }
    let lost = |file: &&std::path::PathBuf| {
        let path = file.to_string_lossy();
        path.ends_with(&format!("{photo}/thumb")) || path.ends_with(&format!("orders/{unprinted}/prints/0"))
    };
    let files = app.blob_files();
    let lost: Vec<_> = files.iter().filter(lost).collect();
    assert_eq!(lost.len(), 2, "{files:?}");
    for file in lost {
        std::fs::remove_file(file).unwrap();
    }
    let mut expected: BTreeSet<(String, String)> = [
        ("stock", "canvas-60x80".to_owned()),
        ("ledger", confirmed.clone()),
        ("ledger", declined),
        ("stock_moves", unmoved),
        ("order_jobs", half_way),
        ("photo_jobs", other),
        ("blobs", format!("photos/{photo}/thumb")),
        ("prints", format!("orders/{unprinted}/prints/0")),
    ]
    .map(|(check, subject)| (check.to_owned(), subject))
    .into();
    if app.is_production() {
        expected.insert(("references".to_owned(), nobodys));
    }
    for _ in 0..2 {
        let result = check(&app).await;
        let mut found = findings(&result);
        let of_jobs = ["waits", "due", "over"];
        let jobs = of_jobs.map(|name| found.iter().filter(|(check, _)| check == name).count());
        found.retain(|(check, _)| !of_jobs.contains(&check.as_str()));
        assert_eq!((found, jobs), (expected.clone(), [1, 1, 1]), "{result:#}");
    }
    assert!(app.logs().contains("what must agree does not"), "and the log says so");
    assert!(metric(&app).await >= 22.0, "and a metric");
}

/// The job that fulfils an order, as a condition.
fn job_of(order: &str) -> String {
    format!("id = (SELECT job_id FROM orders WHERE id = '{order}')")
}

async fn order(visitor: &Visitor, photo: &str, card: &str) -> String {
    let order = visitor.order_and_wait(&Order::of(photo, "print-10x15", 2).paid_by(card)).await;
    order["id"].as_str().unwrap().to_owned()
}

/// Runs the check and gives its result.
async fn check(app: &App) -> Value {
    let nightly = app.nobody().with_token(SECRET);
    let request = nightly.request(Method::POST, "/api/tasks/consistency_check").json(&json!({}));
    let job = nightly.send(request).await.expect(202).json()["job"]["id"].as_str().unwrap().to_owned();
    let job = nightly.wait_for(&job).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    job["result"].clone()
}

fn findings(result: &Value) -> BTreeSet<(String, String)> {
    let findings = result["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    findings.map(|finding| (text(&finding["check"]), text(&finding["subject"]))).collect()
}

async fn metric(app: &App) -> f64 {
    app.metric(0, "consistency_findings_total").await
}

on_both_set_ups!(a_busy_shop_gives_no_false_alarm, each_damage_is_named_and_nothing_is_changed,);
