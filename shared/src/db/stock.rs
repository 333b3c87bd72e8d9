//! Stock: taken and given back at most once an order and product, never below zero.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel_async::RunQueryDsl;

use super::schema::{products, stock_moves};
use crate::domain::OrderId;
use database::commit_with;
use database::expressions::now;
use database::{DbError, Tx, with};

/// It fails where the stock does not suffice, by the table's check: the commit is sent before it is answered.
macro_rules! taking {
    ($product:expr, $quantity:expr) => {
        diesel::update(products::table.find($product)).set(products::stock.eq(products::stock - $quantity))
    };
}

/// Whether the stock sufficed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Everything is taken (now, or by an earlier run), and the transaction is committed.
    Yes,
    /// Something is short; the transaction is rolled back.
    Short,
}

/// Takes what an order needs, and commits. The products' rows are locked last, in the order of their ids, so that two
/// orders can't lock each other out, and in a way that lets others place orders of them meanwhile. The last of them goes
/// with the commit: everybody who orders the same product waits for it.
///
/// # Errors
/// Those of the database; then nothing is done, or (when it went away during the commit) it is not known.
pub async fn reserve(
    mut tx: Tx,
    order: OrderId,
    wanted: &BTreeMap<String, i32>,
) -> Result<Reserved, DbError> {
    let taken: Vec<String> = moved(&mut tx, order, "reserve").await?;
    let open: Vec<_> = wanted.iter().filter(|(product, _)| !taken.contains(product)).collect();
    for (product, quantity) in &open {
        note_move(&mut tx, order, product, "reserve", **quantity).await?;
    }
    let Some(((last, quantity), others)) = open.split_last() else {
        tx.commit().await?;
        return Ok(Reserved::Yes);
    };
    for (product, quantity) in others {
        let done = with!(tx.conn(), |c| taking!(product, **quantity).execute(c).await);
        if let Err(error) = done {
            tx.rollback().await?;
            return short(error);
        }
    }
    match commit_with!(tx, taken = |c| taking!(last, **quantity).execute(c)) {
        Ok(_) => Ok(Reserved::Yes),
        Err(error) => short(error),
    }
}

fn short(error: DbError) -> Result<Reserved, DbError> {
    match error {
        DbError::Other(DieselError::DatabaseError(DatabaseErrorKind::CheckViolation, _)) => {
            Ok(Reserved::Short)
        }
        other => Err(other),
    }
}

/// Gives back what an order took, if it took anything and has not given it back.
///
/// # Errors
/// Those of the database.
pub async fn release(tx: &mut Tx, order: OrderId) -> Result<(), DbError> {
    let mut taken: Vec<(String, i32)> = with!(tx.conn(), |c| {
        stock_moves::table
            .filter(stock_moves::order_id.eq(order))
            .filter(stock_moves::kind.eq("reserve"))
            .order(stock_moves::product_id)
            .select((stock_moves::product_id, stock_moves::quantity))
            .load(c)
            .await
    })?;
    let given_back = moved(tx, order, "release").await?;
    taken.retain(|(product, _)| !given_back.contains(product));
    for (product, quantity) in &taken {
        note_move(tx, order, product, "release", *quantity).await?;
    }
    for (product, quantity) in taken {
        with!(tx.conn(), |c| {
            diesel::update(products::table.find(product))
                .set(products::stock.eq(products::stock + quantity))
                .execute(c)
                .await
        })?;
    }
    Ok(())
}

async fn moved(tx: &mut Tx, order: OrderId, kind: &str) -> Result<Vec<String>, DbError> {
    Ok(with!(tx.conn(), |c| {
        stock_moves::table
            .filter(stock_moves::order_id.eq(order))
            .filter(stock_moves::kind.eq(kind))
            .select(stock_moves::product_id)
            .load(c)
            .await
    })?)
}

async fn note_move(
    tx: &mut Tx,
    order: OrderId,
    product: &str,
    kind: &str,
    quantity: i32,
) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        diesel::insert_into(stock_moves::table)
            .values((
                stock_moves::order_id.eq(order),
                stock_moves::product_id.eq(product),
                stock_moves::kind.eq(kind),
                stock_moves::quantity.eq(quantity),
                stock_moves::at.eq(now()),
            ))
            .execute(c)
            .await
    })?;
    Ok(())
}
