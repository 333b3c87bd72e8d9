//! What operators see of it all: processes, queues, circuit breakers, and how the last day went.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{App, Browser, Order, Setup, Visitor, eventually, on_both_set_ups, on_production};

/// A program of an operator's.
async fn script(app: &App) -> Visitor {
    app.says(&["operator", "add", "grace", "--read-only"]).await;
    let token = app.says(&["operator", "token", "grace", "script"]).await;
    app.nobody().with_token(&token)
}

async fn overview(script: &Visitor) -> Value {
    script.get("/api/admin/overview").await.expect(200).json()
}

fn queue<'a>(overview: &'a Value, name: &str) -> &'a Value {
    overview["queues"].as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap()
}

/// The process that does the work, and is not silent.
fn at_work(overview: &Value) -> Option<&Value> {
    let works = |process: &&Value| process["program"] != "web" && process["silent_since"].is_null();
    overview["processes"].as_array().unwrap().iter().find(works)
}

async fn a_job_that_runs_is_seen_in_its_process_and_in_flight(setup: Setup) {
    let gateway = MockServer::start().await;
    // Longer than two signs of life are apart.
    let slow = ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}));
    charges(slow.set_delay(Duration::from_secs(12))).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let (script, ada) = (script(&app).await, app.visitor().await);
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    let (seen, run) = eventually("the run to be seen", async || {
        let seen = overview(&script).await;
        let facts = at_work(&seen)?["facts"].clone();
        let run = facts["runs"].as_array().unwrap().iter().find(|run| run["job"] == placed.job)?.clone();
        (queue(&seen, "orders")["running"] == 1).then_some((seen, run))
    })
    .await;
    assert_eq!((&run["kind"], &run["queue"]), (&json!("fulfil_order"), &json!("orders")));
    let process = at_work(&seen).unwrap();
    assert_eq!(process["program"], if app.is_production() { "worker" } else { "all-in-one" });
    assert_eq!((&process["facts"]["broker"], &process["facts"]["stopping"]), (&json!(true), &json!(false)));
    let orders = queue(&seen, "orders");
    assert_eq!((&orders["workers"], &orders["slots"]), (&json!(1), &json!(16)), "{orders}");
    let names: Vec<&Value> =
        seen["breakers"].as_array().unwrap().iter().map(|one| &one["dependency"]).collect();
    assert_eq!(names, ["blobs", "mail", "payments"]);
    let listed = script.get("/api/admin/processes").await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), if app.is_production() { 2 } else { 1 });
    ada.wait_for(&placed.job).await;
    let rates = eventually("its end to be counted", async || {
        let rates = queue(&overview(&script).await, "orders")["rates"].clone();
        (rates["done_per_minute"].as_f64() > Some(0.0)).then_some(rates)
    })
    .await;
    assert!(rates["longest_run_ms"].as_i64() >= Some(12_000), "{rates}");
    assert!(rates["mean_wait_ms"].as_i64() < Some(12_000), "{rates}");
}

async fn a_process_that_is_killed_turns_silent_and_one_that_ends_is_gone(setup: Setup) {
    let mut app = setup.start().await;
    let script = script(&app).await;
    let before = eventually("the first sign of life", async || {
        Some(at_work(&overview(&script).await)?["id"].as_str().unwrap().to_owned())
    })
    .await;
    app.kill_workers();
    app.start_again().await;
    eventually("the next one's sign of life", async || {
        let seen = overview(&script).await;
        let processes = seen["processes"].as_array().unwrap();
        let others = processes.iter().filter(|one| one["program"] != "web" && one["id"] != *before);
        (others.count() == 1).then_some(())
    })
    .await;
    // Nobody has to wait for the half minute.
    app.execute(&format!("UPDATE processes SET seen_at = {} WHERE id = '{before}'", app.ago(31))).await;
    let seen = eventually("the silence to be noticed", async || {
        let seen = overview(&script).await;
        (seen["totals"]["silent"] == 1).then_some(seen)
    })
    .await;
    let silent = seen["processes"].as_array().unwrap().iter().find(|one| one["id"] == *before).unwrap();
    assert_eq!(silent["silent_since"], silent["seen_at"]);
    assert_ne!(at_work(&seen).unwrap()["id"], *before);
    assert_eq!(queue(&seen, "images")["workers"], 1, "only the one that lives counts");
    let page = page(&app).await;
    assert!(page.contains("has been silent for") && page.contains(&format!("#process-{before}")), "{page}");
    app.stop_gracefully().await;
    assert_eq!(
        app.number("SELECT count(*) FROM processes WHERE stopped_at IS NULL").await,
        1,
        "those that ended said so"
    );
}

