//! What an order may look like, as a table.

use chrono::DateTime;
use platform::callbacks::{CallbackOn, CallbackPolicy};
use serde_json::{Value, json};
use shared::db::idempotency::StoredAnswer;
use shared::domain::order::Quantity;
use uuid::Uuid;

use super::request::OrderRequest;
use super::*;
use crate::jobs::{JobLinks, ProgressView};

fn good() -> Value {
    let photo = PhotoId::new().to_string();
    json!({
        "email": "ada@example.org",
        "lines": [{"photo_id": photo, "product": "print-10x15", "quantity": 2}],
        "payment_token": "tok_ok",
        "express": false,
        "callback_url": null,
        "callback_on": null,
    })
}

/// An order, as far as it can be read, and what is wrong with it.
fn read(value: &Value) -> (Draft, Mistakes) {
    let mut mistakes = Mistakes::default();
    let order = OrderRequest::read(value, &mut mistakes);
    let draft = order.map(|order| order.check(true, CallbackPolicy::Https, &mut mistakes));
    (draft.unwrap_or_default(), mistakes)
}

/// The fields that are wrong.
fn wrong_fields(value: &Value) -> Vec<String> {
    read(value).1.into_errors().into_iter().map(|error| error.field).collect()
}

#[test]
fn a_good_order_has_no_mistakes() {
    let (draft, mistakes) = read(&good());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    assert!(draft.email.is_some() && draft.payment_token.is_some());
    assert_eq!(draft.lines[0].quantity.map(Quantity::get), Some(2));
    let mut short = good();
    short
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["express", "callback_url", "callback_on"].contains(&name.as_str()));
    assert!(wrong_fields(&short).is_empty());
}

#[test]
fn each_mistake_is_named_by_its_field() {
    let table = [
        ("/email", json!("ada"), "email"),
        ("/email", json!(7), "email"),
        ("/email", json!(null), "email"),
        ("/payment_token", json!("tok_gold"), "payment_token"),
        ("/payment_token", json!(["tok_ok"]), "payment_token"),
        ("/express", json!("no"), "express"),
        ("/callback_url", json!("http://example.org"), "callback_url"),
        ("/callback_url", json!("https://127.0.0.1/"), "callback_url"),
        ("/callback_url", json!(7), "callback_url"),
        ("/callback_on", json!("sometimes"), "callback_on"),
        ("/callback_on", json!("end"), "callback_url"),
        ("/lines", json!([]), "lines"),
        ("/lines", json!({}), "lines"),
        ("/lines", json!(vec![json!({}); 51]), "lines"),
        ("/lines/0", json!("two prints"), "lines[0]"),
        ("/lines/0/photo_id", json!("me.jpg"), "lines[0].photo_id"),
        ("/lines/0/product", json!(3), "lines[0].product"),
        ("/lines/0/quantity", json!(0), "lines[0].quantity"),
        ("/lines/0/quantity", json!(101), "lines[0].quantity"),
        ("/lines/0/quantity", json!(1.5), "lines[0].quantity"),
        ("/lines/0/quantity", json!("2"), "lines[0].quantity"),
        ("/lines/0/quantity", json!(1e30), "lines[0].quantity"),
    ];
    for (place, value, field) in table {
        let mut order = good();
        *order.pointer_mut(place).unwrap() = value.clone();
        assert_eq!(wrong_fields(&order), [field], "{place} = {value}");
    }
}

#[test]
fn unknown_fields_are_named_and_all_mistakes_come_at_once() {
    let mut order = good();
    order["coupon"] = json!("x");
    order["lines"][0]["frame"] = json!("gold");
    order["lines"][0]["quantity"] = json!(0);
    order["email"] = json!("");
    let mut fields = wrong_fields(&order);
    fields.sort();
    assert_eq!(fields, ["coupon", "email", "lines[0].frame", "lines[0].quantity"]);
    assert_eq!(wrong_fields(&json!([1])), ["body"]);
    assert_eq!(wrong_fields(&json!({})), ["email", "lines", "payment_token"]);
}

#[test]
fn photos_and_products_must_be_there() {
    let mut order = good();
    let first = order["lines"][0].clone();
    order["lines"].as_array_mut().unwrap().push(first);
    order["lines"][1]["product"] = json!("mug");
    let (draft, mut mistakes) = read(&order);
    let print = Product { id: "print-10x15".into(), name: "Print".into(), price_cents: 29, stock: 1 };
    let own: HashSet<PhotoId> = draft.photo_ids().into_iter().collect();
    let lines = check_against(&draft, &own, std::slice::from_ref(&print), &mut mistakes);
    assert_eq!((lines.len(), lines[0].price_cents), (1, 29));
    check_against(&draft, &HashSet::new(), &[print], &mut mistakes);
    let fields: Vec<String> = mistakes.into_errors().into_iter().map(|error| error.field).collect();
    let expected = ["lines[1].product", "lines[0].photo_id", "lines[1].photo_id", "lines[1].product"];
    assert_eq!(fields, expected);
}

#[test]
fn a_callback_is_told_the_end_unless_it_asks_for_more() {
    let told = |on: Value| {
        let mut order = good();
        order["callback_url"] = json!("https://shop.example/hooks");
        order["callback_on"] = on;
        let (draft, mistakes) = read(&order);
        assert!(mistakes.is_empty(), "{mistakes:?}");
        draft.callback.unwrap().on
    };
    assert_eq!(told(json!(null)), CallbackOn::End);
    assert_eq!(told(json!("end")), CallbackOn::End);
    assert_eq!(told(json!("every_change")), CallbackOn::EveryChange);
}

#[test]
fn whoever_sends_an_order_again_is_led_to_the_order_of_the_first_answer() {
    let (order, job) = (Uuid::now_v7(), Uuid::now_v7());
    let accepted = AcceptedOrder {
        order: OrderView {
            id: order,
            job_id: job,
            status: "received",
            reason: None,
            email: "ada@example.org".to_owned(),
            total_cents: 29,
            created_at: DateTime::UNIX_EPOCH,
            express: false,
            lines: Vec::new(),
            timeline: Vec::new(),
            progress: None,
        },
        job: JobView {
            id: job,
            kind: "fulfil_order".to_owned(),
            status: "queued",
            failure: None,
            progress: ProgressView { percent: 0, step: None },
            attempt: 0,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            result: None,
            error: None,
            links: JobLinks { this: String::new(), events: String::new(), result: None },
        },
    };
    let kept = |body: String| {
        let answer = StoredAnswer { request_hash: String::new(), location: String::new(), body };
        Answered::<AcceptedOrder>::Before(answer).order_id()
    };
    assert_eq!(kept(text(&accepted).unwrap()), Some(order));
    assert_eq!(Answered::New(accepted).order_id(), Some(order));
    assert_eq!(kept(String::new()), None);
}
