//! The schedule: what runs when, what ran, and running it now.

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::db::audit;
use crate::operator::Actor;
use crate::{OperationError, may_change};
use ::jobs::enqueue::Enqueued;
use ::jobs::schedule::schedule;
use ::jobs::schedule::{Entry, Tick};
use ::jobs::schedules::{self, Row};
use ::jobs::status;
use database::Db;
use model::{JobId, Timestamp};

/// An entry of the schedule.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ScheduleView {
    /// Its name.
    #[schema(example = "retention")]
    pub name: String,
    /// When, as a cron expression in UTC.
    #[schema(example = "45 3 * * *")]
    pub cron: String,
    /// The same in words.
    pub words: String,
    /// The kind of its job.
    #[schema(example = "retention")]
    pub kind: String,
    /// Its next tick; null until a worker has written the schedule down.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub next_at: Option<Timestamp>,
    /// Whether that has passed for more than a minute: no worker looks at the schedule.
    pub overdue: bool,
    /// When it ran last.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub last_at: Option<Timestamp>,
    /// The job of that run.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub last_job: Option<JobId>,
    /// The state of that job; null when it is no longer kept.
    #[schema(example = "succeeded")]
    pub last_state: Option<String>,
    /// How many of its ticks were missed, ever.
    pub missed: i32,
}

/// What came of running an entry now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Run {
    /// Its job.
    #[schema(value_type = uuid::Uuid)]
    pub job: JobId,
    /// Whether it was started by this; else it is the one before, which is unfinished.
    pub started: bool,
}

/// The schedule of this program, in its order.
///
/// # Errors
/// Those of the database.
pub async fn list(db: &Db) -> Result<Vec<ScheduleView>, OperationError> {
    let mut conn = db.conn().await?;
    let rows = schedules::all(&mut conn).await?;
    let ids: Vec<JobId> = rows.iter().filter_map(|row| row.last_job).collect();
    let jobs = status::find_many(&mut conn, &ids).await?;
    let views = schedule().iter().map(|entry| {
        let row = rows.iter().find(|row| row.name == entry.name);
        let last = jobs.iter().find(|job| row.is_some_and(|row| row.last_job == Some(job.id)));
        view(entry, row, last.map(|job| job.state.name()))
    });
    Ok(views.collect())
}

fn view(entry: &Entry, row: Option<&Row>, last_state: Option<&str>) -> ScheduleView {
    ScheduleView {
        name: entry.name.to_owned(),
        cron: entry.cron.to_owned(),
        words: entry.parse().map(|cron| cron.describe()).unwrap_or_default(),
        kind: entry.kind.to_owned(),
        next_at: row.map(|row| row.next_at),
        overdue: row.is_some_and(|row| row.overdue),
        last_at: row.and_then(|row| row.last_at),
        last_job: row.and_then(|row| row.last_job),
        last_state: last_state.map(str::to_owned),
        missed: row.map_or(0, |row| row.missed),
    }
}

/// Runs an entry now, as if it were time for it; its next tick stays when it is. What its job covers ends now,
/// and that of the next tick begins where this one ended.
///
/// # Errors
/// [`OperationError::Unknown`]: there is none of that name.
pub async fn run_now(db: &Db, actor: &Actor, name: &str) -> Result<Run, OperationError> {
    may_change(actor)?;
    let entry = schedule().iter().find(|entry| entry.name == name);
    let entry = entry.ok_or(OperationError::Unknown("schedule"))?;
    let mut tx = db.begin().await?;
    let id = audit::begin(&mut tx, actor, "schedule.run", &json!({"schedule": entry.name})).await?;
    let (last, at) = schedules::lock(&mut tx, entry.name).await?;
    let run = match (entry.enqueue)(&mut tx, entry.name, Tick { last, at }).await? {
        Enqueued::New(job) => Run { job: job.id, started: true },
        Enqueued::Existing(job) => Run { job: job.id, started: false },
    };
    if run.started {
        schedules::ran(&mut tx, entry.name, at, run.job).await?;
    }
    audit::finish(&mut tx, id, i64::from(run.started), i64::from(!run.started)).await?;
    tx.commit().await?;
    Ok(run)
}
