//! What a new order looks like when it is sent.

use std::collections::HashSet;

use platform::EmailAddress;
use platform::callbacks::{Callback, CallbackOn, CallbackPolicy, CallbackUrl};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::domain::PhotoId;
use shared::domain::order::Quantity;
use shared::payments::PaymentToken;
use utoipa::ToSchema;

use crate::http::field::{Field, Mistakes, Unknown};

/// The most lines of an order.
const MAX_LINES: usize = 50;

/// An order, as it is sent.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
#[schema(title = "OrderRequest")]
pub struct OrderRequest {
    /// Where the confirmation goes.
    #[serde(default)]
    #[schema(value_type = String, required = true, example = "ada@example.org", format = "email", max_length = 254)]
    pub email: Field<String>,
    /// What is ordered.
    #[serde(default)]
    #[schema(value_type = Vec<LineRequest>, required = true, min_items = 1, max_items = 50)]
    pub lines: Field<Vec<Field<LineRequest>>>,
    /// By which card; the sandbox knows `tok_ok`, `tok_declined`, `tok_flaky`, `tok_slow`.
    #[serde(default)]
    #[schema(value_type = String, required = true, example = "tok_ok")]
    pub payment_token: Field<String>,
    /// Whether it overtakes ordinary orders: `false` if not said.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    #[schema(value_type = Option<bool>)]
    pub express: Field<bool>,
    /// An address of your own that is told how the order's job goes on, by https. See `webhook_secret` of
    /// `POST /api/tokens`.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    #[schema(value_type = Option<String>, example = "https://shop.example/hooks", format = "uri", max_length = 2000)]
    pub callback_url: Field<String>,
    /// What it is told: `end` (the default), or `every_change` of the job's status.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    #[schema(value_type = Option<String>, example = "end")]
    pub callback_on: Field<String>,
    /// Whatever else was sent.
    #[serde(flatten, skip_serializing)]
    #[schema(ignore)]
    pub unknown: Unknown,
}

/// A line of an order, as it is sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
pub struct LineRequest {
    /// A photo of one's own.
    #[serde(default)]
    #[schema(value_type = Uuid, required = true)]
    pub photo_id: Field<String>,
    /// A product's id.
    #[serde(default)]
    #[schema(value_type = String, required = true, example = "print-10x15")]
    pub product: Field<String>,
    /// How many prints.
    #[serde(default)]
    #[schema(value_type = i32, required = true, minimum = 1, maximum = 100)]
    pub quantity: Field<i64>,
    /// Whatever else was sent.
    #[serde(flatten, skip_serializing)]
    #[schema(ignore)]
    pub unknown: Unknown,
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
    /// The photos of its lines, each once.
    pub fn photo_ids(&self) -> Vec<PhotoId> {
        let ids: HashSet<PhotoId> = self.lines.iter().filter_map(|line| line.photo_id).collect();
        ids.into_iter().collect()
    }
}

impl OrderRequest {
    /// Of a body.
    pub fn read(body: &Value, mistakes: &mut Mistakes) -> Option<Self> {
        let read = Self::deserialize(body).ok();
        if read.is_none() {
            mistakes.add("body", "must be an object");
        }
        read
    }

    /// What could be read of it; what is wrong with it is noted.
    pub fn check(self, sandbox: bool, callbacks: CallbackPolicy, mistakes: &mut Mistakes) -> Draft {
        self.unknown.note("", mistakes);
        let email = self.email.parsed("email", "is not an e-mail address", mistakes);
        let lines = check_lines(self.lines, mistakes);
        let payment_token: Option<PaymentToken> =
            self.payment_token.parsed("payment_token", "is not a payment token", mistakes);
        if sandbox && payment_token.as_ref().is_some_and(|token| token.sandbox().is_none()) {
            let known = "is not one of tok_ok, tok_declined, tok_flaky, tok_slow";
            mistakes.add("payment_token", known);
        }
        let express = self.express.optional("express", "must be true or false", mistakes).unwrap_or_default();
        let callback = check_callback(self.callback_url, self.callback_on, callbacks, mistakes);
        Draft { email, payment_token, lines, express, callback }
    }
}

/// `callback_on` without a `callback_url` is a mistake: somebody waits for a callback that never comes.
fn check_callback(
    url: Field<String>,
    on: Field<String>,
    policy: CallbackPolicy,
    mistakes: &mut Mistakes,
) -> Option<Callback> {
    let said = !on.is_absent();
    let on = match on {
        Field::Absent => Some(CallbackOn::End),
        Field::Sent(name) => CallbackOn::from_name(&name),
        Field::Wrong(_) => None,
    };
    if on.is_none() {
        mistakes.add("callback_on", "must be every_change or end");
    }
    if url.is_absent() && said && on.is_some() {
        mistakes.add("callback_url", "is missing");
    }
    let text = url.optional("callback_url", "must be a text", mistakes)?;
    match CallbackUrl::parse(&text, policy) {
        Ok(url) => on.map(|on| Callback { url, on }),
        Err(why) => {
            mistakes.add("callback_url", why.to_string());
            None
        }
    }
}

fn check_lines(lines: Field<Vec<Field<LineRequest>>>, mistakes: &mut Mistakes) -> Vec<DraftLine> {
    let Some(lines) = lines.required("lines", "must be a list", mistakes) else { return Vec::new() };
    if lines.is_empty() {
        mistakes.add("lines", "must have at least one line");
    }
    if lines.len() > MAX_LINES {
        mistakes.add("lines", format!("must have at most {MAX_LINES} lines"));
        return Vec::new();
    }
    let check = |(index, line)| check_line(line, &format!("lines[{index}]"), mistakes);
    lines.into_iter().enumerate().map(check).collect()
}

fn check_line(line: Field<LineRequest>, place: &str, mistakes: &mut Mistakes) -> DraftLine {
    let Field::Sent(line) = line else {
        mistakes.add(place, "must be an object");
        return DraftLine::default();
    };
    line.unknown.note(&format!("{place}."), mistakes);
    let at = |name: &str| format!("{place}.{name}");
    let photo_id = line.photo_id.parsed(&at("photo_id"), "is not a photo of yours", mistakes);
    let product = line.product.text(&at("product"), mistakes);
    let whole = "must be a whole number from 1 to 100";
    let quantity = line.quantity.required(&at("quantity"), whole, mistakes).and_then(|number| {
        let quantity = Quantity::new(number);
        if quantity.is_none() {
            mistakes.add(at("quantity"), whole);
        }
        quantity
    });
    DraftLine { photo_id, product, quantity }
}
