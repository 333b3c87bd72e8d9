//! A bad night, as an operator has it: jobs die, a gateway goes away, a queue must be stopped.

use std::net::TcpListener;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::harness::{
    App, Operator, Order, Placed, Setup, Visitor, eventually, on_both_set_ups, on_production, pictures,
};
use crate::triggers::{SECRET, machine_tokens, start};

/// How many orders die in the test of it.
const MANY: usize = 50;

async fn fifty_dead_orders_are_found_tried_out_and_redriven_and_each_is_charged_once(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(400)).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let operator = Operator::new(&app, "grace", false).await;
    let placed = doomed_orders(&app).await;
    eventually("all of them to be dead", async || {
        (app.number("SELECT count(*) FROM jobs WHERE failure = 'exhausted'").await == MANY as i64)
            .then_some(())
    })
    .await;

    let letters = operator.read("/api/admin/dead").await;
    assert_eq!(letters["groups"].as_array().unwrap().len(), 1, "they died alike: {letters}");
    let group = &letters["groups"][0];
    assert_eq!((&group["kind"], &group["jobs"]), (&json!("fulfil_order"), &json!(MANY)));
    let reason = group["reason"].as_str().unwrap();
    assert!(app.says(&["dead", "list"]).await.contains(&format!("50 fulfil_order exhausted: {reason}")));
    let page = operator.page("/admin/dead").await.expect(200).text();
    assert!(page.contains("/admin/dead/jobs?failure=exhausted&#38;kind=fulfil%5Forder"), "{page}");

    let filter = json!({"filter": {"reason": reason}, "dry_run": true});
    let tried = operator.post("/api/admin/dead/redrive", &filter).await.expect(200).json();
    assert_eq!((&tried["done"], &tried["refused"]), (&json!(MANY), &json!([])));
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE failure = 'exhausted'").await, MANY as i64);

    gateway.reset().await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}))).mount(&gateway).await;
    let form = [("reason", reason), ("of", "all"), ("do", "redrive"), ("rate", "100")];
    let report = operator.send("/admin/dead/decide", &form).await.expect(200).text();
    assert!(report.contains("50 jobs redriven, 0 jobs left as they are."), "{report}");
    // The second click.
    let report = operator.send("/admin/dead/decide", &form).await.expect(200).text();
    assert!(report.contains("0 jobs redriven, 0 jobs left as they are."), "{report}");

    for (visitor, order) in &placed {
        visitor.wait_for(&order.job).await;
        assert_eq!(visitor.read_order(&order.order).await["status"], "confirmed");
    }
    let mut keys: Vec<String> = asked(&gateway).await.iter().map(key).collect();
    keys.sort();
    let mut expected: Vec<String> =
        placed.iter().map(|(_, order)| format!("charge-{}", order.order)).collect();
    expected.sort();
    assert_eq!(keys, expected, "each order is charged once");
    let audit = operator.read("/api/admin/audit").await;
    let done: Vec<(&Value, &Value, &Value)> = audit["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["action"] == "dead.redrive")
        .map(|entry| (&entry["operator"], &entry["via"], &entry["done"]))
        .collect();
    assert_eq!(
        done,
        [(&json!("grace"), &json!("page"), &json!(0)), (&json!("grace"), &json!("page"), &json!(MANY))]
    );
    app.idle().await;
}

/// Orders of which each is given up after one try.
async fn doomed_orders(app: &App) -> Vec<(Visitor, Placed)> {
    assert_eq!(app.says(&["queues", "pause", "orders"]).await, "orders: paused");
    let mut placed = Vec::new();
    for _ in 0..2 {
        let ada = app.visitor().await;
        let photo = ada.ready_photo().await;
        for _ in 0..MANY / 2 {
            // More mails than that go to nobody in a minute.
            let recipient = format!("customer-{}@example.org", placed.len());
            let order = ada.order(&Order::of(&photo, "print-10x15", 1).mail_to(&recipient)).await;
            placed.push((ada.clone(), order));
        }
    }
    app.execute("UPDATE jobs SET max_attempts = 1 WHERE kind = 'fulfil_order'").await;
    assert_eq!(app.says(&["queues", "resume", "orders"]).await, "orders: resumed");
    placed
}

