//! Orders whose program dies around each commit of their saga: whatever the moment, the order ends as it would have.
//!
//! Needs programs with the feature `crash-points`: `scripts/crash-points` builds them and runs this.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::harness::{App, Order, Setup, Visitor, on_both_set_ups};

const UNFINISHED: &str = "SELECT count(*) FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')";

/// What an order goes through.
struct Path {
    name: &'static str,
    /// Product, quantity, card.
    order: (&'static str, i64, &'static str),
    cancel: Cancel,
    /// Queues that are worked on; without images, an order waits for its prints for ever.
    queues: &'static str,
    /// Only points that begin like this.
    only: &'static str,
    /// The order's last status.
    ends: &'static str,
}

/// When the customer takes the order back.
#[derive(Clone, Copy, PartialEq)]
enum Cancel {
    Never,
    /// At this status of the order.
    At(&'static str),
    /// After the program died and before anybody works on the order again; never, if it does not die. It is too late
    /// when the order is over by then.
    AfterTheCrash,
}

const GOOD: Path = Path {
    name: "good",
    order: ("print-10x15", 2, "tok_ok"),
    cancel: Cancel::Never,
    queues: "*",
    only: "",
    ends: "confirmed",
};

const PATHS: [Path; 6] = [
    GOOD,
    Path { name: "declined", order: ("print-10x15", 2, "tok_declined"), ends: "rejected", ..GOOD },
    Path { name: "out of stock", order: ("canvas-60x80", 4, "tok_ok"), ends: "rejected", ..GOOD },
    Path {
        name: "cancelled while it waits for its prints",
        cancel: Cancel::At("rendering"),
        queues: "orders,mail",
        ends: "cancelled",
        ..GOOD
    },
    Path { name: "cancelled after the crash", cancel: Cancel::AfterTheCrash, ends: "cancelled", ..GOOD },
    // The gateway takes its time here, so it is left to the points that no other path comes to.
    Path {
        name: "cancelled while it is at the gateway",
        order: ("print-10x15", 2, "tok_slow"),
        cancel: Cancel::At("reserved"),
        only: "turn.cancelled",
        ends: "cancelled",
        ..GOOD
    },
];

async fn an_order_ends_as_it_would_have_wherever_its_program_dies(setup: Setup) {
    let production = setup.is_production();
    let points = worker::jobs::crash_points();
    assert!(points.len() >= 12, "{points:?}");
    let walks = PATHS.iter().map(|path| {
        let setup = if production { Setup::production() } else { Setup::embedded() };
        walk(setup, path, &points)
    });
    let mut hit = BTreeSet::new();
    for (path, points_of_path) in PATHS.iter().zip(join_all(walks).await) {
        println!("{}: died at {}: {points_of_path:?}", path.name, points_of_path.len());
        hit.extend(points_of_path);
    }
    let never: Vec<&String> = points.iter().filter(|point| !hit.contains(point.as_str())).collect();
    assert!(never.is_empty(), "no path comes to {never:?}");
}

/// Sends an order along the path for each point. Gives the points at which the program died.
async fn walk<'a>(setup: Setup, path: &Path, points: &'a [String]) -> BTreeSet<&'a str> {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.set("QUEUES", path.queues);
    let (product, quantity, card) = path.order;
    let mut hit = BTreeSet::new();
    let mut ends = Vec::new();
    for point in points.iter().filter(|point| point.starts_with(path.only)) {
        app.kill_workers();
        app.set("FAILPOINTS", &format!("{point}=return"));
        app.start_again().await;
        let recipient = format!("{}@example.org", point.replace('.', "-"));
        let order = Order::of(&photo, product, quantity)
            .and(&photo, "print-13x18", 1)
            .paid_by(card)
            .mail_to(&recipient);
        let what = format!("{} at {point}", path.name);
        let (died, end) = go(&mut app, &ada, &order, path, &what).await;
        if died {
            hit.insert(point.as_str());
        }
        ends.push(end);
        consistent(&app, &ends, &what).await;
    }
    hit
}

