//! How a client follows a job, and who may.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Order, Setup, eventually, on_both_set_ups, pictures};

async fn nobody_sees_what_is_someone_elses(setup: Setup) {
    let app = setup.start().await;
    let (ada, eve) = (app.visitor().await, app.visitor().await);
    let upload = ada.upload(pictures::small_jpeg()).await;
    ada.wait_for(&upload.job).await;
    let placed = ada.order(&Order::of(&upload.photo, "print-10x15", 1)).await;
    ada.wait_for(&placed.job).await;
    let paths = [
        format!("/api/photos/{}", upload.photo),
        format!("/photos/{}/thumb", upload.photo),
        format!("/photos/{}/original", upload.photo),
        format!("/photos/{}", upload.photo),
        format!("/api/orders/{}", placed.order),
        format!("/orders/{}", placed.order),
        format!("/api/jobs/{}", upload.job),
        format!("/api/jobs/{}/events", placed.job),
    ];
    for path in &paths {
        assert_eq!(ada.get(path).await.status, 200, "{path} is hers");
        assert_eq!(eve.get(path).await.status, 404, "{path} is not Eve's");
        let status = app.nobody().get(path).await.status;
        assert!(matches!(status, 401 | 404), "{path} is nobody's: {status}");
    }
    eve.delete(&format!("/api/photos/{}", upload.photo)).await.problem(404);
    eve.delete(&format!("/api/jobs/{}", placed.job)).await.problem(404);
    eve.post(&format!("/api/orders/{}/cancel", placed.order)).await.problem(404);
    for list in ["photos", "orders"] {
        let listed = eve.get(&format!("/api/{list}")).await.expect(200).json();
        assert_eq!(listed[list], Value::Array(Vec::new()));
    }
}

async fn what_has_not_changed_is_not_sent_again(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::small_jpeg()).await;
    ada.wait_for(&upload.job).await;
    let job = format!("/api/jobs/{}", upload.job);
    let answer = ada.get(&job).await.expect(200);
    assert!(answer.header("etag").starts_with("W/\""), "{:?}", answer.headers);
    assert_eq!(answer.header("retry-after"), "", "a final job need not be asked again");
    let unchanged = ada.get_with(&job, "If-None-Match", answer.header("etag")).await.expect(304);
    assert!(unchanged.body.is_empty());
    ada.get_with(&job, "If-None-Match", "W/\"other\"").await.expect(200);

    let thumb = format!("/photos/{}/thumb", upload.photo);
    let answer = ada.get(&thumb).await.expect(200);
    assert!(answer.header("etag").starts_with('"'), "strong: {:?}", answer.headers);
    let unchanged = ada.get_with(&thumb, "If-None-Match", answer.header("etag")).await.expect(304);
    assert!(unchanged.body.is_empty());
    assert_eq!(unchanged.header("etag"), answer.header("etag"));
}

async fn waiting_returns_at_the_change_and_not_at_the_limit(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    let path = format!("/api/jobs/{}", placed.job);
    let begun = Instant::now();
    let running = ada.wait_for_status(&path, "running").await;
    assert!(running["attempt"].as_i64() >= Some(1), "{running}");
    let now = ada.get(&path).await.expect(200);
    assert!(!now.header("retry-after").is_empty(), "an unfinished job is to be asked again");
    let request = ada.request(Method::GET, &path).header("Prefer", "wait=30");
    let ended = ada.send(request.header("If-None-Match", now.header("etag"))).await.expect(200);
    assert!(ended.header("preference-applied").starts_with("wait="), "{:?}", ended.headers);
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "it did not wait for its limit: {:?}",
        begun.elapsed()
    );
    assert_ne!(ended.header("etag"), now.header("etag"));
    let begun = Instant::now();
    ada.wait_for(&placed.job).await;
    assert!(ada.get_with(&path, "Prefer", "wait=30").await.expect(200).json()["status"] == "succeeded");
    assert!(begun.elapsed() < Duration::from_secs(20), "a final job is answered at once");
}

async fn waiting_ends_at_the_limit_when_nothing_changes(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    let path = format!("/api/jobs/{}", placed.job);
    ada.wait_for_status(&path, "running").await;
    let begun = Instant::now();
    let answer = ada.get_with(&path, "Prefer", "wait=1").await.expect(200);
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(answer.json()["status"], "running");
}

