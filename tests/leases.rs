//! Living workers stay alive, and dead ones harm nobody: leases of processes, seen from outside.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{App, Order, Placed, Setup, Visitor, eventually, on_production};

/// The shortest that there is.
const LEASE: u64 = 3;

/// So long a process is silent before it counts as lost, and a look more.
const LOST_AFTER: Duration = Duration::from_secs(LEASE * 4 / 3 + LEASE);

const LAPSES: &str = "SELECT coalesce(sum(lapses), 0) + (SELECT count(*) FROM processes WHERE lost_at IS NOT NULL) \
                      FROM jobs";

/// What a person with a console does to everybody: an UPDATE that is not committed.
async fn a_row_that_somebody_holds_costs_no_other_job_anything(setup: Setup) {
    let app = setup.with("LEASE_SECONDS", LEASE).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let console = app.console().await;
    console.batch_execute("BEGIN; UPDATE products SET stock = stock").await.unwrap();
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1)).await;
    eventually("the order to wait for the product", async || {
        (app.number("SELECT count(*) FROM jobs WHERE state = 'running'").await == 1).then_some(())
    })
    .await;
    let begun = Instant::now();
    while begun.elapsed() < LOST_AFTER {
        ada.ready_photo().await;
        assert_eq!(app.worker_client(0).get("/livez").await.status, 200);
    }
    assert_eq!(app.number(LAPSES).await, 0, "nobody's lease lapsed");
    console.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(ada.wait_for(&placed.job).await["status"], "succeeded");
    assert_eq!(app.number(LAPSES).await, 0);
}

/// One worker of two dies with all its slots in use: what it ran goes on beside everything else.
async fn after_a_crash_jobs_run_beside_each_other_and_nobody_elses_waits(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", LEASE).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let mut placed: Vec<Placed> = Vec::new();
    for _ in 0..6 {
        placed.push(ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await);
    }
    let running = "SELECT count(*) FROM jobs WHERE state = 'running' AND kind = 'fulfil_order'";
    eventually("all of them to run", async || (app.number(running).await == 6).then_some(())).await;
    app.kill_workers();
    app.start_again().await;
    let grace = app.visitor().await;
    eventually("all of them to run again, at once", async || {
        let again = "SELECT count(*) FROM jobs WHERE state = 'running' AND lapses = 1";
        (app.number(again).await == 6).then_some(())
    })
    .await;
    // While they run.
    grace.ready_photo().await;
    assert!(app.number(running).await > 0, "the photo of another did not wait for their end");
    for placed in &placed {
        assert_eq!(ada.wait_for(&placed.job).await["status"], "succeeded");
    }
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 6);
}

/// Nobody can renew, and nobody can see that: no process is lost for it.
async fn an_outage_of_the_database_loses_no_process(setup: Setup) {
    let app = setup.with("LEASE_SECONDS", LEASE).workers(2).on_fault_servers().await.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = slow_order(&app, &ada, &photo).await;
    app.faults().postgres("stop").await;
    let down = Instant::now();
    eventually("the outage to be longer than any lease", async || {
        (down.elapsed() > LOST_AFTER).then_some(())
    })
    .await;
    app.faults().postgres("start").await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    ada.ready_photo().await;
    assert_eq!(app.number(LAPSES).await, 0);
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
}

/// A worker that was frozen for longer than its lease finds itself lost: it ends its runs, writes nothing for them,
/// and goes on under a new id.
async fn a_frozen_worker_is_lost_and_goes_on_under_a_new_id(setup: Setup) {
    let app = setup.with("LEASE_SECONDS", LEASE).workers(2).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = slow_order(&app, &ada, &photo).await;
    let of = |number: usize| {
        let app = &app;
        async move { app.worker_client(number).get("/tasks").await.json() }
    };
    let (first, second) = (of(0).await, of(1).await);
    let frozen = usize::from(second["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()));
    let former = [&first, &second][frozen]["worker"].clone();
    app.freeze_worker(frozen);
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "succeeded", "the other one did it: {job}");
    app.thaw_worker(frozen);
    eventually("it to go on under a new id", async || {
        let tasks = of(frozen).await;
        (tasks["worker"] != former && tasks["tasks"] == json!([])).then_some(())
    })
    .await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
    for _ in 0..4 {
        ada.ready_photo().await;
    }
}

/// An order whose job is at the gateway for five seconds.
async fn slow_order(app: &App, visitor: &Visitor, photo: &str) -> Placed {
    let placed = visitor.order(&Order::of(photo, "print-10x15", 1).paid_by("tok_slow")).await;
    eventually("the order to be at the gateway", async || {
        (app.number("SELECT count(*) FROM payments").await == 1).then_some(())
    })
    .await;
    placed
}

on_production!(
    a_row_that_somebody_holds_costs_no_other_job_anything,
    after_a_crash_jobs_run_beside_each_other_and_nobody_elses_waits,
    an_outage_of_the_database_loses_no_process,
    a_frozen_worker_is_lost_and_goes_on_under_a_new_id,
);
