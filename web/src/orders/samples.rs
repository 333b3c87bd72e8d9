//! The pages about orders in every state.

use shared::domain::order::{OrderStatus, RejectReason};

use super::pages::callback::{CallEntry, OrderCallback};
use super::pages::choices::{OrderRowInput, ProductChoice};
use super::pages::form::OrderNewPage;
use super::pages::list::{OrderRow, OrdersPage};
use super::pages::order::{OrderPage, PrintRow, TimelineEntry};
use crate::pages::samples::{NOON, html, id, shell};
use crate::pages::{Section, Shell};
use crate::photos::samples::pictures;

/// Each by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    let mut pages = vec![
        ("orders".to_owned(), html(&orders(text))),
        ("orders-empty".to_owned(), html(&OrdersPage { orders: Vec::new(), ..orders(text) })),
        ("order-read-only".to_owned(), html(&read_only(text))),
        ("order-held".to_owned(), html(&OrderPage { held: true, ..order(text, OrderStatus::Reserved) })),
        ("order-new".to_owned(), html(&order_new_filled(text))),
        ("order-new-errors".to_owned(), html(&order_new_errors(text))),
        ("order-new-empty".to_owned(), html(&OrderNewPage { rows: Vec::new(), ..order_new() })),
    ];
    for status in OrderStatus::ALL {
        pages.push((format!("order-{}", status.name()), html(&order(text, status))));
    }
    pages
}

fn orders(text: &str) -> OrdersPage {
    let row = |(number, status): (usize, OrderStatus)| OrderRow {
        id: id(200 + number),
        status,
        placed_at: if number == 0 { text.to_owned() } else { NOON.to_owned() },
        total_cents: 1_250 * i64::try_from(number * number * number + 1).unwrap(),
        prints: u64::try_from(number).unwrap() + 1,
        thumbs: (0..number.min(3)).map(|photo| pictures(photo, "").remove(0)).collect(),
    };
    OrdersPage {
        shell: shell(Section::Orders),
        orders: OrderStatus::ALL.into_iter().enumerate().map(row).collect(),
        older_url: Some("/orders?before=0195a1b2".to_owned()),
    }
}

fn order(text: &str, status: OrderStatus) -> OrderPage {
    let entry = |event: &str, detail: &str| TimelineEntry {
        at: "2026-03-05T12:00:01.123Z".to_owned(),
        event: event.to_owned(),
        detail: detail.to_owned(),
    };
    let line = |number: usize, name: &str, quantity, price_cents| PrintRow {
        photo_name: name.to_owned(),
        photo_url: Some(format!("/photos/{}", id(number))),
        thumb: (number != 3).then(|| pictures(number, "").remove(0)),
        product: if number == 1 { text.to_owned() } else { "Matte 10 × 15 cm".to_owned() },
        quantity,
        price_cents,
    };
    OrderPage {
        shell: shell(Section::Orders),
        id: id(200),
        job_id: id(300),
        status,
        reason: (status == OrderStatus::Rejected).then_some(RejectReason::Declined),
        held: false,
        email: text.to_owned(),
        placed_at: NOON.to_owned(),
        lines: vec![line(0, "IMG_2041.jpg", 2, 29), line(1, text, 100, 12_345), line(3, "", 1, 500)],
        total_cents: 1_235_058,
        callback: Some(OrderCallback {
            url: format!("https://shop.example/{text}"),
            stopped: true,
            calls: vec![CallEntry {
                at: NOON.to_owned(),
                told: "succeeded".to_owned(),
                answer: text.to_owned(),
                duration_ms: 12,
            }],
        }),
        timeline: vec![
            entry("received", ""),
            entry("reserved", text),
            entry(text, "103 sheets"),
            entry(status.name(), ""),
        ],
        progress: (!status.is_final()).then(|| (64, text.to_owned())),
        can_cancel: !status.is_final(),
        cancel_asked: status == OrderStatus::Paid,
        read_only: false,
        problem: (status == OrderStatus::Confirmed).then(|| text.to_owned()),
    }
}

fn read_only(text: &str) -> OrderPage {
    let mut page = order(text, OrderStatus::Rendering);
    page.read_only = true;
    page.shell = Shell { session: false, mailbox: false, section: Section::Elsewhere };
    for (number, line) in page.lines.iter_mut().enumerate() {
        line.photo_url = None;
        line.thumb = Some(pictures(number, "?expires=1780000000&sig=c2lnbmVk").remove(0));
    }
    page
}

/// An untouched order form.
pub fn order_new() -> OrderNewPage {
    let product = |id: &str, name: &str, price_cents, stock| ProductChoice {
        id: id.to_owned(),
        name: name.to_owned(),
        price_cents,
        stock,
        also_bought: vec!["Gloss 20 × 30 cm".to_owned()],
    };
    let row = |number: usize| OrderRowInput {
        photo_id: id(number),
        photo_name: format!("IMG_20{number}.jpg"),
        pictures: if number == 2 { Vec::new() } else { pictures(number, "") },
        chosen: number < 2,
        product: "matte-10x15".to_owned(),
        quantity: "1".to_owned(),
    };
    OrderNewPage {
        shell: shell(Section::Orders),
        idempotency_key: "0195a1b2-c3d4-7e5f-8a9b-00000000abcd".to_owned(),
        rows: (0..4).map(row).collect(),
        products: vec![
            product("matte-10x15", "Matte 10 × 15 cm", 29, 1_200),
            product("gloss-20x30", "Gloss 20 × 30 cm", 249, 8),
            product("canvas-40x60", "Canvas 40 × 60 cm", 3_900, 0),
        ],
        email: String::new(),
        express: false,
        payment_token: "tok_ok".to_owned(),
        errors: Vec::new(),
    }
}

fn order_new_filled(text: &str) -> OrderNewPage {
    let mut page = order_new();
    page.email = text.to_owned();
    for row in page.rows.iter_mut().skip(1) {
        row.photo_name = text.to_owned();
    }
    page.products[1].name = text.to_owned();
    page.products[1].also_bought = vec![text.to_owned()];
    page
}

fn order_new_errors(text: &str) -> OrderNewPage {
    let mut page = order_new_filled(text);
    page.rows[0].quantity = text.to_owned();
    page.payment_token = text.to_owned();
    let fields =
        ["email", "payment_token", "lines[0].quantity", "lines[1].product", "lines[1].photo_id", "lines"];
    for field in fields {
        page.show_error(field, text);
    }
    page
}
