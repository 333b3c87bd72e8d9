//! More work than can be done at once: who comes first, who is told to come later, what an outage may slow down.

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{App, Order, Placed, Setup, eventually, on_both_set_ups, pictures};

/// Requests under way at a time when many are made.
const AT_A_TIME: usize = 8;

async fn an_express_order_overtakes_a_thousand_ordinary_ones(setup: Setup) {
    let setup = setup.leaving_work().with("QUEUES", "images");
    let mut app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let ordinary = Order::of(&photo, "print-10x15", 1);
    many(1000, async |_| ada.order(&ordinary).await).await;
    let express = ada.order(&ordinary.express()).await;
    work_on(&mut app, "orders=1,images=1").await;
    assert_eq!(ada.wait_for(&express.job).await["result"]["order_status"], "confirmed");
    let before = ended_before(&app, "fulfil_order", &express.job).await;
    assert!(before <= 10, "{before} ordinary orders were done before the express one");
    assert_eq!(ada.read_order(&express.order).await["express"], true);
}

async fn a_thousand_uploads_of_one_customer_do_not_delay_anothers_first(setup: Setup) {
    let setup = setup.leaving_work().with("QUEUES", "orders");
    let mut app = setup.start().await;
    let (ada, bob) = (app.visitor().await, app.visitor().await);
    let picture = pictures::small_jpeg();
    many(1000, async |_| ada.upload(picture.clone()).await).await;
    let first = bob.upload(picture).await;
    work_on(&mut app, "images=1").await;
    assert_eq!(bob.wait_for(&first.job).await["status"], "succeeded");
    let before = ended_before(&app, "make_thumbnails", &first.job).await;
    assert!(before <= 60, "{before} of the other customer's pictures were made before");
}

async fn who_has_much_unfinished_is_told_when_to_come_back_and_others_are_not(setup: Setup) {
    let setup = setup.with("QUEUES", "orders").with("MAX_UNFINISHED_PER_CUSTOMER", 3);
    let mut app = setup.start().await;
    let (ada, bob) = (app.visitor().await, app.visitor().await);
    let uploads = many(3, async |_| ada.upload(pictures::small_jpeg()).await).await;
    let refused = ada.post_photo(pictures::small_jpeg()).await;
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.problem(429)["type"], "urn:problem:too-many-unfinished");
    let order = ada.post_order(&Order::of(&uploads[0].photo, "print-10x15", 1).json(), Some("key")).await;
    assert_eq!(order.problem(429)["type"], "urn:problem:too-many-unfinished");
    bob.upload(pictures::small_jpeg()).await;
    work_on(&mut app, "*").await;
    for upload in &uploads {
        assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded", "what was accepted is done");
    }
    let later = ada.post_order(&Order::of(&uploads[0].photo, "print-10x15", 1).json(), Some("key")).await;
    later.expect(202);
}

async fn when_there_is_too_much_in_all_everybody_is_told_to_come_later(setup: Setup) {
    let mut app = setup.with("QUEUES", "orders").with("MAX_UNFINISHED", 4).start().await;
    let (ada, bob) = (app.visitor().await, app.visitor().await);
    let uploads = many(4, async |_| ada.upload(pictures::small_jpeg()).await).await;
    let refused = eventually("the other customer to be refused", async || {
        let answer = bob.post_photo(pictures::small_jpeg()).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.problem(503)["type"], "urn:problem:overloaded");
    work_on(&mut app, "*").await;
    for upload in &uploads {
        assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded");
    }
    eventually("room for the other customer", async || {
        (bob.post_photo(pictures::small_jpeg()).await.status == 202).then_some(())
    })
    .await;
}

/// The bulkhead and the breaker: orders that can't be charged wait, and nothing else does.
async fn a_gateway_that_is_away_slows_nothing_else_and_burns_no_attempts(setup: Setup) {
    let gateway = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(503)).mount(&gateway).await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed: Vec<Placed> = many(30, async |number| {
        let order = Order::of(&photo, "print-10x15", 1).mail_to(&format!("ada{number}@example.org"));
        ada.order(&order).await
    })
    .await;
    eventually("the breaker to open", async || {
        let metrics = app.worker_client(0).get("/metrics").await.expect(200).text();
        metrics.contains("breaker_open{dependency=\"payments\"} 1").then_some(())
    })
    .await;
    let asked = gateway.received_requests().await.unwrap().len();
    // Other work goes on at its usual pace: each of these is done while no order can be.
    for _ in 0..5 {
        ada.ready_photo().await;
    }
    let probes = gateway.received_requests().await.unwrap().len() - asked;
    assert!(probes <= 10, "{probes} requests to a gateway that is known to be away");
    for order in &placed {
        let job = ada.read_job(&order.job).await;
        assert!(job["attempt"].as_i64().unwrap() <= 1, "no attempt is burnt: {job}");
        assert_ne!(job["status"], "failed", "{job}");
    }
    gateway.reset().await;
    let charged = ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1"}));
    Mock::given(any()).respond_with(charged).mount(&gateway).await;
    for order in &placed {
        assert_eq!(ada.wait_for(&order.job).await["result"]["order_status"], "confirmed");
    }
}

/// Does the same many times, some at a time.
async fn many<T>(count: usize, action: impl AsyncFn(usize) -> T) -> Vec<T> {
    let action = &action;
    stream::iter(0..count)
        .map(async |number| action(number).await)
        .buffer_unordered(AT_A_TIME)
        .collect()
        .await
}

/// Lets the programs begin to work on these queues.
async fn work_on(app: &mut App, queues: &str) {
    app.kill_workers();
    app.set("QUEUES", queues);
    app.start_again().await;
}

/// How many jobs of this kind had succeeded when this one did.
async fn ended_before(app: &App, kind: &str, job: &str) -> i64 {
    let ended = format!(
        "SELECT count(*) FROM jobs WHERE kind = '{kind}' AND state = 'succeeded' \
         AND updated_at < (SELECT updated_at FROM jobs WHERE id = '{job}')"
    );
    app.number(&ended).await
}

on_both_set_ups!(
    an_express_order_overtakes_a_thousand_ordinary_ones,
    a_thousand_uploads_of_one_customer_do_not_delay_anothers_first,
    who_has_much_unfinished_is_told_when_to_come_back_and_others_are_not,
    when_there_is_too_much_in_all_everybody_is_told_to_come_later,
    a_gateway_that_is_away_slows_nothing_else_and_burns_no_attempts,
);
