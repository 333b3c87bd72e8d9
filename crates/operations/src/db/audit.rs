//! The audit: one row for each thing that an operator did, written before it is done and completed after.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::db::schema::audit;
use crate::ids::AuditId;
use crate::operator::{Actor, Via};
use database::expressions::now;
use database::{Conn, DbError, with};
use model::stored_text::clean_json;
use model::{StoredText, Timestamp};

/// A row of the audit.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = audit)]
pub struct Entry {
    /// In the order of time.
    pub id: AuditId,
    /// When it was begun.
    pub at: Timestamp,
    /// Who.
    pub operator: String,
    /// By which way.
    pub via: Via,
    /// What, such as `queue.pause`.
    pub action: String,
    /// To what: a job, a selection, a filter, a queue, …
    pub subject: Value,
    /// How many it changed; `None` while it is under way, or when it was broken off.
    pub done: Option<i64>,
    /// How many it could not change.
    pub refused: Option<i64>,
}

/// Writes down that somebody begins to do something. In a transaction it is there if that commits, and
/// [`finish`] belongs into the same one; what takes several transactions begins before the first.
///
/// # Errors
/// Those of the database: then it must not be done.
pub async fn begin(
    conn: &mut Conn,
    actor: &Actor,
    action: &str,
    subject: &Value,
) -> Result<AuditId, DbError> {
    let id = AuditId::new();
    with!(conn, |c| {
        diesel::insert_into(audit::table)
            .values((
                audit::id.eq(id),
                audit::at.eq(now()),
                // The account's name, where it is a command.
                audit::operator.eq(StoredText::from(actor.name.as_str()).as_str()),
                audit::via.eq(actor.via),
                audit::action.eq(action),
                audit::subject.eq(clean_json(subject.clone())),
            ))
            .execute(c)
            .await
    })?;
    Ok(id)
}

/// Writes down what came of it.
///
/// # Errors
/// Those of the database.
pub async fn finish(conn: &mut Conn, id: AuditId, done: i64, refused: i64) -> Result<(), DbError> {
    with!(conn, |c| {
        diesel::update(audit::table.find(id))
            .set((audit::done.eq(done), audit::refused.eq(refused)))
            .execute(c)
            .await
    })?;
    Ok(())
}

/// The newest entries, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn page(conn: &mut Conn, before: Option<AuditId>, limit: i64) -> Result<Vec<Entry>, DbError> {
    Ok(with!(conn, |c| {
        let mut entries =
            audit::table.order(audit::id.desc()).limit(limit).select(Entry::as_select()).into_boxed();
        if let Some(before) = before {
            entries = entries.filter(audit::id.lt(before));
        }
        entries.load(c).await
    })?)
}
