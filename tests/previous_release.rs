//! The last release's programs on this one's schema, and beside this one's: as in the middle of a deployment.
//!
//! `scripts/check-previous-release` builds them and runs this.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{App, Order, Setup, Visitor, on_production, pictures};

/// How long there is traffic on the last release alone, and how long on both.
const EACH: Duration = Duration::from_secs(60);

/// So many people at a time, at each web program.
const PEOPLE: u8 = 2;

async fn nothing_is_lost_while_the_last_release_and_this_one_serve_on_the_new_schema(setup: Setup) {
    let mut app = setup.start().await;
    app.execute("UPDATE products SET stock = stock + 100000, stocked = stocked + 100000").await;
    // Migrated by this release; from here on as it is before the first new program starts.
    app.stop_gracefully().await;
    let (old_web, web) = app.beside("previous-web", "previous-web").await;
    let (_, worker) = app.beside("previous-worker", "previous-worker").await;
    let alone = traffic(&[&old_web]).await;
    println!("the last release alone: {alone} orders");
    assert!(alone > 0);

    app.start_again().await;
    let both = traffic(&[&old_web, &app.nobody()]).await;
    println!("both releases: {both} orders");
    assert!(both > 0);

    for mut program in [web, worker] {
        program.signal(Signal::TERM);
        let status = program.ended(Duration::from_secs(60)).await;
        assert!(status.success(), "{} ended with {status}:\n{}", program.name(), program.log());
    }
    app.idle().await;
    nothing_is_lost(&app, alone + both).await;
}

/// Uploads, orders and polls for a while. Gives the number of orders that were accepted, each of them confirmed.
async fn traffic(webs: &[&Visitor]) -> i64 {
    let until = Instant::now() + EACH;
    let people = webs.iter().flat_map(|web| (0..PEOPLE).map(move |number| (*web, number)));
    let orders = people.map(|(web, number)| buys_until(web, number, until));
    futures_util::future::join_all(orders).await.into_iter().sum()
}

async fn buys_until(web: &Visitor, number: u8, until: Instant) -> i64 {
    let token = web.post("/api/tokens").await.expect(201).json()["token"].as_str().unwrap().to_owned();
    let person = web.clone().with_token(&token);
    let mut orders = 0;
    while Instant::now() < until {
        let upload = person.upload(pictures::jpeg_of_colour(number, orders as u8, 0)).await;
        // Some wait for their photo, some order at once.
        if orders % 2 == 0 {
            assert_eq!(person.wait_for(&upload.job).await["status"], "succeeded");
        }
        // Nobody gets more than some mails a minute.
        let recipient = format!("{}@example.org", upload.photo);
        let order = Order::of(&upload.photo, "print-10x15", 1).mail_to(&recipient);
        let placed = person.order(&order).await;
        assert_eq!(person.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
        orders += 1;
    }
    orders
}

async fn nothing_is_lost(app: &App, orders: i64) {
    let confirmed = "SELECT count(*) FROM orders WHERE status = 'confirmed'";
    assert_eq!(app.number(confirmed).await, orders);
    assert_eq!(app.number("SELECT count(*) FROM photos WHERE status = 'ready'").await, orders);
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE state <> 'succeeded'").await, 0);
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, orders);
    assert_eq!(app.number("SELECT count(*) FROM dead_messages").await, 0);
    let mails = app.mails().len();
    assert_eq!(i64::try_from(mails).unwrap(), orders, "a mail an order");
    println!("{orders} orders, photos, charges and mails; nothing lost");
}

on_production!(nothing_is_lost_while_the_last_release_and_this_one_serve_on_the_new_schema);
