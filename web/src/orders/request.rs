//! What a new order looks like when it is sent.

use serde_json::Value;
use shared::callbacks::{Callback, CallbackOn, CallbackPolicy, CallbackUrl};
use shared::domain::order::Quantity;
use shared::domain::{EmailAddress, PhotoId};
use shared::payments::PaymentToken;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::mistakes::{Mistakes, Object};

/// The most lines of an order.
pub const MAX_LINES: usize = 50;

const FIELDS: [&str; 6] = ["email", "lines", "payment_token", "express", "callback_url", "callback_on"];
const LINE_FIELDS: [&str; 3] = ["photo_id", "product", "quantity"];

/// An order, as it is sent.
#[derive(Debug, ToSchema)]
#[schema(title = "OrderRequest")]
pub struct OrderRequest {
    /// Where the confirmation goes.
    #[schema(example = "ada@example.org", format = "email", max_length = 254)]
    pub email: String,
    /// What is ordered.
    #[schema(min_items = 1, max_items = 50)]
    pub lines: Vec<LineRequest>,
    /// By which card; the sandbox knows `tok_ok`, `tok_declined`, `tok_flaky`, `tok_slow`.
    #[schema(example = "tok_ok")]
    pub payment_token: String,
    /// Not offered yet: `false`.
    pub express: Option<bool>,
    /// An address of your own that is told how the order's job goes on, by https. See `webhook_secret` of
    /// `POST /api/tokens`.
    #[schema(example = "https://shop.example/hooks", format = "uri", max_length = 2000)]
    pub callback_url: Option<String>,
    /// What it is told: `end` (the default), or `every_change` of the job's status.
    #[schema(example = "end")]
    pub callback_on: Option<String>,
}

/// A line of an order, as it is sent.
#[derive(Debug, ToSchema)]
pub struct LineRequest {
    /// A photo of one's own.
    pub photo_id: Uuid,
    /// A product's id.
    #[schema(example = "print-10x15")]
    pub product: String,
    /// How many prints.
    #[schema(minimum = 1, maximum = 100)]
    pub quantity: i32,
}

/// An order as it was sent: what could be read of it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// Where the confirmation goes.
    pub email: Option<EmailAddress>,
    /// By which card.
    pub payment_token: Option<PaymentToken>,
    /// What is ordered, in order.
    pub lines: Vec<DraftLine>,
    /// Whether it overtakes ordinary orders.
    pub express: bool,
    /// Who is told how it goes on.
    pub callback: Option<Callback>,
}

/// A line as it was sent: what could be read of it.
#[derive(Debug, Clone, Default)]
pub struct DraftLine {
    /// Which photo.
    pub photo_id: Option<PhotoId>,
    /// Which product.
    pub product: Option<String>,
    /// How many.
    pub quantity: Option<Quantity>,
}

impl Draft {
    /// Reads an order; what is wrong with it is noted.
    pub fn read(value: &Value, sandbox: bool, callbacks: CallbackPolicy, mistakes: &mut Mistakes) -> Self {
        let Some(body) = Object::read(value, "", &FIELDS, mistakes) else { return Self::default() };
        let email = body.parsed("email", mistakes, "is not an e-mail address");
        let lines = read_lines(&body, mistakes);
        let payment_token: Option<PaymentToken> =
            body.parsed("payment_token", mistakes, "is not a payment token");
        if sandbox && payment_token.as_ref().is_some_and(|token| token.sandbox().is_none()) {
            let known = "is not one of tok_ok, tok_declined, tok_flaky, tok_slow";
            mistakes.add("payment_token", known);
        }
        let express = match body.optional("express") {
            None => false,
            Some(Value::Bool(express)) => *express,
            Some(_) => {
                mistakes.add("express", "must be true or false");
                false
            }
        };
        let callback = read_callback(&body, callbacks, mistakes);
        Self { email, payment_token, lines, express, callback }
    }
}

/// `callback_on` without a `callback_url` is a mistake: somebody waits for a callback that never comes.
fn read_callback(body: &Object<'_>, policy: CallbackPolicy, mistakes: &mut Mistakes) -> Option<Callback> {
    let on = match body.optional("callback_on") {
        None => Some(CallbackOn::End),
        Some(value) => value.as_str().and_then(CallbackOn::from_name),
    };
    if on.is_none() {
        mistakes.add("callback_on", "must be every_change or end");
    }
    let Some(value) = body.optional("callback_url") else {
        if on.is_some() && body.optional("callback_on").is_some() {
            mistakes.add("callback_url", "is missing");
        }
        return None;
    };
    let Some(text) = value.as_str() else {
        mistakes.add("callback_url", "must be a text");
        return None;
    };
    match CallbackUrl::parse(text, policy) {
        Ok(url) => on.map(|on| Callback { url, on }),
        Err(why) => {
            mistakes.add("callback_url", why.to_string());
            None
        }
    }
}

fn read_lines(body: &Object<'_>, mistakes: &mut Mistakes) -> Vec<DraftLine> {
    let Some(value) = body.required("lines", mistakes) else { return Vec::new() };
    let Value::Array(lines) = value else {
        mistakes.add("lines", "must be a list");
        return Vec::new();
    };
    if lines.is_empty() {
        mistakes.add("lines", "must have at least one line");
    }
    if lines.len() > MAX_LINES {
        mistakes.add("lines", format!("must have at most {MAX_LINES} lines"));
        return Vec::new();
    }
    let read = |(index, value)| read_line(value, &format!("lines[{index}]"), mistakes);
    lines.iter().enumerate().map(read).collect()
}

fn read_line(value: &Value, place: &str, mistakes: &mut Mistakes) -> DraftLine {
    let Some(line) = Object::read(value, place, &LINE_FIELDS, mistakes) else { return DraftLine::default() };
    let photo_id = line.parsed("photo_id", mistakes, "is not a photo of yours");
    let product = line.text("product", mistakes).map(str::to_owned);
    let quantity = line.required("quantity", mistakes).and_then(|value| {
        let quantity = value.as_i64().and_then(Quantity::new);
        if quantity.is_none() {
            mistakes.add(line.place("quantity"), "must be a whole number from 1 to 100");
        }
        quantity
    });
    DraftLine { photo_id, product, quantity }
}
