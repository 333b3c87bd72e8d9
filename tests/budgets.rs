//! What an operation may cost the database. The server's answers are counted by the programs themselves.

use crate::harness::{App, Order, Placed, Setup, Visitor, on_production};

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
/// again. One that was not kept would be parsed at least once an order, however many there were before.
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

on_production!(what_each_order_asks_is_parsed_once_a_connection);
