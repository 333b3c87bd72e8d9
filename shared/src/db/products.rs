//! The catalogue.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::products;
use database::{Conn, DbError, with};

/// Something that can be ordered.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = products)]
pub struct Product {
    /// Its id, stable.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What one costs, in cents.
    pub price_cents: i64,
    /// How many there are.
    pub stock: i32,
}

/// All of them, the cheapest first.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<Vec<Product>, DbError> {
    Ok(with!(conn, |c| {
        products::table
            .order((products::price_cents, products::id))
            .select(Product::as_select())
            .load(c)
            .await
    })?)
}
