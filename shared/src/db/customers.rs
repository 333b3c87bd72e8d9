//! Customers: anonymous, known by the hash of their token.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::now;
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
