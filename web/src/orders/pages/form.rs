//! The form for a new order: what it shows, the names of its fields, and its errors.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form, Query};
use askama::Template;
use shared::db::idempotency::KeyedRequest;
use shared::domain::PhotoId;
use shared::domain::order::Quantity;
use shared::domain::photo::PhotoStatus;
use uuid::Uuid;

use super::choices::{OrderRowInput, PAYMENTS, PaymentChoice, ProductChoice};
use super::fields::{Fields, order_hash, order_of, ticked_rows};
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::field::Mistakes;
use crate::http::idempotency::MAX_KEY;
use crate::http::problem::FieldError;
use crate::http::trace::TraceContext;
use crate::orders::{self, PlaceOrder};
use crate::pages::{Section, Shell, html, html_with, see_other};
use crate::products;
use crate::{App, photos};

/// The most photos that the form offers; more are chosen in the gallery.
const OFFERED: i64 = 48;

/// `GET /orders/new`, and the answer 422 to `POST /orders`.
///
/// The form is flat (`application/x-www-form-urlencoded`) and works without JavaScript:
///
/// | field | value |
/// | --- | --- |
/// | `idempotency_key` | made with the form, so that sending it twice makes one order |
/// | `line-N-photo` | a photo's id; only there when the photo is ticked |
/// | `line-N-product` | a product's id; there for every row, to be ignored without `line-N-photo` |
/// | `line-N-quantity` | digits, as typed; likewise |
/// | `email` | as typed |
/// | `payment_token` | one of [`PAYMENTS`] |
/// | `express` | only there when it is ticked |
///
/// `N` is the row's number, from 0. The lines of the order are the ticked rows in their order;
/// [`OrderNewPage::show_error`] brings errors about them back to their rows.
#[derive(Debug, Template)]
#[template(path = "order_new.html")]
pub struct OrderNewPage {
    /// Around the content.
    pub shell: Shell,
    /// Goes back with the form.
    pub idempotency_key: String,
    /// One row a photo.
    pub rows: Vec<OrderRowInput>,
    /// What can be bought.
    pub products: Vec<ProductChoice>,
    /// Where the mail goes, as typed.
    pub email: String,
    /// The chosen test card.
    pub payment_token: String,
    /// Whether express is ticked.
    pub express: bool,
    /// The errors, first those of the form as a whole. Fill it by [`OrderNewPage::show_error`].
    pub errors: Vec<FormError>,
}

/// Something wrong with the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError {
    /// The id of the control that it is about, where the summary's link leads.
    pub control: String,
    /// A sentence.
    pub message: String,
}

impl OrderNewPage {
    /// Shows an error of the API's vocabulary (`email`, `lines`, `lines[1].quantity`, …) at its control.
    ///
    /// The order's line `i` is the `i`-th ticked row. What has no control here is shown at the photos.
    pub fn show_error(&mut self, field: &str, message: &str) {
        let control = self.control_of(field).unwrap_or_else(|| "photos".to_owned());
        self.errors.push(FormError { control, message: message.to_owned() });
    }

    fn control_of(&self, field: &str) -> Option<String> {
        match field {
            "email" => return Some("email".to_owned()),
            "payment_token" => return Some(format!("payment-{}", PAYMENTS.first()?.token)),
            _ => {}
        }
        let (line, part) = field.strip_prefix("lines[")?.split_once(']')?;
        let (row, _) = self.rows.iter().enumerate().filter(|(_, row)| row.chosen).nth(line.parse().ok()?)?;
        let part = match part.strip_prefix('.') {
            Some("product") => "product",
            Some("quantity") => "quantity",
            _ => "photo",
        };
        Some(format!("line-{row}-{part}"))
    }

    /// The message at a control.
    pub fn error_at(&self, control: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.control == control).map(|error| error.message.as_str())
    }

    /// The message at the control `line-{row}-{part}`.
    pub fn row_error(&self, row: &usize, part: &str) -> Option<&str> {
        self.error_at(&format!("line-{row}-{part}"))
    }

    /// The message at the group of test cards.
    pub fn payment_error(&self) -> Option<&str> {
        PAYMENTS.iter().find_map(|payment| self.error_at(&format!("payment-{}", payment.token)))
    }

    /// Whether a test card is the chosen one.
    pub fn is_chosen_payment(&self, payment: &PaymentChoice) -> bool {
        self.payment_token == payment.token
    }

    /// The fewest prints of a line.
    pub fn least(&self) -> i64 {
        *Quantity::RANGE.start()
    }

    /// The most prints of a line.
    pub fn most(&self) -> i64 {
        *Quantity::RANGE.end()
    }
}

