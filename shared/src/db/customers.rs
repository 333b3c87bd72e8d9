//! Customers: anonymous, known by the hash of their token.

use std::sync::LazyLock;
use std::time::Duration;

use ::jobs::Job;
use ::jobs::schema::jobs;
use ::jobs::status::count_of;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::RunQueryDsl;

use super::schema::customers;
use crate::domain::CustomerId;
use database::expressions::{now, now_minus};
use database::{Conn, DbError, with};
use model::sql_types::Id;
use model::{JobId, Queue};

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

/// A job of the customer who has this token: right and row in one statement.
///
/// # Errors
/// Those of the database.
pub async fn job_by_token(conn: &mut Conn, id: JobId, token_hash: &str) -> Result<Option<Job>, DbError> {
    Ok(with!(conn, |c| {
        let owner = sql::<Nullable<Id>>("(SELECT id FROM customers WHERE token_hash = ");
        let owner = owner.bind::<Text, _>(token_hash).sql(")");
        jobs::table
            .filter(jobs::id.eq(id))
            .filter(jobs::owner.eq(owner))
            .select(Job::as_select())
            .first(c)
            .await
            .optional()
    })?)
}

/// The customer who has this token, and how many unfinished jobs they have, as
/// [`unfinished_of`](::jobs::status::unfinished_of) counts them: one look for both.
///
/// # Errors
/// Those of the database.
pub async fn unfinished_by_token(
    conn: &mut Conn,
    token_hash: &str,
    limit: i64,
) -> Result<Option<(CustomerId, i64)>, DbError> {
    let known: Vec<Known> = with!(conn, |c| {
        let look = diesel::sql_query(UNFINISHED_BY_TOKEN.as_str())
            .bind::<Text, _>(Queue::CALLBACKS.name())
            .bind::<BigInt, _>(limit)
            .bind::<Text, _>(token_hash);
        look.load(c).await
    })?;
    Ok(known.into_iter().next().map(|customer| (customer.id, customer.jobs)))
}

#[derive(QueryableByName)]
struct Known {
    #[diesel(sql_type = Id)]
    id: CustomerId,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

/// SQLite numbers the parameters as they come in the text.
static UNFINISHED_BY_TOKEN: LazyLock<String> = LazyLock::new(|| {
    let count = count_of("customers.id", "$1", "$2");
    format!("SELECT customers.id, ({count}) AS jobs FROM customers WHERE token_hash = $3")
});
