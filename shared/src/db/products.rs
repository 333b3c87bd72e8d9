//! The catalogue.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::products;
use super::{Conn, DbError, with};
use crate::domain::print::PrintFormat;

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

/// What a product measures and how finely it is printed; `None` if there is no such product.
///
/// # Errors
/// Those of the database.
pub async fn format(conn: &mut Conn, id: &str) -> Result<Option<PrintFormat>, DbError> {
    let row: Option<(i32, i32, i32)> = with!(conn, |c| {
        products::table
            .find(id)
            .select((products::short_mm, products::long_mm, products::dpi))
            .first(c)
            .await
            .optional()
    })?;
    // The table's checks keep all three small and above zero.
    Ok(row.map(|(short_mm, long_mm, dpi)| PrintFormat {
        short_mm: short_mm.unsigned_abs(),
        long_mm: long_mm.unsigned_abs(),
        dpi: u16::try_from(dpi).unwrap_or(u16::MAX),
    }))
}
