//! Which products are ordered together: counted by a job, shown in the catalogue.

use std::collections::HashMap;
use std::time::Duration;

use diesel::dsl::count;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{also_bought, order_lines, orders};
use crate::domain::order::OrderStatus;
use database::expressions::now_minus;
use database::{Conn, DbError, Tx, WHOLE_TABLE, with};

/// The most others of one product that are kept.
pub const MOST_OTHERS: i64 = 3;

/// Counts anew what the confirmed orders of the last `window` had beside this product.
///
/// # Errors
/// Those of the database.
pub async fn recount(tx: &mut Tx, product: &str, window: Duration) -> Result<usize, DbError> {
    tx.allow(WHOLE_TABLE).await?;
    let beside = diesel::alias!(order_lines as beside);
    let counted: Vec<(String, i64)> = with!(tx.conn(), |c| {
        let of_product = beside.filter(beside.field(order_lines::product_id).eq(product));
        let recent = orders::table
            .filter(orders::status.eq(OrderStatus::Confirmed))
            .filter(orders::created_at.gt(now_minus(window)));
        // An order may have a product in several lines.
        let together = || count(order_lines::order_id).aggregate_distinct();
        order_lines::table
            .filter(order_lines::product_id.ne(product))
            .filter(order_lines::order_id.eq_any(of_product.select(beside.field(order_lines::order_id))))
            .filter(order_lines::order_id.eq_any(recent.select(orders::id)))
            .group_by(order_lines::product_id)
            .order((together().desc(), order_lines::product_id.asc()))
            .limit(MOST_OTHERS)
            .select((order_lines::product_id, together()))
            .load(c)
            .await
    })?;
    with!(tx.conn(), |c| {
        diesel::delete(also_bought::table.filter(also_bought::product_id.eq(product))).execute(c).await
    })?;
    for (other, count) in &counted {
        with!(tx.conn(), |c| {
            diesel::insert_into(also_bought::table)
                .values((
                    also_bought::product_id.eq(product),
                    also_bought::other_id.eq(other),
                    also_bought::orders.eq(count),
                ))
                .execute(c)
                .await
        })?;
    }
    Ok(counted.len())
}

/// The others of each product, by id, the most frequent first.
///
/// # Errors
/// Those of the database.
pub async fn all(conn: &mut Conn) -> Result<HashMap<String, Vec<String>>, DbError> {
    let rows: Vec<(String, String)> = with!(conn, |c| {
        also_bought::table
            .order((also_bought::product_id, also_bought::orders.desc(), also_bought::other_id))
            .select((also_bought::product_id, also_bought::other_id))
            .load(c)
            .await
    })?;
    let mut others: HashMap<String, Vec<String>> = HashMap::new();
    for (product, other) in rows {
        others.entry(product).or_default().push(other);
    }
    Ok(others)
}
