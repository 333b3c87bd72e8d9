//! Customers: anonymous, known by the hash of their token.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::{now, now_minus};
use super::schema::customers;
use super::{Conn, DbError, with};
use crate::domain::CustomerId;

/// Makes a customer who is known by a token of this hash (hexadecimal).
///
/// # Errors
/// Those of the database.
pub async fn create(conn: &mut Conn, token_hash: &str) -> Result<CustomerId, DbError> {
    let id = CustomerId::new();
    with!(conn, |c| {
        diesel::insert_into(customers::table)
            .values((
                customers::id.eq(id),
                customers::token_hash.eq(token_hash),
                customers::created_at.eq(now()),
            ))
            .execute(c)
            .await
    })?;
    Ok(id)
}

/// The customer with a token of this hash.
///
/// # Errors
/// Those of the database.
pub async fn by_token_hash(conn: &mut Conn, token_hash: &str) -> Result<Option<CustomerId>, DbError> {
    Ok(with!(conn, |c| {
        let known = customers::table.filter(customers::token_hash.eq(token_hash));
        known.select(customers::id).first(c).await.optional()
    })?)
}

/// Lets a customer who has nothing yet, but is in use, count as a young one (see [`super::retention`]).
///
/// # Errors
/// Those of the database.
pub async fn keep(conn: &mut Conn, id: CustomerId) -> Result<(), DbError> {
    with!(conn, |c| {
        let old = customers::table.find(id).filter(customers::created_at.lt(now_minus(HALF_A_DAY)));
        diesel::update(old).set(customers::created_at.eq(now())).execute(c).await
    })?;
    Ok(())
}

/// No customer is removed who is younger.
const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);
