//! The daily sales report: its figures, its mail, and that a long one goes on where it stopped.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{App, Mail, Order, Setup, Visitor, eventually, on_both_set_ups, on_production};
use crate::triggers::{SECRET, machine_tokens, start};

const OPERATOR: &str = "operator@example.org";

/// A name that a spreadsheet would run.
const FORMULA: &str = "=cmd|'/c calc'!A0";

async fn a_day_is_summed_up_and_mailed_once(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).with("OPERATOR_EMAIL", OPERATOR).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let good = Order::of(&photo, "print-10x15", 3).and(&photo, "print-20x30", 1);
    for (order, status) in [
        (good.clone(), "confirmed"),
        (good.clone(), "confirmed"),
        (good.clone().paid_by("tok_declined"), "rejected"),
        (Order::of(&photo, "canvas-60x80", 4), "rejected"),
        (good.clone().mail_to("before@example.org"), "confirmed"),
        (good.clone().mail_to("after@example.org"), "confirmed"),
    ] {
        assert_eq!(ada.order_and_wait(&order).await["status"], status);
    }
    cancelled_order(&ada, &good).await;
    app.execute(&format!(
        "UPDATE orders SET created_at = {} WHERE email = 'ada@example.org';
         UPDATE orders SET created_at = {} WHERE email = 'before@example.org';
         UPDATE orders SET created_at = {} WHERE email = 'after@example.org';
         UPDATE products SET name = '{}' WHERE id = 'print-10x15'",
        time(&app, "2026-03-01 23:59:59"),
        time(&app, "2026-02-28 23:59:59"),
        time(&app, "2026-03-02 00:00:00"),
        FORMULA.replace('\'', "''"),
    ))
    .await;

    let machine = app.nobody().with_token(SECRET);
    let job = machine.wait_for(&report_of(&machine, "2026-03-01").await).await;
    let total = &job["result"]["total"];
    assert_eq!((&total["orders"], &total["confirmed"]), (&json!(5), &json!(2)), "{job}");
    assert_eq!(total["rejected"], json!({"declined": 1, "out_of_stock": 1}), "{job}");
    assert_eq!((&total["cancelled"], &total["unfinished"]), (&json!(1), &json!(0)), "{job}");
    let products = json!({
        "print-10x15": {"units": 6, "revenue_cents": 6 * 29},
        "print-20x30": {"units": 2, "revenue_cents": 2 * 390},
    });
    assert_eq!((&total["products"], &total["revenue_cents"]), (&products, &json!(954)), "{job}");
    assert_eq!(job["progress"], json!({"percent": 100, "step": "5 of 5 orders"}), "{job}");

    let mail = app.mail_to(OPERATOR).await;
    assert_eq!(mail.subject, "Sales, 2026-03-01");
    assert!(mail.message_id.starts_with(job["id"].as_str().unwrap()), "{}", mail.message_id);
    assert!(mail.text.contains("6 × =cmd"), "{}", mail.text);
    assert!(mail.html.contains("<table") && mail.html.contains("9.54"), "{}", mail.html);
    let (name, table) = &mail.attached[0];
    assert_eq!(name, "sales-2026-03-01.csv");
    assert!(table.contains("2026-03-01,sold,print-10x15,'=cmd|'/c calc'!A0,6,1.74\r\n"), "{table}");
    assert!(table.contains("2026-03-01,confirmed,,,2,\r\n"), "{table}");

    for checkpoint in ["checkpoint", "NULL"] {
        app.execute(&format!(
            "UPDATE jobs SET state = 'pending', result = NULL, attempt = 0, checkpoint = {checkpoint},
             run_at = created_at, due_at = created_at WHERE kind = 'sales_report'"
        ))
        .await;
        app.idle().await;
        let again = machine.read_job(job["id"].as_str().unwrap()).await;
        assert_eq!(again["result"], job["result"]);
    }
    assert_eq!(reports(&app).len(), 1, "the same job is the same mail");
}

async fn days_whose_ticks_were_missed_are_in_the_next_report(setup: Setup) {
    let app = setup.with("SCHEDULE", "on").with("OPERATOR_EMAIL", OPERATOR).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    const DAY: i64 = 24 * 3600;
    // The fourth day is not over, and the first was in the report before.
    for days_ago in [4, 3, 1, -1] {
        let order = Order::of(&photo, "print-10x15", 1).mail_to(&format!("ada{days_ago}@example.org"));
        assert_eq!(ada.order_and_wait(&order).await["status"], "confirmed");
        let then = app.ago(days_ago * DAY);
        app.execute(&format!(
            "UPDATE orders SET created_at = {then} WHERE email = 'ada{days_ago}@example.org'"
        ))
        .await;
    }
    app.idle().await;
    let last = format!("UPDATE schedules SET last_at = {} WHERE name = 'sales-report'", app.ago(3 * DAY));
    eventually("the schedule to be written down", async || {
        (app.number("SELECT count(*) FROM schedules WHERE name = 'sales-report'").await == 1).then_some(())
    })
    .await;
    app.execute(&last).await;
    app.make_due("sales-report").await;
    let mail = app.mail_to(OPERATOR).await;
    assert!(mail.text.contains("orders: 2"), "{}", mail.text);
    app.idle().await;
    assert_eq!(reports(&app).len(), 1);
}

