//! The list of orders.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use askama::Template;
use shared::db::orders as rows;
use shared::db::orders::Order;
use shared::domain::OrderId;
use shared::domain::order::OrderStatus;
use uuid::Uuid;

use super::status::{Badge, badge, short_id};
use super::{Shown, load};
use crate::App;
use crate::auth::customer::{Customer, OptionalCustomer};
use crate::http::error::ApiError;
use crate::http::paging::Cursor;
use crate::orders::view::OrderView;
use crate::pages::{Section, Shell, format, html};
use crate::photos::picture::{Picture, pictures, unsigned};
use crate::photos::view::PhotoView;

/// `GET /orders`: the visitor's own orders, newest first.
#[derive(Debug, Template)]
#[template(path = "orders.html")]
pub struct OrdersPage {
    /// Around the content.
    pub shell: Shell,
    /// This page of the list.
    pub orders: Vec<OrderRow>,
    /// The page of older orders, with its cursor.
    pub older_url: Option<String>,
}

/// One order in the list.
#[derive(Debug, Clone)]
pub struct OrderRow {
    /// The order's id.
    pub id: String,
    /// Where it is in its fulfilment.
    pub status: OrderStatus,
    /// When it was placed (RFC 3339).
    pub placed_at: String,
    /// The price of all lines together, in cents.
    pub total_cents: i64,
    /// How many prints it has.
    pub prints: u64,
    /// Small pictures of some of its photos.
    pub thumbs: Vec<Picture>,
}

impl OrderRow {
    /// The status, as a badge.
    pub fn badge(&self) -> Badge {
        badge(self.status)
    }

    /// The total, readable.
    pub fn total(&self) -> String {
        format::money(self.total_cents)
    }

    /// `3 prints`.
    pub fn prints_text(&self) -> String {
        format::count(self.prints, "print")
    }

    /// When it was placed, readable.
    pub fn placed(&self) -> String {
        format::readable_time(&self.placed_at)
    }

    /// The end of the id.
    pub fn short_id(&self) -> &str {
        short_id(&self.id)
    }
}

/// Orders on one page of the list.
const PAGE: usize = 20;

/// Small pictures beside an order in the list.
const THUMBS: usize = 4;

/// `GET /orders`
pub async fn show(
    app: Data<App>,
    OptionalCustomer(customer): OptionalCustomer,
    query: Query<Cursor>,
) -> Result<HttpResponse, ApiError> {
    let mut shown = match customer {
        Some(customer) => own_page(&app, customer, query.id()).await?,
        None => Shown { orders: Vec::new(), photos: HashMap::new() },
    };
    let more = shown.orders.len() > PAGE;
    shown.orders.truncate(PAGE);
    let last = shown.orders.last().filter(|_| more);
    let older_url = last.map(|(order, _)| format!("/orders?before={}", order.id));
    html(&OrdersPage {
        shell: Shell::of(&app, customer, Section::Orders),
        orders: shown.orders.iter().map(|(order, view)| row(order, view, &shown.photos)).collect(),
        older_url,
    })
}

async fn own_page(app: &App, customer: Customer, before: Option<OrderId>) -> Result<Shown, ApiError> {
    app.db
        .run(move |db| async move {
            let mut conn = db.conn().await?;
            let list = rows::page(&mut conn, customer.id, before, PAGE as i64 + 1).await?;
            load(&mut conn, list).await
        })
        .await
}

fn row(order: &Order, view: &OrderView, photos: &HashMap<Uuid, PhotoView>) -> OrderRow {
    let mut seen = Vec::new();
    for line in &view.lines {
        if !seen.contains(&line.photo_id) {
            seen.push(line.photo_id);
        }
    }
    let thumbs =
        seen.iter().filter_map(|id| photos.get(id)).filter_map(|photo| pictures(photo).into_iter().next());
    OrderRow {
        id: order.id.to_string(),
        status: order.status,
        placed_at: order.created_at.rfc3339(),
        total_cents: order.total_cents,
        prints: view.lines.iter().map(|line| u64::from(unsigned(line.quantity))).sum(),
        thumbs: thumbs.take(THUMBS).collect(),
    }
}
