//! A payment gateway that speaks HTTP, played by the test.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::harness::{Order, Setup, on_both_set_ups};

async fn a_charge_carries_the_orders_key_and_amount(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"})))
        .expect(1)
        .mount(&gateway)
        .await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-20x30", 3)).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    let id = order["id"].as_str().unwrap();
    let asked = asked(&gateway, "/charges").await;
    assert_eq!(asked[0].headers["idempotency-key"], format!("charge-{id}"));
    let body: serde_json::Value = asked[0].body_json().unwrap();
    assert_eq!(body, json!({"order_id": id, "amount_cents": 1170, "token": "tok_ok"}));
    assert_eq!(app.number("SELECT count(*) FROM payments").await, 0, "the sandbox is not asked");
}

async fn a_gateway_that_declines_is_told_to_forget_the_order(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(402)).mount(&gateway).await;
    refunds().mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "canvas-60x80", 1)).await;
    assert_eq!((&order["status"], &order["reason"]), (&json!("rejected"), &json!("declined")), "{order}");
    let id = order["id"].as_str().unwrap();
    let voided = asked(&gateway, "/refunds").await;
    assert!(!voided.is_empty(), "a charge may have happened before a crash: undo asks for its refund");
    assert!(
        voided.iter().all(|request| request.headers["idempotency-key"] == format!("refund-{id}").as_str())
    );
    assert_eq!(app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await, 3);
}

async fn a_gateway_that_is_away_is_asked_again_under_the_same_key(setup: Setup) {
    let gateway = MockServer::start().await;
    let away = ResponseTemplate::new(503).insert_header("Retry-After", "1");
    charges(away).up_to_n_times(2).mount(&gateway).await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}))).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    let job = ada.read_job(order["job_id"].as_str().unwrap()).await;
    assert_eq!(job["attempt"], 1, "an outage burns no attempt: {job}");
    let asked = asked(&gateway, "/charges").await;
    assert_eq!(asked.len(), 3);
    assert!(
        asked.iter().all(|request| request.headers["idempotency-key"] == asked[0].headers["idempotency-key"])
    );
}

async fn an_answer_that_nobody_understands_is_tried_again(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(200)).up_to_n_times(1).mount(&gateway).await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}))).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    assert_eq!(asked(&gateway, "/charges").await.len(), 2);
}

fn charges(answer: ResponseTemplate) -> Mock {
    Mock::given(method("POST")).and(path("/charges")).respond_with(answer)
}

fn refunds() -> Mock {
    Mock::given(method("POST")).and(path("/refunds")).respond_with(ResponseTemplate::new(200))
}

async fn asked(gateway: &MockServer, path: &str) -> Vec<Request> {
    let requests = gateway.received_requests().await.unwrap();
    requests.into_iter().filter(|request| request.url.path() == path).collect()
}

on_both_set_ups!(
    a_charge_carries_the_orders_key_and_amount,
    a_gateway_that_declines_is_told_to_forget_the_order,
    a_gateway_that_is_away_is_asked_again_under_the_same_key,
    an_answer_that_nobody_understands_is_tried_again,
);
