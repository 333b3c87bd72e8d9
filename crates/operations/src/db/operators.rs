//! Operators, their sessions and their tokens. Of both only hashes are kept.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::db::schema::{operator_sessions, operator_tokens, operators};
use crate::ids::{OperatorId, OperatorTokenId};
use crate::operator::Operator;
use database::expressions::{for_share, now, now_minus};
use database::{Conn, DbError, Tx, with};
use model::Timestamp;

/// A session that was not used for so long is over.
const IDLE: Duration = Duration::from_secs(12 * 3600);

/// A session is over after so long, used or not.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// When something was used last is written down this seldom: looking must not become writing.
const NOTE_EVERY: Duration = Duration::from_secs(60);

/// An operator as shown to others.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = operators)]
pub struct Row {
    /// The id.
    pub id: OperatorId,
    /// The name.
    pub name: String,
    /// Whether they may look and not touch.
    pub read_only: bool,
    /// Since when.
    pub created_at: Timestamp,
}

/// A token as shown to its operator.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = operator_tokens)]
pub struct TokenRow {
    /// The id.
    pub id: OperatorTokenId,
    /// What its operator calls it.
    pub name: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    pub used_at: Option<Timestamp>,
}

/// Makes an operator; `None` if the name is taken.
///
/// # Errors
/// Those of the database.
pub async fn create(
    conn: &mut Conn,
    name: &str,
    password_hash: &str,
    read_only: bool,
) -> Result<Option<OperatorId>, DbError> {
    let id = OperatorId::new();
    let made = with!(conn, |c| {
        diesel::insert_into(operators::table)
            .values((
                operators::id.eq(id),
                operators::name.eq(name),
                operators::password_hash.eq(password_hash),
                operators::read_only.eq(read_only),
                operators::created_at.eq(now()),
            ))
            .on_conflict_do_nothing()
            .execute(c)
            .await
    })?;
    Ok((made > 0).then_some(id))
}

/// Everybody, by name, and when each was last seen in a session that is not over.
///
/// # Errors
/// Those of the database.
pub async fn list(conn: &mut Conn) -> Result<Vec<(Row, Option<Timestamp>)>, DbError> {
    let all: Vec<Row> =
        with!(conn, |c| operators::table.order(operators::name).select(Row::as_select()).load(c).await)?;
    let seen: Vec<(OperatorId, Option<Timestamp>)> = with!(conn, |c| {
        operator_sessions::table
            .group_by(operator_sessions::operator_id)
            .select((operator_sessions::operator_id, diesel::dsl::max(operator_sessions::seen_at)))
            .load(c)
            .await
    })?;
    let with_seen = |row: Row| {
        let at = seen.iter().find(|(id, _)| *id == row.id).and_then(|(_, at)| *at);
        (row, at)
    };
    Ok(all.into_iter().map(with_seen).collect())
}

/// Whether there is any.
///
/// # Errors
/// Those of the database.
pub async fn any(conn: &mut Conn) -> Result<bool, DbError> {
    let first: Option<OperatorId> =
        with!(conn, |c| operators::table.select(operators::id).first(c).await.optional())?;
    Ok(first.is_some())
}

/// The operator of this name.
///
/// # Errors
/// Those of the database.
pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Row>, DbError> {
    Ok(with!(conn, |c| {
        let named = operators::table.filter(operators::name.eq(name));
        named.select(Row::as_select()).first(c).await.optional()
    })?)
}

/// The operator of this name, and the hash of their password.
///
/// # Errors
/// Those of the database.
pub async fn credentials(conn: &mut Conn, name: &str) -> Result<Option<(Operator, String)>, DbError> {
    let found: Option<(OperatorId, String, bool, String)> = with!(conn, |c| {
        let named = operators::table.filter(operators::name.eq(name));
        named
            .select((operators::id, operators::name, operators::read_only, operators::password_hash))
            .first(c)
            .await
            .optional()
    })?;
    Ok(found.map(|(id, name, read_only, hash)| (Operator { id, name, read_only }, hash)))
}

/// Removes the operator of this name, with their sessions and tokens; whether there was one.
///
/// # Errors
/// Those of the database.
pub async fn remove(conn: &mut Conn, name: &str) -> Result<bool, DbError> {
    let removed = with!(conn, |c| {
        diesel::delete(operators::table.filter(operators::name.eq(name))).execute(c).await
    })?;
    Ok(removed > 0)
}

/// Changes a password and ends all sessions of its operator; whether there is one of that name.
///
/// # Errors
/// Those of the database.
pub async fn set_password(tx: &mut Tx, name: &str, password_hash: &str) -> Result<bool, DbError> {
    let changed = with!(tx.conn(), |c| {
        diesel::update(operators::table.filter(operators::name.eq(name)))
            .set(operators::password_hash.eq(password_hash))
            .execute(c)
            .await
    })?;
    with!(tx.conn(), |c| {
        let named = operators::table.filter(operators::name.eq(name)).select(operators::id);
        diesel::delete(operator_sessions::table.filter(operator_sessions::operator_id.eq_any(named)))
            .execute(c)
            .await
    })?;
    Ok(changed > 0)
}