/// `GET /orders/new?photo=ID&photo=ID`
pub async fn show(
    app: Data<App>,
    OptionalCustomer(customer): OptionalCustomer,
    query: Query<Vec<(String, String)>>,
) -> Result<HttpResponse, ApiError> {
    let chosen: Vec<&str> =
        query.iter().filter(|(name, _)| name == "photo").map(|(_, id)| id.as_str()).collect();
    let mut page = blank(&app, customer).await?;
    for row in &mut page.rows {
        row.chosen = chosen.contains(&row.photo_id.as_str());
    }
    html(&page)
}

/// `POST /orders`
pub async fn place(
    app: Data<App>,
    customer: Customer,
    trace: TraceContext,
    fields: Form<Fields>,
) -> Result<HttpResponse, ApiError> {
    let order = order_of(&fields);
    let mut mistakes = Mistakes::default();
    let key = fields.get("idempotency_key").filter(|key| !key.is_empty() && key.len() <= MAX_KEY);
    let keyed = KeyedRequest {
        customer: customer.id,
        key: key.cloned().unwrap_or_else(|| Uuid::now_v7().to_string()),
        hash: order_hash(&order)?,
    };
    let draft = order.check(app.config.sandbox_payments, app.config.callbacks, &mut mistakes);
    let request = PlaceOrder { customer: customer.id, draft, keyed, traceparent: trace.to_string() };
    match orders::place(&app, request, mistakes).await {
        Ok(placed) => {
            let path = placed.order_id().map_or_else(|| "/orders".to_owned(), |id| format!("/orders/{id}"));
            Ok(see_other(&path))
        }
        Err(ApiError::Invalid(errors)) => {
            let page = filled(&app, customer, &fields, errors).await?;
            html_with(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error),
    }
}

async fn blank(app: &App, customer: Option<Customer>) -> Result<OrderNewPage, ApiError> {
    let own = match customer {
        Some(customer) => photos::page(app, customer.id, None, OFFERED).await?,
        None => Vec::new(),
    };
    let catalogue = products::list(app).await?;
    let cheapest = catalogue.first().map(|product| product.id.clone()).unwrap_or_default();
    let orderable = own.iter().filter(|photo| photo.status != PhotoStatus::Rejected.name());
    Ok(OrderNewPage {
        shell: Shell::of(app, customer, Section::Orders),
        idempotency_key: Uuid::now_v7().to_string(),
        rows: orderable.map(|photo| OrderRowInput::of(photo, &cheapest)).collect(),
        products: catalogue.iter().map(|product| ProductChoice::of(product, &catalogue)).collect(),
        email: String::new(),
        payment_token: "tok_ok".to_owned(),
        express: false,
        errors: Vec::new(),
    })
}

/// The form again, as it was sent, with what is wrong.
async fn filled(
    app: &App,
    customer: Customer,
    fields: &Fields,
    errors: Vec<FieldError>,
) -> Result<OrderNewPage, ApiError> {
    let mut page = blank(app, Some(customer)).await?;
    let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let sent = ticked_rows(fields);
    let mut rows = Vec::new();
    for number in &sent {
        let id = text(&format!("line-{number}-photo"));
        let known = page.rows.iter().position(|row| row.photo_id == id);
        let mut row = match known {
            Some(known) => page.rows.remove(known),
            None if id.parse::<PhotoId>().is_ok() => OrderRowInput { photo_id: id, ..Default::default() },
            None => continue,
        };
        row.chosen = true;
        row.product = text(&format!("line-{number}-product"));
        row.quantity = text(&format!("line-{number}-quantity"));
        rows.push(row);
    }
    rows.append(&mut page.rows);
    page.rows = rows;
    page.email = text("email");
    page.payment_token = text("payment_token");
    page.express = fields.contains_key("express");
    page.idempotency_key = text("idempotency_key");
    for error in errors {
        page.show_error(&error.field, &error.message);
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::samples;

    #[test]
    fn an_error_about_a_line_is_shown_at_the_ticked_row() {
        let mut page = samples::order_new();
        page.rows = [false, true, false, true]
            .map(|chosen| OrderRowInput { chosen, ..OrderRowInput::default() })
            .to_vec();
        let table = [
            ("lines[0].quantity", "line-1-quantity"),
            ("lines[1].product", "line-3-product"),
            ("lines[1].photo_id", "line-3-photo"),
            ("lines[1]", "line-3-photo"),
            ("lines[2].quantity", "photos"),
            ("lines[x].quantity", "photos"),
            ("lines", "photos"),
            ("", "photos"),
            ("email", "email"),
            ("payment_token", "payment-tok_ok"),
        ];
        for (field, control) in table {
            page.errors.clear();
            page.show_error(field, "is wrong");
            assert_eq!(page.error_at(control), Some("is wrong"), "{field}");
        }
    }
}
