//! The catalogue.

pub mod api;

use std::collections::HashMap;

use database::{Conn, DbError};
use serde::Serialize;
use shared::db::also_bought;
use shared::db::products::{self as rows, Product};
use utoipa::ToSchema;

use crate::App;
use crate::http::error::ApiError;

/// Something that can be ordered.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProductView {
    /// Its id: what an order's lines name.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What one costs, in cents.
    pub price_cents: i64,
    /// How many there are.
    pub stock: i32,
    /// Ids of products that were often ordered together with it, the most frequent first.
    pub also_bought: Vec<String>,
}

impl ProductView {
    /// From the product's row; what was ordered with it is taken out of `others`.
    pub fn new(product: Product, others: &mut HashMap<String, Vec<String>>) -> Self {
        let Product { id, name, price_cents, stock } = product;
        let also_bought = others.remove(&id).unwrap_or_default();
        Self { id, name, price_cents, stock, also_bought }
    }

    async fn all(conn: &mut Conn) -> Result<Vec<Self>, DbError> {
        let mut others = also_bought::all(conn).await?;
        let products = rows::all(conn).await?;
        Ok(products.into_iter().map(|product| Self::new(product, &mut others)).collect())
    }
}

/// Everything that can be ordered, the cheapest first.
///
/// # Errors
/// Those of the database.
pub async fn list(app: &App) -> Result<Vec<ProductView>, ApiError> {
    app.db.run(|db| async move { Ok(ProductView::all(&mut db.conn().await?).await?) }).await
}