async fn events_come_in_order_and_go_on_where_a_client_left_off(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    let mut stream = ada.events(&placed.job, None).await;
    let first = stream.next().await.expect("the current state comes first");
    let rest = stream.rest().await;
    let all: Vec<_> = std::iter::once(&first).chain(&rest).collect();
    let versions: Vec<i64> = all.iter().map(|event| event.id.parse().unwrap()).collect();
    assert!(versions.is_sorted_by(|before, after| before < after), "{versions:?}");
    assert!(all.iter().all(|event| event.name == "status"), "{all:?}");
    let last: Value = serde_json::from_str(&all.last().unwrap().data).unwrap();
    assert_eq!(last["status"], "succeeded", "the stream closes after the final state: {all:?}");
    assert!(all.len() >= 2, "{all:?}");

    let resumed = ada.events(&placed.job, Some(&first.id)).await.rest().await;
    assert_eq!(resumed.last(), all.last().copied(), "a client that missed the end gets it");
    let path = format!("/api/jobs/{}/events", placed.job);
    let nothing_new = ada.get_with(&path, "Last-Event-ID", &all.last().unwrap().id).await;
    assert_eq!(nothing_new.status, 204, "which tells a browser not to come back");
}

/// With three connections to the database, a waiter that held one would lock everybody else out.
async fn two_hundred_waiting_clients_hold_no_connection(setup: Setup) {
    let app = setup.with("DATABASE_CONNECTIONS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    let path = format!("/api/jobs/{}", placed.job);
    let job = ada.wait_for_status(&path, "running").await;
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (ada, id, path) = (ada.clone(), placed.job.clone(), path.clone());
        waiting.spawn(async move {
            if number % 2 == 0 {
                ada.events(&id, None).await.rest().await.last().map(|event| event.data.clone())
            } else {
                Some(ada.get_with(&path, "Prefer", "wait=30").await.expect(200).text())
            }
        });
    }
    let bob = app.visitor().await;
    let mut asked = 0;
    eventually("the order to be over", async || {
        let begun = Instant::now();
        bob.get("/api/photos").await.expect(200);
        assert!(begun.elapsed() < Duration::from_secs(5), "asked beside 200 waiters: {:?}", begun.elapsed());
        asked += 1;
        (ada.read_job(&placed.job).await["status"] != job["status"]).then_some(())
    })
    .await;
    assert!(asked > 5, "the other customer was served meanwhile, {asked} times");
    while let Some(answer) = waiting.join_next().await {
        let last: Value = serde_json::from_str(&answer.unwrap().unwrap()).unwrap();
        assert_eq!(last["status"], "succeeded", "every waiter hears of the end");
    }
}

async fn health_and_metrics_are_served(setup: Setup) {
    let app = setup.start().await;
    app.visitor().await.ready_photo().await;
    for client in [app.nobody(), app.worker_client(0)] {
        for path in ["/livez", "/readyz"] {
            eventually(path, async || (client.get(path).await.status == 200).then_some(())).await;
        }
        let metrics = client.get("/metrics").await.expect(200);
        assert!(metrics.header("content-type").starts_with("text/plain"), "{:?}", metrics.headers);
    }
    let worker = app.worker_client(0).get("/metrics").await.text();
    assert!(worker.contains("make_thumbnails"), "jobs are counted by kind: {worker}");
    let web = app.nobody().get("/metrics").await.text();
    assert!(web.contains("http_request"), "requests are counted: {web}");
    let tasks = app.worker_client(0).get("/tasks").await.expect(200);
    assert!(tasks.header("content-type").starts_with("application/json"), "{}", tasks.text());
}

async fn the_api_describes_itself(setup: Setup) {
    let app = setup.start().await;
    let described = app.nobody().get("/openapi.json").await.expect(200).json();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1"), "{}", described["openapi"]);
    let paths = described["paths"].as_object().unwrap();
    for path in [
        "/api/tokens",
        "/api/photos",
        "/api/photos/{id}",
        "/api/orders",
        "/api/orders/{id}",
        "/api/jobs/{id}",
    ] {
        assert!(paths.contains_key(path), "{path} is missing: {:?}", paths.keys());
    }
    let products = app.visitor().await.get("/api/products").await.expect(200).json();
    let canvas =
        products["products"].as_array().unwrap().iter().find(|product| product["id"] == "canvas-60x80");
    assert_eq!((&canvas.unwrap()["stock"], &canvas.unwrap()["price_cents"]), (&3.into(), &5990.into()));
}

on_both_set_ups!(
    nobody_sees_what_is_someone_elses,
    what_has_not_changed_is_not_sent_again,
    waiting_returns_at_the_change_and_not_at_the_limit,
    waiting_ends_at_the_limit_when_nothing_changes,
    events_come_in_order_and_go_on_where_a_client_left_off,
    two_hundred_waiting_clients_hold_no_connection,
    health_and_metrics_are_served,
    the_api_describes_itself,
);
