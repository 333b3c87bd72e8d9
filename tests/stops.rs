//! A stop ends, whatever hangs, and doubles nothing.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{App, Gate, Order, Placed, Program, Setup, eventually, on_both_set_ups, on_production};

/// A handler that waits for a row that somebody holds, on a database that answers.
async fn a_stop_ends_at_its_deadline_whatever_hangs(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 6).leaving_work().start().await;
    let (console, _) = order_that_waits_for_a_row(&app).await;
    let (took, codes) = app.end(Signal::TERM, 1).await;
    assert!(took <= Duration::from_secs(8), "it may take 6 s, it took {took:?}: {codes:?}");
    console.batch_execute("ROLLBACK").await.unwrap();
}

async fn a_second_signal_ends_at_once(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 60).leaving_work().start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    eventually("the order to be at the gateway", async || {
        (app.number("SELECT count(*) FROM payments").await == 1).then_some(())
    })
    .await;
    let (took, codes) = app.end(Signal::TERM, 2).await;
    assert!(took < Duration::from_secs(4), "the charge takes 5 s, the end took {took:?}: {codes:?}");
}

/// The very first moment of a program that waits for its database, as the first process of a container would.
async fn a_program_that_waits_for_its_database_can_be_stopped(setup: Setup) {
    let app = setup.leaving_work().start().await;
    let mut settings = app.settings().to_vec();
    settings.retain(|(name, _)| name != "DATABASE_URL");
    // Nobody listens there.
    settings.push(("DATABASE_URL".into(), "postgres://app:pw@127.0.0.1:1/none".into()));
    let folder = tempfile::tempdir().unwrap();
    for program in ["web", "worker"] {
        let mut waiting = Program::start(program, program, &settings, folder.path());
        eventually("it to wait", async || waiting.log().contains("database").then_some(())).await;
        let begun = Instant::now();
        waiting.signal(Signal::TERM);
        let status = waiting.ended(Duration::from_secs(20)).await;
        assert!(
            status.success() && begun.elapsed() < Duration::from_secs(4),
            "{status} {:?}",
            begun.elapsed()
        );
    }
}

/// A rolling deployment whose release names new queues.
async fn queues_that_are_named_while_a_worker_stops_do_not_hold_it_up(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 20).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    eventually("the order to be at the gateway", async || {
        (app.number("SELECT count(*) FROM payments").await == 1).then_some(())
    })
    .await;
    for name in ["bulk-1", "bulk-2", "bulk-3"] {
        app.execute(&format!("INSERT INTO queues (name) VALUES ('{name}')")).await;
    }
    let took = app.stop_gracefully().await;
    assert!(took < Duration::from_secs(15), "{took:?}");
    app.start_again().await;
}

/// The server takes its time: longer than a stop leaves runs before it releases them.
async fn a_mail_that_is_being_handed_over_is_waited_for(setup: Setup) {
    let mut app = setup.with("SHUTDOWN_SECONDS", 8).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.production().smtp.set_silent(true);
    ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    app.mail_to("ada@example.org").await;
    let (smtp, log) = (app.production().smtp.clone(), app.log_file("worker-1"));
    let answering = async {
        eventually("the worker to wait for it, when all others are released", async || {
            let log = std::fs::read_to_string(&log).unwrap();
            log.contains("something is being handed over").then_some(())
        })
        .await;
        smtp.set_silent(false);
    };
    tokio::join!(app.stop_gracefully(), answering);
    app.start_again().await;
    app.idle().await;
    assert_eq!(app.mails().len(), 1, "and came once");
}

