//! The sandbox gateway's ledger: at most one charge an order, and a void that outlives a late charge.
//!
//! It stands for a gateway somewhere else, so every call takes a connection of its own and commits by
//! itself: the caller must hold none. Each call is one statement, which is a transaction of its own.

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;

use super::schema::payments;
use crate::domain::OrderId;
use database::expressions::now;
use database::{Db, DbError, with};

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

/// Counts a request to charge and returns the entry as it is then. One that is new or still `asked` goes to this
/// state: `charged` or `declined` if the card decides at once, `asked` if it does not.
///
/// # Errors
/// Those of the database.
pub async fn ask(db: &Db, order: OrderId, amount_cents: i64, state: &str) -> Result<Payment, DbError> {
    let mut conn = db.conn().await?;
    Ok(with!(&mut conn, |c| {
        let undecided = payments::state.eq("asked");
        diesel::insert_into(payments::table)
            .values((
                payments::order_id.eq(order),
                payments::state.eq(state),
                payments::amount_cents.eq(amount_cents),
                payments::asked.eq(1),
                payments::updated_at.eq(now()),
            ))
            .on_conflict(payments::order_id)
            .do_update()
            .set((
                payments::state
                    .eq(case_when(undecided, excluded(payments::state)).otherwise(payments::state)),
                payments::asked.eq(payments::asked + 1),
                payments::updated_at.eq(now()),
            ))
            .returning(Payment::as_returning())
            .get_result(c)
            .await
    })?)
}

/// Writes down how a request to charge ended, unless the order was charged or voided meanwhile.
/// Returns the entry's state then.
///
/// # Errors
/// Those of the database.
pub async fn answer(db: &Db, order: OrderId, state: &str) -> Result<String, DbError> {
    let mut conn = db.conn().await?;
    let state: Option<String> = with!(&mut conn, |c| {
        let undecided = payments::state.eq("asked");
        diesel::update(payments::table.find(order))
            .set((
                payments::state.eq(case_when(undecided, state.into_sql::<Text>()).otherwise(payments::state)),
                payments::updated_at.eq(now()),
            ))
            .returning(payments::state)
            .get_result(c)
            .await
            .optional()
    })?;
    Ok(state.unwrap_or_else(|| "asked".to_owned()))
}

/// Takes a charge back, or leaves a void that refuses a charge that comes later.
///
/// # Errors
/// Those of the database.
pub async fn refund(db: &Db, order: OrderId) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    with!(&mut conn, |c| {
        let taken_back = case_when(payments::state.eq("charged"), "refunded".into_sql::<Text>())
            .when(payments::state.eq("asked"), "voided".into_sql::<Text>())
            .otherwise(payments::state);
        diesel::insert_into(payments::table)
            .values((
                payments::order_id.eq(order),
                payments::state.eq("voided"),
                payments::amount_cents.eq(0_i64),
                payments::asked.eq(0),
                payments::updated_at.eq(now()),
            ))
            .on_conflict(payments::order_id)
            .do_update()
            .set((payments::state.eq(taken_back), payments::updated_at.eq(now())))
            .execute(c)
            .await
    })?;
    Ok(())
}
