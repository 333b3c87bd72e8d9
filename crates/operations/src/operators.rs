//! Who may operate: operators, their sessions in browsers, their tokens for programs.
//!
//! A session and a token are 256 random bits of which the database knows a hash; a password is hashed slowly.
//! All three end at once: with a log-out, a revocation, a change of the password, or their operator.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::db::{audit, operators};
use crate::ids::{OperatorId, OperatorTokenId};
use crate::operator::{Actor, Name, Operator};
use crate::{OperationError, may_change};
use database::{Db, DbError};
use model::Timestamp;
use platform::signing::{Password, Token, passwords};

/// The operator that the all-in-one makes at its first start.
pub const FIRST: &str = "admin";

/// An operator as shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OperatorView {
    /// The name.
    pub name: String,
    /// Whether they may look and not touch.
    pub read_only: bool,
    /// Since when.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Timestamp,
    /// When they were last seen, to the minute, in a session that is not over.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub seen_at: Option<Timestamp>,
}

/// A token as shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TokenView {
    /// The id.
    #[schema(value_type = uuid::Uuid)]
    pub id: OperatorTokenId,
    /// What its operator calls it.
    pub name: String,
    /// Since when.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Timestamp,
    /// When it was used last, to the minute.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub used_at: Option<Timestamp>,
}

/// A token that was just made.
#[derive(Debug)]
pub struct NewToken {
    /// The id.
    pub id: OperatorTokenId,
    /// What its operator calls it.
    pub name: String,
    /// The secret, which nobody can be told again.
    pub token: Token,
}

/// Somebody who has just logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub operator: Operator,
    /// Their new session.
    pub session: Token,
}

/// Adds an operator. Without a password one is made up and given back, once.
///
/// # Errors
/// The name or the password is none, or the name is taken.
pub async fn add(
    db: &Db,
    actor: &Actor,
    name: &str,
    password: Option<&str>,
    read_only: bool,
) -> Result<Option<Password>, OperationError> {
    may_change(actor)?;
    let name = parse_name("NAME", name)?;
    let (chosen, generated) = chosen_or_generated(password)?;
    let hash = chosen.hash().await?;
    let mut tx = db.begin().await?;
    let subject = json!({"operator": name.as_str(), "read_only": read_only});
    let entry = audit::begin(&mut tx, actor, "operator.add", &subject).await?;
    if operators::create(&mut tx, name.as_str(), &hash, read_only).await?.is_none() {
        tx.rollback().await?;
        return Err(OperationError::Refused(format!("there is an operator {} already", name.as_str())));
    }
    audit::finish(&mut tx, entry, 1, 0).await?;
    tx.commit().await?;
    Ok(generated)
}

/// Adds the first operator, [`FIRST`], if there is none at all, and gives their password.
///
/// # Errors
/// Those of the database.
pub async fn add_first(db: &Db, actor: &Actor) -> Result<Option<Password>, OperationError> {
    if operators::any(&mut db.conn().await?).await? {
        return Ok(None);
    }
    match add(db, actor, FIRST, None, false).await {
        // Another program on the same database was first.
        Err(OperationError::Refused(_)) => Ok(None),
        outcome => outcome,
    }
}

/// All operators, by name.
///
/// # Errors
/// Those of the database.
pub async fn list(db: &Db) -> Result<Vec<OperatorView>, OperationError> {
    let all = operators::list(&mut db.conn().await?).await?;
    let view = |(row, seen_at): (operators::Row, _)| OperatorView {
        name: row.name,
        read_only: row.read_only,
        created_at: row.created_at,
        seen_at,
    };
    Ok(all.into_iter().map(view).collect())
}

/// Removes an operator; their sessions and tokens end at once.
///
/// # Errors
/// There is none of that name.
pub async fn remove(db: &Db, actor: &Actor, name: &str) -> Result<(), OperationError> {
    may_change(actor)?;
    let name = known(name)?;
    let mut tx = db.begin().await?;
    let entry = audit::begin(&mut tx, actor, "operator.remove", &json!({"operator": name.as_str()})).await?;
    if !operators::remove(&mut tx, name.as_str()).await? {
        tx.rollback().await?;
        return Err(OperationError::Unknown("operator"));
    }
    audit::finish(&mut tx, entry, 1, 0).await?;
    Ok(tx.commit().await?)
}

/// Changes an operator's password and ends their sessions. Without one, it is made up and given back, once.
///
/// # Errors
/// The password is none, or there is no operator of that name.
pub async fn set_password(
    db: &Db,
    actor: &Actor,
    name: &str,
    password: Option<&str>,
) -> Result<Option<Password>, OperationError> {
    may_change(actor)?;
    let name = known(name)?;
    let (chosen, generated) = chosen_or_generated(password)?;
    let hash = chosen.hash().await?;
    let mut tx = db.begin().await?;
    let entry =
        audit::begin(&mut tx, actor, "operator.password", &json!({"operator": name.as_str()})).await?;
    if !operators::set_password(&mut tx, name.as_str(), &hash).await? {
        tx.rollback().await?;
        return Err(OperationError::Unknown("operator"));
    }
    audit::finish(&mut tx, entry, 1, 0).await?;
    tx.commit().await?;
    Ok(generated)
}