/// The answers of twenty orders are on their way when web is told to stop: they wait for a table that somebody holds,
/// and are committed when nothing else is left to do but to publish their jobs.
async fn what_web_accepts_while_it_stops_is_with_the_broker_or_due_for_others(setup: Setup) {
    const ORDERS: i64 = 20;
    let mut app = setup.with("SHUTDOWN_SECONDS", 30).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.kill_workers();
    let console = app.console().await;
    console.batch_execute("BEGIN; LOCK TABLE orders IN SHARE MODE").await.unwrap();
    let mut placing = tokio::task::JoinSet::new();
    for number in 0..ORDERS {
        let address = format!("ada{number}@example.org");
        let (ada, order) = (ada.clone(), Order::of(&photo, "print-10x15", 1).mail_to(&address));
        placing.spawn(async move { ada.order(&order).await });
    }
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass";
    // As many as it has connections.
    eventually("them to wait", async || (app.number(waiting).await >= 6).then_some(())).await;
    let log = app.log_file("web");
    let letting_go = async {
        eventually("web to stop", async || {
            std::fs::read_to_string(&log).unwrap().contains("stopping").then_some(())
        })
        .await;
        console.batch_execute("COMMIT").await.unwrap();
    };
    tokio::join!(app.stop_gracefully(), letting_go);
    // Each was accepted.
    let placed = placing.join_all().await;

    let told = app.log_of("web");
    assert!(!told.contains("not published"), "{told}");
    let queued = "SELECT count(*) FROM jobs WHERE kind = 'fulfil_order' AND state = 'queued'";
    assert_eq!(app.number(queued).await, ORDERS);
    let later = app.number(&format!("{queued} AND due_at > now()")).await;
    let queues = app.production().queues();
    eventually("the messages of those that are not due to be with the broker", async || {
        (i64::from(queues.ready("orders").await) == later).then_some(())
    })
    .await;
    app.start_again().await;
    for placed in &placed {
        assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    }
}

/// The broker neither takes nor refuses anything. The first job is being published when web is told to stop, the
/// others wait behind it: none of them is left to the minute after which others would publish it.
async fn what_web_could_not_publish_before_its_end_is_written_back(setup: Setup) {
    const ORDERS: i64 = 20;
    let mut app = setup.with("SHUTDOWN_SECONDS", 40).start().await;
    app.stop_gracefully().await;
    let gate = Gate::to(&app.production().amqp_url).await;
    app.set("AMQP_URL", &gate.url);
    app.start_again().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.idle().await;
    app.kill_workers();
    gate.set_open(false);
    let mut placed = Vec::new();
    for number in 0..ORDERS {
        let address = format!("ada{number}@example.org");
        placed.push(ada.order(&Order::of(&photo, "print-10x15", 1).mail_to(&address)).await);
    }
    app.stop_gracefully().await;
    let queued = "SELECT count(*) FROM jobs WHERE kind = 'fulfil_order' AND state = 'queued'";
    assert_eq!(app.number(queued).await, ORDERS);
    assert_eq!(app.production().queues().ready("orders").await, 0);
    let left_alone = app.number(&format!("{queued} AND published > 0")).await;
    assert_eq!(left_alone, 0, "{}", app.log_of("web"));

    gate.set_open(true);
    app.start_again().await;
    for placed in &placed {
        assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    }
}

/// An order whose handler waits for a product's row, and who holds that.
async fn order_that_waits_for_a_row(app: &App) -> (tokio_postgres::Client, Placed) {
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let console = app.console().await;
    console.batch_execute("BEGIN; UPDATE products SET stock = stock").await.unwrap();
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    eventually("the order to wait for the product", async || {
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted \
                       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        (app.number(waiting).await > 0
            || app.number("SELECT count(*) FROM jobs WHERE state = 'running'").await > 0)
            .then_some(())
    })
    .await;
    (console, placed)
}

on_both_set_ups!(a_second_signal_ends_at_once);

mod servers {
    use super::{
        a_mail_that_is_being_handed_over_is_waited_for, a_program_that_waits_for_its_database_can_be_stopped,
        a_stop_ends_at_its_deadline_whatever_hangs, on_production,
        queues_that_are_named_while_a_worker_stops_do_not_hold_it_up,
        what_web_accepts_while_it_stops_is_with_the_broker_or_due_for_others,
        what_web_could_not_publish_before_its_end_is_written_back,
    };

    on_production!(
        a_stop_ends_at_its_deadline_whatever_hangs,
        a_program_that_waits_for_its_database_can_be_stopped,
        queues_that_are_named_while_a_worker_stops_do_not_hold_it_up,
        a_mail_that_is_being_handed_over_is_waited_for,
        what_web_accepts_while_it_stops_is_with_the_broker_or_due_for_others,
        what_web_could_not_publish_before_its_end_is_written_back,
    );
}
