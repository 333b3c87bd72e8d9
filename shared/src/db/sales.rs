//! The orders of a report, in pages: never one large query, never all of them in memory.

use std::collections::HashMap;

use chrono::{NaiveDate, NaiveTime};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::{order_lines, orders};
use crate::domain::OrderId;
use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::sales::CountedOrder;
use database::{Conn, DbError, with};
use model::Timestamp;

/// Where a page ended; the next one begins after it.
pub type Place = (Timestamp, OrderId);

/// How many orders came in from the beginning of `first` to the end of `last`, in UTC.
///
/// # Errors
/// Those of the database.
pub async fn count(conn: &mut Conn, first: NaiveDate, last: NaiveDate) -> Result<i64, DbError> {
    Ok(with!(conn, |c| {
        let mut counted = orders::table.filter(orders::created_at.ge(midnight(first))).into_boxed();
        if let Some(after) = last.succ_opt() {
            counted = counted.filter(orders::created_at.lt(midnight(after)));
        }
        counted.count().get_result(c).await
    })?)
}

/// The next orders of these days after `place`, the oldest first.
///
/// # Errors
/// Those of the database.
pub async fn page(
    conn: &mut Conn,
    first: NaiveDate,
    last: NaiveDate,
    place: Option<Place>,
    limit: i64,
) -> Result<Vec<CountedOrder>, DbError> {
    type Row = (OrderId, Timestamp, OrderStatus, Option<RejectReason>);
    let rows: Vec<Row> = with!(conn, |c| {
        let mut page = orders::table
            .filter(orders::created_at.ge(midnight(first)))
            .order((orders::created_at, orders::id))
            .limit(limit)
            .select((orders::id, orders::created_at, orders::status, orders::reason))
            .into_boxed();
        if let Some(after) = last.succ_opt() {
            page = page.filter(orders::created_at.lt(midnight(after)));
        }
        if let Some((at, id)) = place {
            // The first half lets the index find the place.
            let later = orders::created_at.gt(at).or(orders::id.gt(id));
            page = page.filter(orders::created_at.ge(at)).filter(later);
        }
        page.load(c).await
    })?;
    let ids: Vec<OrderId> = rows.iter().map(|(id, ..)| *id).collect();
    let found: Vec<(OrderId, String, i32, i64)> = with!(conn, |c| {
        let columns =
            (order_lines::order_id, order_lines::product_id, order_lines::quantity, order_lines::price_cents);
        order_lines::table.filter(order_lines::order_id.eq_any(&ids)).select(columns).load(c).await
    })?;
    let mut lines: HashMap<OrderId, Vec<(String, i32, i64)>> = HashMap::new();
    for (order, product, quantity, price_cents) in found {
        lines.entry(order).or_default().push((product, quantity, price_cents));
    }
    let counted = rows.into_iter().map(|(id, created_at, status, reason)| {
        let lines = lines.remove(&id).unwrap_or_default();
        CountedOrder { id, created_at, status, reason, lines }
    });
    Ok(counted.collect())
}

fn midnight(day: NaiveDate) -> Timestamp {
    Timestamp(day.and_time(NaiveTime::MIN).and_utc())
}
