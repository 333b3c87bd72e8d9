//! Callbacks: a receiver of the customer's own, played by the test.

use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::harness::{App, Order, Placed, Setup, Visitor, on_both_set_ups};

/// What the receivers of others do: the code of the example.
#[path = "../examples/verify_webhook/verify.rs"]
mod verify;

async fn each_change_is_told_in_order_and_signed(setup: Setup) {
    let receiver = answering(ResponseTemplate::new(204)).await;
    let app = setup.with("CALLBACKS", "any").start().await;
    let (ada, secret) = visitor(&app).await;
    let placed = order(&ada, &receiver, "every_change").await;
    let job = ada.wait_for(&placed.job).await;
    app.idle().await;

    let messages = receiver.received_requests().await.unwrap();
    let statuses: Vec<String> = messages.iter().map(status).collect();
    assert_eq!(statuses.first().map(String::as_str), Some("running"), "{statuses:?}");
    assert_eq!(statuses.last().map(String::as_str), Some("succeeded"), "{statuses:?}");
    assert!(statuses.windows(2).all(|pair| pair[0] != pair[1]), "the same is not told twice: {statuses:?}");
    let last: Value = messages.last().unwrap().body_json().unwrap();
    assert_eq!(last["type"], "job.status_changed");
    assert_eq!(last["data"], job, "what is told is the job as its status resource shows it");
    let mut ids: Vec<&str> = messages.iter().map(|message| header(message, "webhook-id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), messages.len(), "each message has an id of its own");
    for message in &messages {
        assert!(is_genuine(&secret, message), "{message:?}");
        let mut forged = message.clone();
        forged.body.push(b' ');
        assert!(!is_genuine(&secret, &forged));
    }
    let again = ada.get("/api/webhook-secret").await.expect(200).json();
    assert_eq!(again["webhook_secret"], secret.as_str());
    let (_, of_another) = visitor(&app).await;
    assert!(!is_genuine(&of_another, &messages[0]), "everybody has a secret of their own");
}

async fn unless_asked_for_more_only_the_end_is_told(setup: Setup) {
    let receiver = answering(ResponseTemplate::new(200)).await;
    let app = setup.with("CALLBACKS", "any").start().await;
    let (ada, _) = visitor(&app).await;
    let placed = order(&ada, &receiver, "end").await;
    ada.wait_for(&placed.job).await;
    app.idle().await;
    let messages = receiver.received_requests().await.unwrap();
    assert_eq!(messages.iter().map(status).collect::<Vec<_>>(), ["succeeded"]);
}

async fn a_receiver_that_is_not_ready_is_told_again_under_the_same_id_and_the_log_says_so(setup: Setup) {
    let receiver = MockServer::start().await;
    let busy = ResponseTemplate::new(503).insert_header("Retry-After", "1");
    Mock::given(method("POST")).respond_with(busy).up_to_n_times(1).mount(&receiver).await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&receiver).await;
    let app = setup.with("CALLBACKS", "any").start().await;
    let (ada, _) = visitor(&app).await;
    let placed = order(&ada, &receiver, "end").await;
    ada.wait_for(&placed.job).await;
    app.idle().await;

    let messages = receiver.received_requests().await.unwrap();
    assert_eq!(messages.len(), 2);
    assert_eq!(header(&messages[0], "webhook-id"), header(&messages[1], "webhook-id"));
    assert_eq!(messages[0].body, messages[1].body);

    let path = format!("/api/jobs/{}/deliveries", placed.job);
    let log = ada.get(&path).await.expect(200).json();
    assert_eq!(log["callback"]["on"], "end", "{log}");
    let calls = log["deliveries"].as_array().unwrap();
    let seen: Vec<_> = calls.iter().map(|call| (&call["told"], &call["status"], &call["attempt"])).collect();
    let expected =
        [(&json!("succeeded"), &json!(200), &json!(2)), (&json!("succeeded"), &json!(503), &json!(1))];
    assert_eq!(seen, expected, "the newest first: {log}");
    assert_eq!(calls[0]["id"], header(&messages[0], "webhook-id"));
    let page = ada.get_with(&format!("/orders/{}", placed.order), "Accept", "text/html").await.expect(200);
    assert!(page.text().contains("answered 503"), "{}", page.text());

    let (eve, _) = visitor(&app).await;
    eve.get(&path).await.problem(404);
    app.nobody().get(&path).await.problem(401);
}

async fn a_receiver_that_says_gone_is_told_no_more(setup: Setup) {
    let receiver = answering(ResponseTemplate::new(410)).await;
    let app = setup.with("CALLBACKS", "any").start().await;
    let (ada, _) = visitor(&app).await;
    let placed = order(&ada, &receiver, "every_change").await;
    ada.wait_for(&placed.job).await;
    app.idle().await;
    assert_eq!(receiver.received_requests().await.unwrap().len(), 1);
    let log = ada.get(&format!("/api/jobs/{}/deliveries", placed.job)).await.expect(200).json();
    assert!(log["callback"]["stopped_at"].is_string(), "{log}");
}

/// As it is when nobody sets anything.
async fn addresses_that_are_not_public_are_refused_with_the_order(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    for url in [
        "http://shop.example/hooks",
        "https://ada:secret@shop.example/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://192.168.0.1:8443/",
        "https://shop.example:25/",
        "file:///etc/passwd",
        "not a url",
    ] {
        let mut body = Order::of(&photo, "print-10x15", 1).json();
        body["callback_url"] = json!(url);
        let wrong = ada.post_order(&body, Some(url)).await.wrong_fields();
        assert_eq!(wrong, ["callback_url"], "{url}");
    }
}

/// The address shows only when the name is resolved: the order is taken, and nothing is sent.
async fn a_name_that_leads_inside_is_not_called(setup: Setup) {
    let receiver = answering(ResponseTemplate::new(200)).await;
    let app = setup.leaving_work().start().await;
    let (ada, _) = visitor(&app).await;
    let photo = ada.ready_photo().await;
    let mut body = Order::of(&photo, "print-10x15", 1).json();
    body["callback_url"] = json!(format!("https://localhost:{}/", receiver.address().port()));
    let accepted = ada.post_order(&body, Some("one")).await.expect(202).json();
    let job = accepted["job"]["id"].as_str().unwrap().to_owned();
    ada.wait_for(&job).await;
    let path = format!("/api/jobs/{job}/deliveries");
    let error = crate::harness::eventually("a delivery", async || {
        ada.get(&path).await.expect(200).json()["deliveries"][0]["error"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(error, "its host leads to an address that is not public");
    assert!(receiver.received_requests().await.unwrap().is_empty());
}

/// A receiver that gives every message this answer.
async fn answering(answer: ResponseTemplate) -> MockServer {
    let receiver = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&receiver).await;
    receiver
}

/// A customer, and the secret that came with the token.
async fn visitor(app: &App) -> (Visitor, String) {
    let body = app.nobody().post("/api/tokens").await.expect(201).json();
    let visitor = app.nobody().with_token(body["token"].as_str().unwrap());
    (visitor, body["webhook_secret"].as_str().unwrap().to_owned())
}

/// Places an order that is told to this receiver.
async fn order(visitor: &Visitor, receiver: &MockServer, on: &str) -> Placed {
    let photo = visitor.ready_photo().await;
    let mut body = Order::of(&photo, "print-10x15", 1).json();
    body["callback_url"] = json!(receiver.uri());
    body["callback_on"] = json!(on);
    let accepted = visitor.post_order(&body, Some("the order")).await.expect(202).json();
    let text = |of: &str| accepted[of]["id"].as_str().unwrap().to_owned();
    Placed { order: text("order"), job: text("job") }
}

fn status(message: &Request) -> String {
    message.body_json::<Value>().unwrap()["data"]["status"].as_str().unwrap().to_owned()
}

fn header<'a>(message: &'a Request, name: &str) -> &'a str {
    message.headers[name].to_str().unwrap()
}

fn is_genuine(secret: &str, message: &Request) -> bool {
    let [id, timestamp, signatures] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| header(message, name));
    let now = chrono::Utc::now().timestamp();
    assert!(!verify::is_from_the_shop(secret, id, timestamp, signatures, &message.body, now + 3600), "old");
    verify::is_from_the_shop(secret, id, timestamp, signatures, &message.body, now)
}

on_both_set_ups!(
    each_change_is_told_in_order_and_signed,
    unless_asked_for_more_only_the_end_is_told,
    a_receiver_that_is_not_ready_is_told_again_under_the_same_id_and_the_log_says_so,
    a_receiver_that_says_gone_is_told_no_more,
    addresses_that_are_not_public_are_refused_with_the_order,
    a_name_that_leads_inside_is_not_called,
);