async fn dead_jobs_are_discarded_and_what_they_did_is_undone(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(400)).mount(&gateway).await;
    Mock::given(method("POST"))
        .and(path("/refunds"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&gateway)
        .await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.says(&["queues", "pause", "orders"]).await;
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 2)).await;
    app.execute("UPDATE jobs SET max_attempts = 1 WHERE kind = 'fulfil_order'").await;
    app.says(&["queues", "resume", "orders"]).await;
    assert_eq!(ada.wait_for(&placed.job).await["failure"], "exhausted");
    let stock = async || app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await;
    assert_eq!(stock().await, 1, "its effects are held");

    let tried = app.says(&["dead", "discard", "--all", "--dry-run"]).await;
    assert_eq!(tried, "1 would be discarded, 0 left as they are");
    assert_eq!(app.says(&["dead", "discard", &placed.job]).await, "1 discarded, 0 left as they are");
    let order = ada.wait_for_status(&format!("/api/orders/{}", placed.order), "cancelled").await;
    assert_eq!(order["status"], "cancelled");
    assert_eq!(stock().await, 3);
    let again = app.command(&["dead", "redrive", &placed.job]).await;
    assert!(!again.status.success());
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains(&format!("{}: it is ", placed.job)), "{said}");
    assert!(said.contains("0 redriven, 1 left as they are"), "{said}");
    let nothing = app.command(&["dead", "redrive"]).await;
    assert!(!nothing.status.success(), "nothing is done to all by mistake");
    app.idle().await;
}

async fn a_paused_queue_takes_nothing_under_load_and_loses_nothing(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let operator = Operator::new(&app, "grace", false).await;
    let nightly = app.nobody().with_token(SECRET);
    let ada = app.visitor().await;
    let mut jobs = Vec::new();
    for _ in 0..10 {
        jobs.push(ada.upload(pictures::small_jpeg()).await.job);
    }
    operator.press("/admin/queues/images/pause").await.expect(303);
    for _ in 0..10 {
        jobs.push(ada.upload(pictures::small_jpeg()).await.job);
    }
    let last = jobs.last().unwrap().clone();
    assert_eq!(ada.read_job(&last).await["status"], "scheduled", "it is not handed to the broker");
    eventually("what ran to be over", async || {
        let queues = operator.read("/api/admin/queues").await;
        let images =
            queues["items"].as_array().unwrap().iter().find(|queue| queue["name"] == "images")?.clone();
        (images["running"] == 0 && images["paused_since"].is_string()).then_some(())
    })
    .await;
    // Other queues go on, and meanwhile nothing of this one is begun.
    let over = "SELECT count(*) FROM jobs WHERE kind = 'make_thumbnails' AND state = 'succeeded'";
    let before = app.number(over).await;
    for _ in 0..3 {
        let task = start(&nightly, "also_bought", &json!({}), None).await.expect(202).json();
        nightly.wait_for(task["job"]["id"].as_str().unwrap()).await;
    }
    assert_eq!(app.number(over).await, before);
    assert!(before < 20);
    operator.press("/admin/queues/images/resume").await.expect(303);
    for job in &jobs {
        assert_eq!(ada.wait_for(job).await["status"], "succeeded");
    }
    assert!(operator.post("/api/admin/queues/nowhere/pause", &json!({})).await.status == 404);
}

async fn while_the_gateway_is_away_orders_pile_up_behind_a_breaker_and_drain_when_it_is_back(setup: Setup) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let app = setup.with("PAYMENT_URL", format!("http://{address}")).start().await;
    let operator = Operator::new(&app, "grace", true).await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let mut placed = Vec::new();
    for number in 0..12 {
        let recipient = format!("customer-{number}@example.org");
        placed.push(ada.order(&Order::of(&photo, "print-10x15", 1).mail_to(&recipient)).await);
    }
    eventually("the breaker to be open, and the pile to be seen", async || {
        let seen = operator.read("/api/admin/overview").await;
        let breaker =
            seen["breakers"].as_array()?.iter().find(|one| one["dependency"] == "payments")?.clone();
        let orders = seen["queues"].as_array()?.iter().find(|queue| queue["name"] == "orders")?.clone();
        let pile: i64 = ["due", "scheduled", "running"].iter().filter_map(|name| orders[name].as_i64()).sum();
        (breaker["state"] != "closed" && pile == 12).then_some(())
    })
    .await;
    assert!(operator.page("/admin").await.expect(200).text().contains("payments"));

    let listener = TcpListener::bind(address).unwrap();
    let gateway = MockServer::builder().listener(listener).start().await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}))).mount(&gateway).await;
    for order in &placed {
        let job = ada.wait_for(&order.job).await;
        assert_eq!((&job["status"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job}");
    }
    let mut keys: Vec<String> = asked(&gateway).await.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 12);
    eventually("the breaker to be closed", async || {
        let seen = operator.read("/api/admin/overview").await;
        let all = seen["breakers"].as_array()?.clone();
        all.iter().all(|breaker| breaker["state"] == "closed").then_some(())
    })
    .await;
}