/// Opens a session, if the password is still the one that was verified: a change of it ends every session, also
/// one that is just being opened. Removes all sessions that are over.
///
/// # Errors
/// Those of the database.
pub async fn open_session(
    tx: &mut Tx,
    operator: OperatorId,
    verified_hash: &str,
    token_hash: &str,
) -> Result<bool, DbError> {
    let current: Option<String> = with!(tx.conn(), |c| {
        let own = operators::table.find(operator).select(operators::password_hash);
        for_share(own).get_result(c).await.optional()
    })?;
    if current.as_deref() != Some(verified_hash) {
        return Ok(false);
    }
    with!(tx.conn(), |c| {
        let idle = operator_sessions::seen_at.lt(now_minus(IDLE));
        let old = operator_sessions::created_at.lt(now_minus(LONGEST));
        diesel::delete(operator_sessions::table.filter(idle.or(old))).execute(c).await
    })?;
    with!(tx.conn(), |c| {
        diesel::insert_into(operator_sessions::table)
            .values((
                operator_sessions::token_hash.eq(token_hash),
                operator_sessions::operator_id.eq(operator),
                operator_sessions::created_at.eq(now()),
                operator_sessions::seen_at.eq(now()),
            ))
            .execute(c)
            .await
    })?;
    Ok(true)
}

/// Ends a session.
///
/// # Errors
/// Those of the database.
pub async fn close_session(conn: &mut Conn, token_hash: &str) -> Result<(), DbError> {
    with!(conn, |c| diesel::delete(operator_sessions::table.find(token_hash)).execute(c).await)?;
    Ok(())
}

/// Whose session this is, if it is not over.
///
/// # Errors
/// Those of the database.
pub async fn by_session(conn: &mut Conn, token_hash: &str) -> Result<Option<Operator>, DbError> {
    let found: Option<(OperatorId, String, bool, bool)> = with!(conn, |c| {
        operators::table
            .inner_join(operator_sessions::table)
            .filter(operator_sessions::token_hash.eq(token_hash))
            .filter(operator_sessions::seen_at.ge(now_minus(IDLE)))
            .filter(operator_sessions::created_at.ge(now_minus(LONGEST)))
            .select((
                operators::id,
                operators::name,
                operators::read_only,
                operator_sessions::seen_at.lt(now_minus(NOTE_EVERY)),
            ))
            .first(c)
            .await
            .optional()
    })?;
    let Some((id, name, read_only, unnoted)) = found else { return Ok(None) };
    if unnoted {
        with!(conn, |c| {
            let own = operator_sessions::table.find(token_hash);
            diesel::update(own).set(operator_sessions::seen_at.eq(now())).execute(c).await
        })?;
    }
    Ok(Some(Operator { id, name, read_only }))
}

/// Makes a token.
///
/// # Errors
/// Those of the database.
pub async fn create_token(
    conn: &mut Conn,
    operator: OperatorId,
    name: &str,
    token_hash: &str,
) -> Result<OperatorTokenId, DbError> {
    let id = OperatorTokenId::new();
    with!(conn, |c| {
        diesel::insert_into(operator_tokens::table)
            .values((
                operator_tokens::id.eq(id),
                operator_tokens::operator_id.eq(operator),
                operator_tokens::name.eq(name),
                operator_tokens::token_hash.eq(token_hash),
                operator_tokens::created_at.eq(now()),
            ))
            .execute(c)
            .await
    })?;
    Ok(id)
}

/// An operator's tokens, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn tokens(conn: &mut Conn, operator: OperatorId) -> Result<Vec<TokenRow>, DbError> {
    Ok(with!(conn, |c| {
        operator_tokens::table
            .filter(operator_tokens::operator_id.eq(operator))
            .order(operator_tokens::id.desc())
            .select(TokenRow::as_select())
            .load(c)
            .await
    })?)
}

/// Removes a token of this operator; gives its name, if there was one.
///
/// # Errors
/// Those of the database.
pub async fn remove_token(
    conn: &mut Conn,
    operator: OperatorId,
    id: OperatorTokenId,
) -> Result<Option<String>, DbError> {
    Ok(with!(conn, |c| {
        let own = operator_tokens::table.find(id).filter(operator_tokens::operator_id.eq(operator));
        diesel::delete(own).returning(operator_tokens::name).get_result(c).await.optional()
    })?)
}

/// Whose token this is.
///
/// # Errors
/// Those of the database.
pub async fn by_token(conn: &mut Conn, token_hash: &str) -> Result<Option<Operator>, DbError> {
    let recently = operator_tokens::used_at.ge(now_minus(NOTE_EVERY).nullable());
    let found: Option<(OperatorId, String, bool, Option<bool>)> = with!(conn, |c| {
        operators::table
            .inner_join(operator_tokens::table)
            .filter(operator_tokens::token_hash.eq(token_hash))
            .select((operators::id, operators::name, operators::read_only, recently))
            .first(c)
            .await
            .optional()
    })?;
    let Some((id, name, read_only, recently)) = found else { return Ok(None) };
    if recently != Some(true) {
        with!(conn, |c| {
            let own = operator_tokens::table.filter(operator_tokens::token_hash.eq(token_hash));
            diesel::update(own).set(operator_tokens::used_at.eq(now().nullable())).execute(c).await
        })?;
    }
    Ok(Some(Operator { id, name, read_only }))
}
