//! One trace id leads from a request through the logs of all programs.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{App, Order, Setup, eventually, on_both_set_ups};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// An order whose first charge fails, so that its job is tried twice, and whose mail is a job of its own.
async fn a_trace_goes_from_the_request_through_a_retry_to_the_mail(setup: Setup) {
    let gateway = MockServer::start().await;
    let charges = || Mock::given(path("/charges"));
    charges().respond_with(ResponseTemplate::new(400)).up_to_n_times(1).mount(&gateway).await;
    let charged = ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}));
    charges().respond_with(charged).mount(&gateway).await;
    let app = setup.with("LOG_FORMAT", "json").with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;

    let order = ada
        .request(Method::POST, "/api/orders")
        .header("Idempotency-Key", "traced")
        .header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01"))
        .json(&Order::of(&photo, "print-10x15", 1).json());
    let accepted = ada.send(order).await.expect(202).json();
    let job = ada.wait_for(accepted["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job}");
    app.idle().await;

    let (web, worker) = if app.is_production() { ("web", "worker-1") } else { ("all-in-one", "all-in-one") };
    let request = spans(&app, web, "request");
    assert!(
        request.iter().any(|span| span["method"] == "POST" && span["path"] == "/api/orders"),
        "the request's own line in the log of {web}: {request:?}"
    );
    let expected: BTreeSet<_> =
        [("fulfil_order", 1), ("fulfil_order", 2), ("render_print", 1), ("send_email", 1)].into();
    eventually("the runs' lines in the log of the worker", async || {
        let runs = spans(&app, worker, "job");
        let runs: BTreeSet<_> = runs
            .iter()
            .filter_map(|span| Some((span["kind"].as_str()?, span["attempt"].as_i64()?)))
            .collect();
        (runs == expected).then_some(())
    })
    .await;
}

/// The spans of that name and of the trace in which a program logged something.
fn spans(app: &App, program: &str, name: &str) -> Vec<Value> {
    let log = app.log_of(program);
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let spans = lines.map(|line| line["span"].clone());
    spans.filter(|span| span["name"] == name && span["trace_id"] == TRACE).collect()
}

on_both_set_ups!(a_trace_goes_from_the_request_through_a_retry_to_the_mail);
