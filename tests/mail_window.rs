//! The one window in which a mail is sent twice: the mail server said yes, and the worker died before it wrote that
//! down. It can't be closed, so it is documented, counted, and held open here.

use crate::harness::{App, Order, Placed, Setup, eventually, on_production};

const COUNTER: &str = "mails_perhaps_sent_twice_total";

/// Statements that wait for a lock of the test's.
const WAITING: &str = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";

async fn a_mail_whose_worker_dies_after_the_yes_comes_again_under_its_id_and_is_counted(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let placed = order_whose_mail_gets_no_answer(&app).await;
    // Two, because what a transaction sees of others' activity does not change.
    let (lock, look) = (app.console().await, app.console().await);
    lock.batch_execute("BEGIN; LOCK TABLE mails IN SHARE MODE").await.unwrap();
    app.production().smtp.set_silent(false);
    eventually("the worker to know of the yes, and to be about to write it down", async || {
        let count = format!("SELECT count(*) {WAITING} AND query LIKE 'UPDATE \"mails\"%'");
        let row = look.query_one(&count, &[]).await.unwrap();
        (row.get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    app.kill_workers();
    // The server would still do what it was told before it notices that nobody is there.
    look.batch_execute(&format!("SELECT pg_terminate_backend(pid) {WAITING}")).await.unwrap();
    lock.batch_execute("ROLLBACK").await.unwrap();
    app.start_again().await;
    came_twice_and_was_counted(&app, &placed).await;
}

/// No window: the worker lives, and what it knows it writes down as soon as it can.
async fn a_mail_whose_yes_can_not_be_written_down_for_a_while_is_sent_once(setup: Setup) {
    let app = setup.start().await;
    let placed = order_whose_mail_gets_no_answer(&app).await;
    let lock = app.console().await;
    lock.batch_execute("BEGIN; LOCK TABLE mails IN SHARE MODE").await.unwrap();
    app.production().smtp.set_silent(false);
    eventually("the worker to have tried", async || {
        app.logs().contains("that is not written down yet").then_some(())
    })
    .await;
    lock.batch_execute("ROLLBACK").await.unwrap();
    app.idle().await;
    let mails = app.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    assert!(mails[0].text.contains(&placed.order), "{mails:?}");
    assert_eq!(app.metric(0, COUNTER).await, 0.0);
}

/// The same, had the answer been lost on its way.
async fn a_mail_whose_answer_is_lost_comes_again_under_its_id_and_is_counted(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let placed = order_whose_mail_gets_no_answer(&app).await;
    app.kill_workers();
    app.production().smtp.set_silent(false);
    app.start_again().await;
    came_twice_and_was_counted(&app, &placed).await;
}

/// The mail server has the mail, the worker does not know it.
async fn order_whose_mail_gets_no_answer(app: &App) -> Placed {
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.production().smtp.set_silent(true);
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    app.mail_to("ada@example.org").await;
    placed
}

async fn came_twice_and_was_counted(app: &App, placed: &Placed) {
    app.idle().await;
    let mails = app.mails();
    assert_eq!(mails.len(), 2, "{mails:?}");
    assert_eq!(mails[0].message_id, mails[1].message_id, "by which a mail program shows it once");
    assert!(mails[0].text.contains(&placed.order), "{mails:?}");
    assert_eq!(app.metric(0, COUNTER).await, 1.0);
    let done = "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND state = 'succeeded' AND attempt = 2";
    assert_eq!(app.number(done).await, 1);
}

on_production!(
    a_mail_whose_worker_dies_after_the_yes_comes_again_under_its_id_and_is_counted,
    a_mail_whose_answer_is_lost_comes_again_under_its_id_and_is_counted,
    a_mail_whose_yes_can_not_be_written_down_for_a_while_is_sent_once,
);