/// Logs somebody in: a new session, whatever session the browser had before, which ends. `None` if name and
/// password don't belong together; it takes as long whether there is such a name or not.
///
/// # Errors
/// Those of the database.
pub async fn log_in(
    db: &Db,
    name: &str,
    password: &str,
    before: Option<&Token>,
) -> Result<Option<LoggedIn>, OperationError> {
    let found = match name.parse::<Name>() {
        Ok(name) => operators::credentials(&mut db.conn().await?, name.as_str()).await?,
        // Nobody has such a name, whatever characters are in it.
        Err(_) => None,
    };
    // No connection is held while the password is hashed.
    let hash = found.as_ref().map(|(_, hash)| hash.as_str());
    let right = passwords::verify(password, hash).await?;
    let Some((operator, hash)) = found.filter(|_| right) else { return Ok(None) };
    let session = Token::generate();
    let mut tx = db.begin().await?;
    if !operators::open_session(&mut tx, operator.id, &hash, &session.hash().to_string()).await? {
        tx.rollback().await?;
        return Ok(None);
    }
    if let Some(before) = before {
        operators::close_session(&mut tx, &before.hash().to_string()).await?;
    }
    tx.commit().await?;
    Ok(Some(LoggedIn { operator, session }))
}

/// Ends a session.
///
/// # Errors
/// Those of the database.
pub async fn log_out(db: &Db, session: &Token) -> Result<(), DbError> {
    operators::close_session(&mut db.conn().await?, &session.hash().to_string()).await
}

/// Whose session this is, if it is not over.
///
/// # Errors
/// Those of the database.
pub async fn by_session(db: &Db, session: &Token) -> Result<Option<Operator>, DbError> {
    operators::by_session(&mut db.conn().await?, &session.hash().to_string()).await
}

/// Whose token this is.
///
/// # Errors
/// Those of the database.
pub async fn by_token(db: &Db, token: &Token) -> Result<Option<Operator>, DbError> {
    operators::by_token(&mut db.conn().await?, &token.hash().to_string()).await
}

/// Makes a token for the programs of an operator: it may do what they may.
///
/// # Errors
/// The token's name is none, or there is no such operator.
pub async fn create_token(
    db: &Db,
    actor: &Actor,
    operator: &str,
    name: &str,
) -> Result<NewToken, OperationError> {
    may_change(actor)?;
    let name = parse_name("name", name)?;
    let token = Token::generate();
    let mut tx = db.begin().await?;
    let subject = json!({"operator": operator, "token": name.as_str()});
    let entry = audit::begin(&mut tx, actor, "operator.token.create", &subject).await?;
    let Some(owner) = operators::by_name(&mut tx, operator).await? else {
        tx.rollback().await?;
        return Err(OperationError::Unknown("operator"));
    };
    let id = operators::create_token(&mut tx, owner.id, name.as_str(), &token.hash().to_string()).await?;
    audit::finish(&mut tx, entry, 1, 0).await?;
    tx.commit().await?;
    Ok(NewToken { id, name: name.as_str().to_owned(), token })
}

/// An operator's tokens, the newest first.
///
/// # Errors
/// Those of the database.
pub async fn tokens(db: &Db, operator: OperatorId) -> Result<Vec<TokenView>, OperationError> {
    let rows = operators::tokens(&mut db.conn().await?, operator).await?;
    let view = |row: operators::TokenRow| TokenView {
        id: row.id,
        name: row.name,
        created_at: row.created_at,
        used_at: row.used_at,
    };
    Ok(rows.into_iter().map(view).collect())
}

/// Revokes a token of this operator: it opens nothing any more.
///
/// # Errors
/// They have none of that id.
pub async fn revoke_token(
    db: &Db,
    actor: &Actor,
    operator: OperatorId,
    id: OperatorTokenId,
) -> Result<(), OperationError> {
    may_change(actor)?;
    let mut tx = db.begin().await?;
    let Some(name) = operators::remove_token(&mut tx, operator, id).await? else {
        tx.rollback().await?;
        return Err(OperationError::Unknown("token"));
    };
    let subject = json!({"operator": actor.name, "token": name});
    let entry = audit::begin(&mut tx, actor, "operator.token.revoke", &subject).await?;
    audit::finish(&mut tx, entry, 1, 0).await?;
    Ok(tx.commit().await?)
}

/// The name of an operator who may be there: what can be no name is the name of nobody.
fn known(name: &str) -> Result<Name, OperationError> {
    name.parse().map_err(|_| OperationError::Unknown("operator"))
}

fn parse_name(field: &'static str, name: &str) -> Result<Name, OperationError> {
    name.parse().map_err(|error| invalid(field, error))
}

/// The password to set, and again the one to tell, if it was made up here.
fn chosen_or_generated(chosen: Option<&str>) -> Result<(Password, Option<Password>), OperationError> {
    match chosen {
        Some(text) => {
            let chosen = Password::parse(text).map_err(|error| invalid("password", error))?;
            Ok((chosen, None))
        }
        None => {
            let generated = Password::generate();
            Ok((generated.clone(), Some(generated)))
        }
    }
}

fn invalid(field: &'static str, error: impl std::fmt::Display) -> OperationError {
    OperationError::Invalid { field, problem: error.to_string() }
}
