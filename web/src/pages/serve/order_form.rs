//! The form for a new order. It is read into the same JSON that the API takes, so both follow one set
//! of rules.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Form, Query};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::db::idempotency::KeyedRequest;
use shared::domain::PhotoId;
use shared::domain::photo::PhotoStatus;
use uuid::Uuid;

use super::{Shop, html, photos as photo_pages, pictures, render, see_other, shell};
use crate::App;
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::mistakes::Mistakes;
use crate::http::problem::FieldError;
use crate::http::trace::TraceContext;
use crate::orders::{self, Draft, PlaceOrder};
use crate::pages::Section;
use crate::pages::order_form::{OrderNewPage, OrderRowInput, ProductChoice};
use crate::views::{PhotoView, ProductView};

/// The most photos that the form offers; more are chosen in the gallery.
const OFFERED: usize = 48;

/// The form's fields, as they were sent; names are unique but for those that a browser repeats.
type Fields = BTreeMap<String, String>;

/// `GET /orders/new?photo=ID&photo=ID`
pub async fn form(
    app: Shop,
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
    app: Shop,
    customer: Customer,
    trace: TraceContext,
    fields: Form<Fields>,
) -> Result<HttpResponse, ApiError> {
    let body = order_json(&fields);
    let mut mistakes = Mistakes::default();
    let draft = Draft::read(&body, app.config.sandbox_payments, app.config.callbacks, &mut mistakes);
    let key = fields.get("idempotency_key").filter(|key| !key.is_empty() && key.len() <= 255);
    let keyed = KeyedRequest {
        customer: customer.id,
        key: key.cloned().unwrap_or_else(|| Uuid::now_v7().to_string()),
        hash: fingerprint(&body),
    };
    let request = PlaceOrder { customer: customer.id, draft, keyed, traceparent: trace.to_string() };
    match orders::place(&app, request, mistakes).await {
        Ok(accepted) => Ok(see_other(&order_page(&accepted.body))),
        Err(ApiError::Invalid(errors)) => {
            let page = filled(&app, customer, &fields, errors).await?;
            let body = render(&page)?;
            Ok(HttpResponse::UnprocessableEntity().content_type("text/html; charset=utf-8").body(body))
        }
        Err(error) => Err(error),
    }
}

/// The accepted answer names the order.
fn order_page(body: &str) -> String {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    match answer["order"]["id"].as_str() {
        Some(id) => format!("/orders/{id}"),
        None => "/orders".to_owned(),
    }
}

fn fingerprint(body: &Value) -> String {
    let hash = Sha256::digest(format!("POST /orders {body}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the API would have been sent.
fn order_json(fields: &Fields) -> Value {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let line = |row: usize| {
        let quantity = text(&format!("line-{row}-quantity"));
        json!({
            "photo_id": text(&format!("line-{row}-photo")),
            "product": text(&format!("line-{row}-product")),
            "quantity": quantity.parse::<i64>().map_or(Value::String(quantity), Value::from),
        })
    };
    json!({
        "email": text("email"),
        "payment_token": text("payment_token"),
        "express": fields.contains_key("express"),
        "lines": ticked_rows(fields).into_iter().map(line).collect::<Vec<_>>(),
    })
}

/// The numbers of the rows whose photo is ticked, in order.
fn ticked_rows(fields: &Fields) -> Vec<usize> {
    let number = |name: &String| name.strip_prefix("line-")?.strip_suffix("-photo")?.parse().ok();
    let mut rows: Vec<usize> = fields.keys().filter_map(number).collect();
    rows.sort_unstable();
    rows
}

async fn blank(app: &App, customer: Option<Customer>) -> Result<OrderNewPage, ApiError> {
    let own = match customer {
        Some(customer) => photo_pages::page(app, customer, None, OFFERED).await?,
        None => Vec::new(),
    };
    let catalogue: Vec<ProductView> = app
        .db
        .run(|db| async move {
            let mut conn = db.conn().await?;
            Ok::<_, ApiError>(ProductView::all(&mut conn).await?)
        })
        .await?;
    let cheapest = catalogue.first().map(|product| product.id.clone()).unwrap_or_default();
    let orderable = own.iter().filter(|photo| photo.status != PhotoStatus::Rejected.name());
    Ok(OrderNewPage {
        shell: shell(app, customer, Section::Orders),
        idempotency_key: Uuid::now_v7().to_string(),
        rows: orderable.map(|photo| row(photo, &cheapest)).collect(),
        products: catalogue.iter().map(|product| choice(product, &catalogue)).collect(),
        email: String::new(),
        payment_token: "tok_ok".to_owned(),
        express: false,
        errors: Vec::new(),
    })
}

fn row(photo: &PhotoView, product: &str) -> OrderRowInput {
    OrderRowInput {
        photo_id: photo.id.to_string(),
        photo_name: photo.file_name.clone().unwrap_or_default(),
        pictures: pictures(photo),
        chosen: false,
        product: product.to_owned(),
        quantity: "1".to_owned(),
    }
}

fn choice(product: &ProductView, catalogue: &[ProductView]) -> ProductChoice {
    let name_of =
        |id: &String| catalogue.iter().find(|other| other.id == *id).map(|other| other.name.clone());
    ProductChoice {
        id: product.id.clone(),
        name: product.name.clone(),
        price_cents: product.price_cents,
        stock: u32::try_from(product.stock).unwrap_or_default(),
        also_bought: product.also_bought.iter().filter_map(name_of).collect(),
    }
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

    #[test]
    fn ticked_rows_become_lines_in_their_order() {
        let fields: Fields = [
            ("line-10-photo", "b"),
            ("line-10-product", "print-10x15"),
            ("line-10-quantity", " 2 "),
            ("line-2-photo", "a"),
            ("line-2-quantity", "many"),
            ("line-3-product", "poster-50x70"),
            ("email", " ada@example.org "),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let body = order_json(&fields);
        assert_eq!(body["email"], "ada@example.org");
        assert_eq!(body["lines"][0], json!({"photo_id": "a", "product": "", "quantity": "many"}));
        assert_eq!(body["lines"][1]["quantity"], 2);
        assert_eq!(body["express"], false);
        assert_eq!(body["lines"].as_array().unwrap().len(), 2);
    }
}
