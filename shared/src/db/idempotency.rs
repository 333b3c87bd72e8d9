//! Idempotency keys: an answer is kept in the transaction of what it answers, so that the same request
//! twice is the same order once (draft-ietf-httpapi-idempotency-key-header).

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::expressions::{now, now_minus};
use super::schema::idempotency_keys as keys;
use super::{Conn, DbError, Tx, with};
use crate::domain::CustomerId;

/// How long an answer is kept.
pub const KEPT: Duration = Duration::from_secs(24 * 3600);

/// A request's key, its fingerprint, and who sent it.
#[derive(Debug, Clone)]
pub struct KeyedRequest {
    /// Keys of different customers never meet.
    pub customer: CustomerId,
    /// The `Idempotency-Key` header.
    pub key: String,
    /// SHA-256 of method, path and body, in hexadecimal.
    pub hash: String,
}

/// An answer that was given.
#[derive(Debug, Clone, Queryable)]
pub struct StoredAnswer {
    /// Fingerprint of the request that got it.
    pub request_hash: String,
    /// The `Location` header.
    pub location: String,
    /// The JSON body.
    pub body: String,
}

/// What is known of a key.
#[derive(Debug)]
pub enum Key {
    /// It is ours now: answer, then [`store`].
    New,
    /// The same request was answered before.
    Answered(StoredAnswer),
    /// Another request was answered under this key.
    Misused,
    /// The same key is being answered right now, by somebody else. The transaction is as it was.
    Busy,
}

/// Claims a key for this transaction. Whoever comes second waits at most two seconds for the first.
///
/// # Errors
/// Those of the database.
pub async fn claim(tx: &mut Tx, request: &KeyedRequest) -> Result<Key, DbError> {
    begin_waiting(tx.conn()).await?;
    match insert(tx, request).await {
        Ok(inserted) => {
            end_waiting(tx.conn()).await?;
            if inserted == 1 {
                return Ok(Key::New);
            }
        }
        Err(DbError::Unavailable(_)) if tx.lacked_a_lock() => {
            undo_waiting(tx.conn()).await?;
            return Ok(Key::Busy);
        }
        Err(error) => return Err(error),
    }
    let stored: Option<StoredAnswer> = with!(tx.conn(), |c| {
        keys::table
            .filter(keys::customer_id.eq(request.customer))
            .filter(keys::key.eq(&request.key))
            .select((keys::request_hash, keys::location, keys::body))
            .first(c)
            .await
            .optional()
    })?;
    Ok(match stored {
        None => Key::Busy,
        Some(answer) if answer.request_hash != request.hash => Key::Misused,
        Some(answer) => Key::Answered(answer),
    })
}

/// Puts the key's row in the place of one that has expired. Both statements may have to wait.
async fn insert(tx: &mut Tx, request: &KeyedRequest) -> Result<usize, DbError> {
    with!(tx.conn(), |c| {
        let old = keys::table
            .filter(keys::customer_id.eq(request.customer))
            .filter(keys::key.eq(&request.key))
            .filter(keys::created_at.lt(now_minus(KEPT)));
        diesel::delete(old).execute(c).await
    })?;
    Ok(with!(tx.conn(), |c| {
        diesel::insert_into(keys::table)
            .values((
                keys::customer_id.eq(request.customer),
                keys::key.eq(&request.key),
                keys::request_hash.eq(&request.hash),
                keys::location.eq(""),
                keys::body.eq(""),
                keys::created_at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?)
}

/// PostgreSQL makes the second insert of a key wait for the first one's transaction; on SQLite that
/// wait happened when the transaction began. The savepoint is there because an error, and a timeout is
/// one, would spoil the whole transaction: its commit would do nothing, and not even say so.
async fn begin_waiting(conn: &mut Conn) -> Result<(), DbError> {
    conn.postgres("SAVEPOINT key; SET LOCAL lock_timeout = '2s'").await
}

async fn end_waiting(conn: &mut Conn) -> Result<(), DbError> {
    let usual = conn.lock_timeout().as_millis();
    conn.postgres(&format!("SET LOCAL lock_timeout = {usual}; RELEASE SAVEPOINT key")).await
}

async fn undo_waiting(conn: &mut Conn) -> Result<(), DbError> {
    conn.postgres("ROLLBACK TO SAVEPOINT key; RELEASE SAVEPOINT key").await
}

/// Keeps the answer under the key that this transaction claimed.
///
/// # Errors
/// Those of the database.
pub async fn store(tx: &mut Tx, request: &KeyedRequest, location: &str, body: &str) -> Result<(), DbError> {
    with!(tx.conn(), |c| {
        let own =
            keys::table.filter(keys::customer_id.eq(request.customer)).filter(keys::key.eq(&request.key));
        diesel::update(own).set((keys::location.eq(location), keys::body.eq(body))).execute(c).await
    })?;
    Ok(())
}
