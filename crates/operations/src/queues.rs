//! Queues: how full they are, and pausing them.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::db::audit;
use crate::operator::Actor;
use crate::{OperationError, may_change};
use ::jobs::depths;
use ::jobs::queues;
use ::jobs::sweep::bring_back;
use database::Db;
use model::Queue;
use model::job::JobState;

/// A queue as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueueView {
    /// Its name.
    #[schema(example = "images")]
    pub name: String,
    /// Since when nothing is taken from it.
    pub paused_since: Option<DateTime<Utc>>,
    /// Jobs that wait for their time or their turn, or for the end of a pause.
    pub pending: i64,
    /// Jobs that were handed to the broker.
    pub queued: i64,
    /// Jobs that run.
    pub running: i64,
    /// Jobs that wait for others.
    pub waiting: i64,
}

/// Every queue that exists.
///
/// # Errors
/// Those of the database.
pub async fn list(db: &Db) -> Result<Vec<QueueView>, OperationError> {
    let mut conn = db.conn().await?;
    let queues = queues::with_pauses(&mut conn).await?;
    let counts = depths::unfinished_by_queue(&mut conn).await?;
    let count = |name: &str, state| counts.get(&(name.to_owned(), state)).copied().unwrap_or(0);
    let view = |(queue, paused_since): (Queue, Option<model::Timestamp>)| QueueView {
        name: queue.name().to_owned(),
        paused_since: paused_since.map(|since| since.0),
        pending: count(queue.name(), JobState::Pending),
        queued: count(queue.name(), JobState::Queued),
        running: count(queue.name(), JobState::Running),
        waiting: count(queue.name(), JobState::Waiting),
    };
    Ok(queues.into_iter().map(view).collect())
}

/// Pauses a queue: workers finish what they run of it and take nothing more, within seconds. Answers whether it
/// was not paused before.
///
/// # Errors
/// [`OperationError::Unknown`]: there is none of that name.
pub async fn pause(db: &Db, actor: &Actor, queue: &str) -> Result<bool, OperationError> {
    change(db, actor, queue, true).await
}

/// Ends a pause. Answers whether there was one.
///
/// # Errors
/// [`OperationError::Unknown`]: there is none of that name.
pub async fn resume(db: &Db, actor: &Actor, queue: &str) -> Result<bool, OperationError> {
    let changed = change(db, actor, queue, false).await?;
    // The rest of a long queue, as far as an answer may take. It is resumed already, whatever becomes of this; the sweep
    // does what is left.
    if let Err(error) = bring_back(db, PATIENCE).await {
        tracing::warn!(queue, %error, "what was put off while the queue was paused comes back a little later");
    }
    Ok(changed)
}

/// So long a resume is at it itself.
const PATIENCE: Duration = Duration::from_secs(2);

async fn change(db: &Db, actor: &Actor, queue: &str, to_paused: bool) -> Result<bool, OperationError> {
    may_change(actor)?;
    // What can be no name of a queue is the name of none, whatever characters are in it.
    if !Queue::is_name(queue) {
        return Err(OperationError::Unknown("queue"));
    }
    let mut tx = db.begin().await?;
    let (action, changed) = if to_paused {
        ("queue.pause", queues::pause(&mut tx, queue).await?)
    } else {
        ("queue.resume", queues::resume(&mut tx, queue).await?)
    };
    let Some(changed) = changed else {
        tx.rollback().await?;
        return Err(OperationError::Unknown("queue"));
    };
    let id = audit::begin(&mut tx, actor, action, &json!({ "queue": queue })).await?;
    audit::finish(&mut tx, id, i64::from(changed), 0).await?;
    tx.commit().await?;
    Ok(changed)
}
