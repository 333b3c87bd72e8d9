//! What an operation may cost the database. The server's answers are counted by the programs themselves.

use std::time::{Duration, Instant};

use reqwest::Method;
use uuid::Uuid;

use crate::harness::{App, Order, Placed, Setup, Visitor, on_production, pictures};

/// Orders that are measured, one after the other.
const ORDERS: u32 = 10;

/// By then every connection has seen every statement.
const ROUNDS: u32 = 10;

/// What the server did for a program since its start.
#[derive(Debug, Clone, Copy)]
struct Work {
    statements: f64,
    trips: f64,
    parsed: f64,
}

impl Work {
    async fn of_web(app: &App) -> Self {
        Self {
            statements: app.metric_of_web("database_statements_total").await,
            trips: app.metric_of_web("database_round_trips_total").await,
            parsed: app.metric_of_web("database_statements_parsed_total").await,
        }
    }

    async fn of_worker(app: &App) -> Self {
        Self {
            statements: app.metric(0, "database_statements_total").await,
            trips: app.metric(0, "database_round_trips_total").await,
            parsed: app.metric(0, "database_statements_parsed_total").await,
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            statements: self.statements - before.statements,
            trips: self.trips - before.trips,
            parsed: self.parsed - before.parsed,
        }
    }

    /// For each of the orders that were measured.
    fn each(self) -> Self {
        let each = |sum: f64| sum / f64::from(ORDERS);
        Self { statements: each(self.statements), trips: each(self.trips), parsed: each(self.parsed) }
    }
}

/// A statement that is used for each order is parsed when a connection uses it for the first time, and then never
/// again. One that was not kept would be parsed at least once an order, however many there were before. And of
/// statements and round trips there are few.
async fn what_each_order_asks_is_parsed_once_a_connection(setup: Setup) {
    // The mails of so many orders wait for their minute.
    let app = setup.leaving_work().with("DATABASE_CONNECTIONS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = Order::of(&photo, "print-10x15", 1);
    for round in 1.. {
        let before = (Work::of_web(&app).await, Work::of_worker(&app).await);
        confirmed(&ada, &order, ORDERS).await;
        let web = Work::of_web(&app).await.since(before.0).each();
        let worker = Work::of_worker(&app).await.since(before.1).each();
        println!("an order in web: {web:?}, in the worker: {worker:?}");
        assert!(web.statements > 5.0 && worker.statements > 20.0, "{web:?}, {worker:?}");
        if web.parsed < 0.5 && worker.parsed < 0.5 {
            // BEGIN with its time limits, and COMMIT, are statements here, too.
            assert!(worker.statements <= 105.0 && worker.trips <= 60.0, "{worker:?}");
            return;
        }
        assert!(round < ROUNDS, "an order in web: {web:?}, in the worker: {worker:?}");
    }
}

async fn confirmed(visitor: &Visitor, order: &Order, orders: u32) {
    for _ in 0..orders {
        let Placed { job, .. } = visitor.order(order).await;
        assert_eq!(visitor.wait_for(&job).await["result"]["order_status"], "confirmed");
    }
}

/// Requests that are measured, one after the other.
const REQUESTS: u32 = 20;

/// What web does beside them counts, too: its relay looks, it counts for its limits, and the figures themselves are
/// asked for.
const BESIDE: f64 = 0.5;

async fn a_request_is_answered_in_few_round_trips(setup: Setup) {
    let app = setup.leaving_work().with("DATABASE_CONNECTIONS", 1).with("QUEUES", "images").start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = Order::of(&photo, "print-10x15", 1);
    let mut job = String::new();
    for measured in [false, true] {
        let before = Work::of_web(&app).await;
        for _ in 0..REQUESTS {
            job = ada.order(&order).await.job;
        }
        let trips = Work::of_web(&app).await.since(before).trips / f64::from(REQUESTS);
        println!("an order: {trips}");
        assert!(!measured || trips <= 3.0 + BESIDE, "an order takes {trips} round trips");
    }
    let path = format!("/api/jobs/{job}");
    let etag = ada.get(&path).await.expect(200).header("etag").to_owned();
    for (measured, known) in [(false, false), (false, true), (true, false), (true, true)] {
        let before = Work::of_web(&app).await;
        for _ in 0..REQUESTS {
            let (has, status) = if known { (etag.as_str(), 304) } else { ("W/\"other\"", 200) };
            ada.get_with(&path, "If-None-Match", has).await.expect(status);
        }
        let trips = Work::of_web(&app).await.since(before).trips / f64::from(REQUESTS);
        println!("a poll that finds {}: {trips}", if known { "nothing new" } else { "news" });
        assert!(!measured || trips <= 1.0 + BESIDE, "a poll takes {trips} round trips");
    }
}

/// Who sends a key has it claimed, which is a trip more.
async fn an_upload_is_accepted_in_few_round_trips(setup: Setup) {
    let app = setup.leaving_work().with("DATABASE_CONNECTIONS", 1).with("QUEUES", "orders").start().await;
    let picture = pictures::small_jpeg();
    for (measured, keyed, most) in
        [(false, false, 2.0), (false, true, 3.0), (true, false, 2.0), (true, true, 3.0)]
    {
        // Of one customer only a share goes out at once. What is above it wakes the relay, which looks.
        let ada = app.visitor().await;
        let before = Work::of_web(&app).await;
        for _ in 0..REQUESTS {
            let upload = ada.request(Method::POST, "/api/photos").header("Content-Type", "image/jpeg");
            let upload = match keyed {
                true => upload.header("Idempotency-Key", Uuid::new_v4().to_string()),
                false => upload,
            };
            ada.send(upload.body(picture.clone())).await.expect(202);
        }
        let trips = Work::of_web(&app).await.since(before).trips / f64::from(REQUESTS);
        println!("an upload {}: {trips}", if keyed { "with a key" } else { "without a key" });
        assert!(!measured || trips <= most + BESIDE, "an upload takes {trips} round trips");
    }
}

/// For how long a web and a worker are watched that have nothing to do.
const IDLE: Duration = Duration::from_secs(60);

async fn who_has_nothing_to_do_hardly_asks(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    ada.ready_photo().await;
    let (began, before) = (Instant::now(), statements(&app).await);
    // A rate needs a time.
    tokio::time::sleep(IDLE).await;
    let a_second = (statements(&app).await - before) / began.elapsed().as_secs_f64();
    println!("idle: {a_second} statements a second");
    assert!(a_second <= 4.0, "{a_second} statements a second");
}

async fn statements(app: &App) -> f64 {
    Work::of_web(app).await.statements + Work::of_worker(app).await.statements
}

on_production!(
    what_each_order_asks_is_parsed_once_a_connection,
    a_request_is_answered_in_few_round_trips,
    an_upload_is_accepted_in_few_round_trips,
    who_has_nothing_to_do_hardly_asks,
);
