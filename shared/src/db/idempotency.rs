//! Idempotency keys: an answer is kept in the transaction of what it answers, so that the same request
//! twice is the same order once (draft-ietf-httpapi-idempotency-key-header).

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::schema::idempotency_keys as keys;
use crate::domain::CustomerId;
use database::commit_with;
use database::{DbError, Tx};

/// Writes the key's row, or takes one that has expired. PostgreSQL makes the second insert of a key wait for the
/// first one's transaction; on SQLite that wait happened when the transaction began.
macro_rules! claiming {
    ($request:expr) => {
        diesel::query_dsl::methods::FilterDsl::filter(
            diesel::insert_into(keys::table)
                .values((
                    keys::customer_id.eq($request.customer),
                    keys::key.eq(&$request.key),
                    keys::request_hash.eq(&$request.hash),
                    keys::location.eq(""),
                    keys::body.eq(""),
                    keys::created_at.eq(now()),
                ))
                .on_conflict((keys::customer_id, keys::key))
                .do_update()
                .set((
                    keys::request_hash.eq(excluded(keys::request_hash)),
                    keys::location.eq(""),
                    keys::body.eq(""),
                    keys::created_at.eq(excluded(keys::created_at)),
                )),
            keys::created_at.lt(now_minus(KEPT)),
        )
    };
}

/// The answer under a key. In a statement after [`claiming!`], it sees what that waited for.
macro_rules! stored {
    ($request:expr) => {
        keys::table
            .filter(keys::customer_id.eq($request.customer))
            .filter(keys::key.eq(&$request.key))
            .select((keys::request_hash, keys::location, keys::body))
    };
}

/// Writes the answer of a key that is claimed.
macro_rules! keeping {
    ($request:expr, $location:expr, $body:expr) => {
        diesel::update(
            keys::table.filter(keys::customer_id.eq($request.customer)).filter(keys::key.eq(&$request.key)),
        )
        .set((keys::location.eq($location), keys::body.eq($body)))
    };
}
pub(super) use {claiming, keeping, stored};

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
    /// It is ours now: answer, then [`store_and_commit`].
    New,
    /// The same request was answered before.
    Answered(StoredAnswer),
    /// Another request was answered under this key.
    Misused,
    /// The same key is being answered right now, by somebody else. The transaction is to be rolled back.
    Busy,
}

/// How long whoever comes second waits for the first.
pub const WAIT: Duration = Duration::from_secs(2);

/// What the answers to [`claiming!`] and [`stored!`] say.
pub(super) fn found(
    tx: &Tx,
    request: &KeyedRequest,
    asked: Result<(usize, Vec<StoredAnswer>), DbError>,
) -> Result<Key, DbError> {
    let stored = match asked {
        Ok((1, _)) => return Ok(Key::New),
        Ok((_, stored)) => stored.into_iter().next(),
        Err(DbError::Unavailable(_)) if tx.lacked_a_lock() => return Ok(Key::Busy),
        Err(error) => return Err(error),
    };
    Ok(match stored {
        None => Key::Busy,
        Some(answer) if answer.request_hash != request.hash => Key::Misused,
        Some(answer) => Key::Answered(answer),
    })
}

/// Keeps the answer under the key that this transaction claimed, and commits.
///
/// # Errors
/// Those of the database; then nothing is written, or (when it went away during the commit) it is not known.
pub async fn store_and_commit(
    tx: Tx,
    request: &KeyedRequest,
    location: &str,
    body: &str,
) -> Result<(), DbError> {
    commit_with!(tx, kept = |c| keeping!(request, location, body).execute(c))?;
    Ok(())
}