async fn a_breaker_that_opens_is_seen_until_it_closes(setup: Setup) {
    let gateway = MockServer::start().await;
    charges(ResponseTemplate::new(503)).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let (script, ada) = (script(&app).await, app.visitor().await);
    let photo = ada.ready_photo().await;
    let mut orders = Vec::new();
    for _ in 0..6 {
        orders.push(ada.order(&Order::of(&photo, "print-10x15", 1)).await);
    }
    let breaker = |seen: &Value| {
        let breakers = seen["breakers"].as_array().unwrap();
        breakers.iter().find(|one| one["dependency"] == "payments").cloned()
    };
    let open = eventually("the breaker to be open", async || {
        breaker(&overview(&script).await).filter(|one| one["state"] != "closed")
    })
    .await;
    assert_eq!((&open["not_closed"], &open["processes"]), (&json!(1), &json!(1)), "{open}");
    assert!(open["failures"].as_i64() >= Some(5), "{open}");
    assert!(page(&app).await.contains("payments has been unavailable for"));
    gateway.reset().await;
    charges(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}))).mount(&gateway).await;
    for placed in orders {
        assert_eq!(ada.wait_for(&placed.job).await["status"], "succeeded");
    }
    eventually("the breaker to be closed", async || {
        breaker(&overview(&script).await).filter(|one| one["state"] == "closed" && one["failures"] == 0)
    })
    .await;
}

async fn figures_and_charts_survive_a_restart_of_all_programs(setup: Setup) {
    let mut app = setup.start().await;
    let (script, ada) = (script(&app).await, app.visitor().await);
    for _ in 0..3 {
        ada.ready_photo().await;
    }
    app.idle().await;
    // What was counted since the last sample is written at the stop.
    app.stop_gracefully().await;
    app.start_again().await;
    let history = script.get("/api/admin/history").await.expect(200).json();
    let images = history["items"].as_array().unwrap().iter().find(|one| one["queue"] == "images").unwrap();
    let points = images["points"].as_array().unwrap();
    assert_eq!(points.len(), 144);
    assert_eq!(points.iter().filter_map(|point| point["done"].as_i64()).sum::<i64>(), 3);
    assert!(queue(&overview(&script).await, "images")["rates"]["done_per_minute"].as_f64() > Some(0.0));
    let page = page(&app).await;
    assert!(page.contains("images, the last 24 h: 3 done, 0 failed"), "{page}");
    // Nobody has to wait for the next minute: the first look may have come before the broker could be asked.
    app.execute("UPDATE queue_samples SET due = NULL, broker = NULL").await;
    eventually("a look at how much there is", async || {
        let looked = "SELECT count(*) FROM queue_samples WHERE queue = 'images' AND due = 0 AND broker = 0";
        (app.number(looked).await > 0).then_some(())
    })
    .await;
}

async fn messages_are_seen_in_the_broker_while_nobody_works_on_their_queue(setup: Setup) {
    let app = setup.with("QUEUES", "images=1").leaving_work().start().await;
    let (script, ada) = (script(&app).await, app.visitor().await);
    let photo = ada.ready_photo().await;
    ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    ada.order(&Order::of(&photo, "print-10x15", 1).express()).await;
    let orders = eventually("both to be in the broker", async || {
        let orders = queue(&overview(&script).await, "orders").clone();
        (orders["in_broker"] == 2).then_some(orders)
    })
    .await;
    assert_eq!((&orders["due"], &orders["workers"], &orders["slots"]), (&json!(2), &json!(0), &json!(0)));
    assert!(!orders["oldest_seconds"].is_null(), "{orders}");
    assert!(page(&app).await.contains("orders has 2 jobs due and no worker."));
    // Nobody has to wait for the next minute.
    app.execute("UPDATE queue_samples SET due = NULL, broker = NULL").await;
    eventually("the sample", async || {
        let looked = "SELECT count(*) FROM queue_samples WHERE queue = 'orders' AND due = 2 AND broker = 2";
        (app.number(looked).await > 0).then_some(())
    })
    .await;
}