/// The program is killed while it commits the third page.
async fn a_long_report_goes_on_where_it_stopped(setup: Setup) {
    const ORDERS: i64 = 1_700;
    let mut app = setup.with("MACHINE_TOKENS", machine_tokens()).with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.order_and_wait(&Order::of(&photo, "print-10x15", 2)).await;
    app.idle().await;
    more_orders(&app, ORDERS).await;
    hang_at_the_third_page(&app).await;
    let machine = app.nobody().with_token(SECRET);
    let job = report_of(&machine, "2026-03-01").await;
    let pages =
        format!("SELECT {} FROM jobs WHERE kind = 'sales_report'", member(&app, "checkpoint", "pages"));
    eventually("two pages to be counted", async || (app.number(&pages).await == 2).then_some(())).await;
    let percent =
        format!("SELECT {} FROM jobs WHERE kind = 'sales_report'", member(&app, "progress", "percent"));
    assert_eq!(app.number(&percent).await, 1_000 * 100 / ORDERS, "the progress is that of the checkpoint");
    app.kill();
    let_go(&app).await;
    app.start_again().await;
    let job = machine.wait_for(&job).await;
    let products = json!({"print-10x15": {"units": 2 * ORDERS, "revenue_cents": 2 * ORDERS * 29}});
    let total = &job["result"]["total"];
    assert_eq!((&total["confirmed"], &total["products"]), (&json!(ORDERS), &products), "{total}");
    assert_eq!(
        app.metric(0, "sales_report_orders_total").await,
        700.0,
        "only what the first two pages had left over"
    );
}

/// A page is being counted when the worker is told to stop. There would be time for the rest of the report.
async fn a_report_that_hears_of_a_stop_ends_after_its_page_and_goes_on_from_there(setup: Setup) {
    const ORDERS: i64 = 2_200;
    let setup = setup.with("MACHINE_TOKENS", machine_tokens()).with("SHUTDOWN_SECONDS", 60);
    let mut app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.order_and_wait(&Order::of(&photo, "print-10x15", 2)).await;
    app.idle().await;
    more_orders(&app, ORDERS).await;
    app.execute(
        "CREATE TABLE go_on (yes bool);
         CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN WHILE NOT EXISTS (SELECT FROM go_on) LOOP PERFORM pg_sleep(0.02); END LOOP; RETURN NEW; END';
         CREATE TRIGGER pause BEFORE UPDATE ON jobs FOR EACH ROW
         WHEN ((NEW.checkpoint ->> 'pages')::bigint = 2) EXECUTE FUNCTION pause()",
    )
    .await;
    let machine = app.nobody().with_token(SECRET);
    let job = report_of(&machine, "2026-03-01").await;
    let pages = "SELECT (checkpoint ->> 'pages')::bigint FROM jobs WHERE kind = 'sales_report'";
    eventually("the second page to be counted", async || {
        let counting = "SELECT count(*) FROM pg_stat_activity
                        WHERE datname = current_database() AND wait_event = 'PgSleep'";
        (app.number(counting).await == 1).then_some(())
    })
    .await;
    let (console, queues, log) = (app.console().await, app.production().queues(), app.log_file("worker-1"));
    assert_eq!(queues.consumers("images").await, 1);
    let letting_go = async {
        eventually("the worker to stop", async || {
            std::fs::read_to_string(&log).unwrap().contains("stopping").then_some(())
        })
        .await;
        // By the same token as its runs. (A consumer that has something unacked still counts.)
        eventually("its consumers to stop", async || (queues.consumers("images").await == 0).then_some(()))
            .await;
        console.batch_execute("INSERT INTO go_on VALUES (true)").await.unwrap();
    };
    let ((_, ended), ()) = tokio::join!(app.end(Signal::TERM, 1), letting_go);
    assert!(ended[0].success(), "{ended:?}");
    let put_back = "SELECT count(*) FROM jobs WHERE kind = 'sales_report' AND attempt = 0 AND lapses = 0
                    AND state IN ('pending', 'queued')";
    assert_eq!((app.number(pages).await, app.number(put_back).await), (2, 1), "{}", app.log_of("worker-1"));

    app.start_again().await;
    let job = machine.wait_for(&job).await;
    assert_eq!(job["result"]["total"]["confirmed"], ORDERS, "each was counted once: {job}");
    assert_eq!(app.metric(0, "sales_report_orders_total").await, 1_200.0, "what two pages had left over");
}