async fn unreadable_messages_are_seen_by_reason_and_discarded(setup: Setup) {
    let app = setup.start().await;
    let operator = Operator::new(&app, "grace", false).await;
    for (number, error) in [(1, "not JSON"), (2, "no job"), (3, "no job")] {
        let bytes = if app.is_production() { "'\\x7b7d'::bytea" } else { "x'7b7d'" };
        let id = format!("0190d1f2-0000-7000-8000-00000000000{number}");
        let at = app.ago(number);
        app.execute(&format!(
            "INSERT INTO dead_messages (id, queue, body, error, at) VALUES ('{id}', 'images', {bytes}, '{error}', {at})"
        ))
        .await;
    }
    let letters = operator.read("/api/admin/dead").await;
    assert_eq!(
        (&letters["messages"][0]["reason"], &letters["messages"][0]["messages"]),
        (&json!("no job"), &json!(2))
    );
    let page = operator.read("/api/admin/dead/messages").await;
    assert_eq!((&page["items"][0]["beginning"], &page["next"]), (&json!("{}"), &json!(null)));
    assert!(operator.page("/admin/dead/messages").await.expect(200).text().contains("not JSON"));
    let form = [("queue", "images"), ("reason", "no job")];
    operator.send("/admin/dead/messages/discard", &form).await.expect(303);
    let body = json!({"queue": "images", "reason": "not JSON"});
    let removed = operator.post("/api/admin/dead/messages/discard", &body).await.expect(200).json();
    assert_eq!(removed, json!({"done": 1}));
    assert_eq!(operator.read("/api/admin/dead").await["messages"], json!([]));
}

async fn a_request_that_is_not_clear_is_refused_by_its_field(setup: Setup) {
    let app = setup.start().await;
    let operator = Operator::new(&app, "grace", false).await;
    for (body, field) in [
        (json!({}), "jobs"),
        (json!({"all": true, "filter": {"kind": "fulfil_order"}}), "jobs"),
        (json!({"filter": {"kind": "bake_bread"}}), "kind"),
        (json!({"filter": {"kindd": "fulfil_order"}}), "filter.kindd"),
        (json!({"jobs": ["7"]}), "jobs[0]"),
        (json!({"all": true, "per_second": 0}), "per_second"),
    ] {
        let refused = operator.post("/api/admin/dead/redrive", &body).await.expect(422).json();
        assert_eq!(refused["errors"][0]["field"], field, "{body}: {refused}");
    }
    let reader = Operator::new(&app, "guest", true).await;
    reader.post("/api/admin/dead/redrive", &json!({"all": true})).await.expect(403);
    reader.send("/admin/dead/decide", &[("of", "all"), ("do", "discard")]).await.expect(403);
}

/// Two workers, and never two of these at once.
async fn what_is_in_quarantine_runs_one_at_a_time(setup: Setup) {
    let app = setup.workers(2).start().await;
    app.says(&["queues", "pause", "images"]).await;
    let ada = app.visitor().await;
    let mut jobs = Vec::new();
    for _ in 0..8 {
        jobs.push(ada.upload(pictures::small_jpeg()).await.job);
    }
    app.execute("UPDATE jobs SET lapses = 2 WHERE state = 'pending'").await;
    app.says(&["queues", "resume", "images"]).await;
    let running = "SELECT count(*) FROM jobs WHERE state = 'running'";
    let over = "SELECT count(*) FROM jobs WHERE state = 'succeeded' AND kind = 'make_thumbnails'";
    let mut most = 0;
    eventually("all of them to be over", async || {
        most = most.max(app.number(running).await);
        (app.number(over).await == 8).then_some(())
    })
    .await;
    assert!(most <= 1, "{most} at once");
    let workers = "SELECT count(DISTINCT worker) FROM jobs WHERE kind = 'make_thumbnails'";
    let workers = app.number(workers).await;
    assert_eq!(workers, 1, "one worker has the queue, and the other waits");
}

fn charges(answer: ResponseTemplate) -> Mock {
    Mock::given(method("POST")).and(path("/charges")).respond_with(answer)
}

/// What was asked of the gateway, charges alone.
async fn asked(gateway: &MockServer) -> Vec<Request> {
    let requests = gateway.received_requests().await.unwrap();
    requests.into_iter().filter(|request| request.url.path() == "/charges").collect()
}

fn key(request: &Request) -> String {
    request.headers["idempotency-key"].to_str().unwrap().to_owned()
}

on_both_set_ups!(
    fifty_dead_orders_are_found_tried_out_and_redriven_and_each_is_charged_once,
    dead_jobs_are_discarded_and_what_they_did_is_undone,
    a_paused_queue_takes_nothing_under_load_and_loses_nothing,
    while_the_gateway_is_away_orders_pile_up_behind_a_breaker_and_drain_when_it_is_back,
    unreadable_messages_are_seen_by_reason_and_discarded,
    a_request_that_is_not_clear_is_refused_by_its_field,
);

mod workers {
    use super::on_production;

    use super::what_is_in_quarantine_runs_one_at_a_time;

    on_production!(what_is_in_quarantine_runs_one_at_a_time);
}