/// Acts as a customer who does not give up, and as whoever starts a program that died, until all is over. Gives
/// whether the program died, and the order's last status.
async fn go(app: &mut App, ada: &Visitor, order: &Order, path: &Path, what: &str) -> (bool, String) {
    let key = Uuid::new_v4().to_string();
    let (mut died, mut cancelled) = (false, false);
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        assert!(Instant::now() < deadline, "{what}: not over\n{}", app.logs());
        if app.crashed() {
            assert!(!died, "{what}: it died twice");
            died = true;
            app.set("FAILPOINTS", "");
            if path.cancel == Cancel::AfterTheCrash {
                app.set("QUEUES", "mail");
                app.start_again().await;
                let order = place(ada, order, &key).await.unwrap();
                cancelled = cancel(ada, order["id"].as_str().unwrap()).await.unwrap();
                app.kill_workers();
                app.set("QUEUES", path.queues);
            }
            app.start_again().await;
        }
        // It may die a moment after the order is over, while its job is not.
        if let Some(status) = advance(ada, order, path, &key, &mut cancelled).await
            && app.number(UNFINISHED).await == 0
        {
            let expected = match path.cancel {
                Cancel::AfterTheCrash if !cancelled => "confirmed",
                _ => path.ends,
            };
            assert_eq!(status, expected, "{what}");
            return (died, status);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Does what is next; the program may be gone at any moment. Gives the order's status when that is final.
async fn advance(
    ada: &Visitor,
    order: &Order,
    path: &Path,
    key: &str,
    cancelled: &mut bool,
) -> Option<String> {
    let placed = place(ada, order, key).await?;
    let id = placed["id"].as_str()?;
    let order: Value =
        ada.request(Method::GET, &format!("/api/orders/{id}")).send().await.ok()?.json().await.ok()?;
    let status = order["status"].as_str()?.to_owned();
    if matches!(path.cancel, Cancel::At(at) if at == status) && !*cancelled {
        *cancelled = cancel(ada, id).await?;
    }
    matches!(status.as_str(), "confirmed" | "rejected" | "cancelled").then_some(status)
}

/// Places the order; again with the same key it is the same order.
async fn place(ada: &Visitor, order: &Order, key: &str) -> Option<Value> {
    let request = ada.request(Method::POST, "/api/orders").header("Idempotency-Key", key);
    let placed: Value = request.json(&order.json()).send().await.ok()?.json().await.ok()?;
    placed.get("order").cloned()
}

/// Whether the shop takes it back.
async fn cancel(ada: &Visitor, order: &str) -> Option<bool> {
    let answer = ada.request(Method::POST, &format!("/api/orders/{order}/cancel")).send().await.ok()?;
    Some(answer.status().is_success())
}

/// Stock, money, children, prints and mails are those of orders that ended like this, whatever happened on the way.
async fn consistent(app: &App, ends: &[String], what: &str) {
    let count = |status: &str| i64::try_from(ends.iter().filter(|end| *end == status).count()).unwrap();
    let (confirmed, orders) = (count("confirmed"), i64::try_from(ends.len()).unwrap());
    let marked = "SELECT count(*) FROM order_events WHERE event IN ('confirmed', 'rejected', 'cancelled')";
    for (query, expected) in [
        ("SELECT count(*) FROM orders WHERE status = 'confirmed'", confirmed),
        ("SELECT count(*) FROM orders WHERE status = 'rejected'", count("rejected")),
        ("SELECT count(*) FROM orders WHERE status = 'cancelled'", count("cancelled")),
        (marked, orders),
        ("SELECT count(*) FROM jobs WHERE state = 'failed' OR lapses > 1", 0),
        ("SELECT 100000 - stock FROM products WHERE id = 'print-10x15'", 2 * confirmed),
        ("SELECT 100000 - stock FROM products WHERE id = 'print-13x18'", confirmed),
        ("SELECT stock FROM products WHERE id = 'canvas-60x80'", 3),
        ("SELECT count(*) FROM payments WHERE state = 'charged'", confirmed),
        ("SELECT count(*) FROM payments WHERE state = 'asked'", 0),
        ("SELECT count(*) FROM jobs WHERE kind = 'send_email'", orders),
    ] {
        assert_eq!(app.number(query).await, expected, "{what}: {query}");
    }
    let rendered =
        app.number("SELECT count(*) FROM jobs WHERE kind = 'render_print' AND state = 'succeeded'").await;
    assert!(rendered >= 2 * confirmed, "{what}: each line of a confirmed order is rendered");
    let children = app.number("SELECT count(*) FROM jobs WHERE kind = 'render_print'").await;
    assert!(children <= 2 * orders, "{what}: no second set of children");
    let prints = app.blob_files().iter().filter(|file| is_print(file)).count();
    assert_eq!(i64::try_from(prints), Ok(2 * confirmed), "{what}: prints");
    let mails: BTreeSet<String> = app.mails().into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(i64::try_from(mails.len()), Ok(orders), "{what}: one mail each");
}

fn is_print(file: &std::path::Path) -> bool {
    file.components().any(|part| part.as_os_str() == "prints")
}

on_both_set_ups!(an_order_ends_as_it_would_have_wherever_its_program_dies);