async fn both_reports_may_be_started_and_nothing_else_is_taken(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let machine = app.nobody().with_token(SECRET);
    for task in ["also_bought", "sales_report"] {
        let accepted = start(&machine, task, &json!({}), None).await.expect(202).json();
        let job = machine.wait_for(accepted["job"]["id"].as_str().unwrap()).await;
        assert_eq!(job["status"], "succeeded", "without an operator there is no mail: {job}");
        assert_eq!(start(&machine, task, &json!({"days": 1}), None).await.wrong_fields(), ["days"]);
    }
    let wrong = json!({"day": "2026-02-30"});
    assert_eq!(start(&machine, "sales_report", &wrong, None).await.wrong_fields(), ["day"]);
    let backwards = json!({"day": "2026-03-02", "through": "2026-03-01"});
    let accepted = start(&machine, "sales_report", &backwards, None).await.expect(202).json();
    let job = machine.wait_for(accepted["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["status"], &job["failure"]), (&json!("failed"), &json!("discarded")), "{job}");
    assert!(app.mails().is_empty());
}

async fn report_of(machine: &Visitor, day: &str) -> String {
    let accepted = start(machine, "sales_report", &json!({"day": day}), None).await.expect(202).json();
    accepted["job"]["id"].as_str().unwrap().to_owned()
}

async fn cancelled_order(ada: &Visitor, order: &Order) {
    let placed = ada.order(&order.clone().paid_by("tok_slow")).await;
    let path = format!("/api/orders/{}", placed.order);
    ada.wait_for_status(&path, "reserved").await;
    ada.post(&format!("{path}/cancel")).await.expect(202);
    assert_eq!(ada.wait_for(&placed.job).await["status"], Value::from("cancelled"));
}

fn reports(app: &App) -> Vec<Mail> {
    app.mails().into_iter().filter(|mail| mail.to == [OPERATOR]).collect()
}

/// A point in time, in the database's own words.
fn time(app: &App, time: &str) -> String {
    match app.is_production() {
        true => format!("timestamptz '{time}Z'"),
        false => format!("(unixepoch('{time}') * 1000000)"),
    }
}

/// A number in a column of JSON.
fn member(app: &App, column: &str, name: &str) -> String {
    match app.is_production() {
        true => format!("({column} ->> '{name}')::bigint"),
        false => format!("{column} ->> '{name}'"),
    }
}

/// Makes so many orders of the one that is there.
async fn more_orders(app: &App, count: i64) {
    let columns = "customer_id, job_id, email, status, total_cents, payment_token, express";
    let (id, from) = match app.is_production() {
        true => ("gen_random_uuid()", format!("orders, generate_series(2, {count})")),
        false => (
            "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-7' || substr(hex(randomblob(2)), 2)
             || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))",
            format!(
                "orders, (WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
             SELECT i FROM n)"
            ),
        ),
    };
    app.execute(&format!(
        "INSERT INTO orders (id, created_at, {columns}) SELECT {id}, created_at, {columns} FROM {from};
         INSERT INTO order_lines (order_id, position, photo_id, product_id, quantity, price_cents)
         SELECT orders.id, position, photo_id, product_id, quantity, price_cents FROM order_lines, orders
         WHERE orders.id <> order_id;
         UPDATE orders SET created_at = {}",
        time(app, "2026-03-01 12:00:00")
    ))
    .await;
}

/// From now on, whoever writes the checkpoint of a third page does not come to the end of it.
async fn hang_at_the_third_page(app: &App) {
    let pages = member(app, "NEW.checkpoint", "pages");
    app.execute(&match app.is_production() {
        true => format!(
            "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(600); RETURN NEW; END';
             CREATE TRIGGER hang BEFORE UPDATE ON jobs FOR EACH ROW WHEN ({pages} = 3) EXECUTE FUNCTION hang()"
        ),
        false => format!(
            "CREATE TRIGGER hang BEFORE UPDATE ON jobs WHEN {pages} = 3 BEGIN
             SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
             SELECT i FROM n); END"
        ),
    })
    .await;
}

async fn let_go(app: &App) {
    if app.is_production() {
        // The server would go on with what it was told before it notices that nobody is there.
        let hanging = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event = 'PgSleep'";
        app.execute(hanging).await;
    }
    app.execute(if app.is_production() { "DROP TRIGGER hang ON jobs" } else { "DROP TRIGGER hang" }).await;
}

on_both_set_ups!(
    a_day_is_summed_up_and_mailed_once,
    days_whose_ticks_were_missed_are_in_the_next_report,
    a_long_report_goes_on_where_it_stopped,
    both_reports_may_be_started_and_nothing_else_is_taken,
);

mod servers {
    use super::{a_report_that_hears_of_a_stop_ends_after_its_page_and_goes_on_from_there, on_production};

    on_production!(a_report_that_hears_of_a_stop_ends_after_its_page_and_goes_on_from_there);
}
