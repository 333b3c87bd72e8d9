//! The audit, as it is read: who did what, by which way, to what, and what came of it.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::OperationError;
use crate::db::audit;
use crate::ids::AuditId;
use crate::operator::Via;
use database::Db;
use model::Timestamp;

/// Something that an operator did.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditView {
    /// In the order of time.
    #[schema(value_type = uuid::Uuid)]
    pub id: AuditId,
    /// When it was begun.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub at: Timestamp,
    /// Who.
    #[schema(example = "ada")]
    pub operator: String,
    /// By which way: `page`, `api` or `command`.
    #[schema(value_type = String, example = "page")]
    pub via: Via,
    /// What.
    #[schema(example = "queue.pause")]
    pub action: String,
    /// To what: a job, a selection, a filter, a queue, …
    #[schema(value_type = Object)]
    pub subject: Value,
    /// How many it changed; null while it is under way, or when it was broken off.
    pub done: Option<i64>,
    /// How many it could not change.
    pub refused: Option<i64>,
}

/// A page of the audit.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AuditPage {
    /// The newest first.
    pub items: Vec<AuditView>,
    /// What to send as `before` for the next page; null on the last one.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub next: Option<AuditId>,
}

/// The newest entries, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn page(db: &Db, before: Option<AuditId>, limit: i64) -> Result<AuditPage, OperationError> {
    let mut entries = audit::page(&mut db.conn().await?, before, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().map(|entry| entry.id).filter(|_| more);
    let view = |entry: audit::Entry| AuditView {
        id: entry.id,
        at: entry.at,
        operator: entry.operator,
        via: entry.via,
        action: entry.action,
        subject: entry.subject,
        done: entry.done,
        refused: entry.refused,
    };
    Ok(AuditPage { items: entries.into_iter().map(view).collect(), next })
}