async fn nobody_sees_it_but_operators(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    for path in ["overview", "history", "processes"] {
        let path = format!("/api/admin/{path}");
        app.nobody().get(&path).await.problem(401);
        ada.get(&path).await.problem(401);
    }
    let sent_away = app.nobody().get("/admin").await.expect(303);
    assert!(sent_away.header("location").starts_with("/admin/login"));
}

/// A broker that is away leaves its own numbers out, and is named.
async fn without_the_broker_the_rest_is_seen(setup: Setup) {
    let app = setup.on_fault_servers().await.start().await;
    let script = script(&app).await;
    app.faults().rabbitmq("stop").await;
    let seen = eventually("the outage to be seen", async || {
        let seen = overview(&script).await;
        let told = at_work(&seen).is_some_and(|process| process["facts"]["broker"] == false);
        (seen["broker"] == false && told).then_some(seen)
    })
    .await;
    assert!(queue(&seen, "images")["in_broker"].is_null(), "{seen}");
    assert_eq!(queue(&seen, "images")["due"], 0);
    assert!(page(&app).await.contains("The broker is away"));
    app.faults().rabbitmq("start").await;
    eventually("the broker's numbers", async || {
        (queue(&overview(&script).await, "images")["in_broker"] == 0).then_some(())
    })
    .await;
}

/// The page, as an operator who logs in sees it.
async fn page(app: &App) -> String {
    let name = format!("eve-{}", uuid::Uuid::new_v4().simple());
    let said = app.says(&["operator", "add", &name]).await;
    let password = said.rsplit(' ').next().unwrap();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let login = format!("{}/admin/login", app.base());
    let body = format!("name={name}&password={password}");
    let form = client.post(login).header("Content-Type", "application/x-www-form-urlencoded").body(body);
    let answer = form.send().await.unwrap();
    assert_eq!(answer.status(), 303, "the login");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    app.nobody().get_with("/admin", "Cookie", &cookie).await.expect(200).text()
}

/// The operator opens the page once, and it tells by itself what changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn the_page_brings_itself_up_to_date() {
    let app = Setup::embedded().start().await;
    let said = app.says(&["operator", "add", "grace"]).await;
    let browser = Browser::start(true).await;
    browser.page.goto(&format!("{}/admin", app.base())).await.unwrap();
    browser.fill("#name", "grace").await;
    browser.fill("#password", said.rsplit(' ').next().unwrap()).await;
    browser.click(".login .button").await;
    browser.see("#live[data-words='Everything is well.']").await;
    // It would not survive a reload.
    browser.page.execute("window.opened = 'once'", vec![]).await.unwrap();
    let pause = app.command(&["queues", "pause", "images"]).await;
    assert!(pause.status.success(), "{}", String::from_utf8_lossy(&pause.stderr));
    browser.see("#live[data-words='images is paused, 0 due.'] .alert a[href='/admin/queues']").await;
    let read_out = browser.see("#live-status").await.prop("textContent").await.unwrap();
    assert_eq!(read_out.as_deref(), Some("images is paused, 0 due."));
    let resume = app.command(&["queues", "resume", "images"]).await;
    assert!(resume.status.success());
    browser.see("#live[data-words='Everything is well.']").await;
    assert_eq!(browser.page.execute("return window.opened", vec![]).await.unwrap(), "once");
    browser.close().await;
}

fn charges(answer: ResponseTemplate) -> Mock {
    Mock::given(method("POST")).and(path("/charges")).respond_with(answer)
}

on_both_set_ups!(
    a_job_that_runs_is_seen_in_its_process_and_in_flight,
    a_process_that_is_killed_turns_silent_and_one_that_ends_is_gone,
    a_breaker_that_opens_is_seen_until_it_closes,
    figures_and_charts_survive_a_restart_of_all_programs,
    messages_are_seen_in_the_broker_while_nobody_works_on_their_queue,
    nobody_sees_it_but_operators,
);

mod separate {
    use super::*;
    on_production!(without_the_broker_the_rest_is_seen);
}
