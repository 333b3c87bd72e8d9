//! The sandbox gateway's ledger: at most one charge an order, and a void that outlives a late charge.
//!
//! It stands for a gateway somewhere else, so every call takes a connection of its own and commits by
//! itself: the caller must hold none.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::{for_update, now};
use super::schema::payments;
use super::{Db, DbError, Tx, with};
use crate::domain::OrderId;

/// An order's entry in the ledger.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = payments)]
pub struct Payment {
    /// `asked`, `charged`, `declined`, `refunded` or `voided`.
    pub state: String,
    /// How much, in cents.
    pub amount_cents: i64,
    /// How often a charge was asked for.
    pub asked: i32,
}

/// Counts a request to charge and returns the entry as it is then.
///
/// # Errors
/// Those of the database.
pub async fn ask(db: &Db, order: OrderId, amount_cents: i64) -> Result<Payment, DbError> {
    let mut tx = db.begin().await?;
    with!(tx.conn(), |c| {
        diesel::insert_into(payments::table)
            .values((
                payments::order_id.eq(order),
                payments::state.eq("asked"),
                payments::amount_cents.eq(amount_cents),
                payments::asked.eq(0),
                payments::updated_at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    let payment: Payment = with!(tx.conn(), |c| {
        diesel::update(payments::table.find(order))
            .set((payments::asked.eq(payments::asked + 1), payments::updated_at.eq(now())))
            .returning(Payment::as_returning())
            .get_result(c)
            .await
    })?;
    tx.commit().await?;
    Ok(payment)
}

/// Writes down how a request to charge ended, unless the order was charged or voided meanwhile.
/// Returns the entry's state then.
///
/// # Errors
/// Those of the database.
pub async fn answer(db: &Db, order: OrderId, state: &str) -> Result<String, DbError> {
    let mut tx = db.begin().await?;
    with!(tx.conn(), |c| {
        diesel::update(payments::table.find(order).filter(payments::state.eq("asked")))
            .set((payments::state.eq(state), payments::updated_at.eq(now())))
            .execute(c)
            .await
    })?;
    let state = current(&mut tx, order).await?.map_or_else(|| "asked".to_owned(), |p| p.state);
    tx.commit().await?;
    Ok(state)
}

/// Takes a charge back, or leaves a void that refuses a charge that comes later.
///
/// # Errors
/// Those of the database.
pub async fn refund(db: &Db, order: OrderId) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    with!(tx.conn(), |c| {
        diesel::insert_into(payments::table)
            .values((
                payments::order_id.eq(order),
                payments::state.eq("voided"),
                payments::amount_cents.eq(0_i64),
                payments::asked.eq(0),
                payments::updated_at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    let next = match current(&mut tx, order).await?.map(|payment| payment.state).as_deref() {
        Some("charged") => Some("refunded"),
        Some("asked") => Some("voided"),
        _ => None,
    };
    if let Some(next) = next {
        with!(tx.conn(), |c| {
            diesel::update(payments::table.find(order))
                .set((payments::state.eq(next), payments::updated_at.eq(now())))
                .execute(c)
                .await
        })?;
    }
    tx.commit().await
}

async fn current(tx: &mut Tx, order: OrderId) -> Result<Option<Payment>, DbError> {
    let rows: Vec<Payment> = with!(tx.conn(), |c| {
        for_update(payments::table.filter(payments::order_id.eq(order)).select(Payment::as_select()))
            .load(c)
            .await
    })?;
    Ok(rows.into_iter().next())
}
