//! `/admin/schedule`: what happens at set times, and doing it now.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use askama::Template;
use operations::operator::Via;
use operations::schedule::{self, Run, ScheduleView};
use serde::Deserialize;
use uuid::Uuid;

use super::shell::{AdminSection, AdminShell};
use super::when::When;
use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::pages::{html, see_other};

/// The schedule.
#[derive(Debug, Template)]
#[template(path = "admin/schedule.html")]
pub struct SchedulePage {
    /// Around the content.
    pub shell: AdminShell,
    /// Its entries.
    pub rows: Vec<ScheduleRow>,
    /// What came of running one.
    pub note: Option<Note>,
}

/// An entry of the schedule.
#[derive(Debug)]
pub struct ScheduleRow {
    /// Its name.
    pub name: String,
    /// When, as a cron expression.
    pub cron: String,
    /// When, in words.
    pub words: String,
    /// The kind of its job.
    pub kind: String,
    /// Its next tick.
    pub next: Option<When>,
    /// Whether that has passed and nobody took it.
    pub overdue: bool,
    /// When it ran last.
    pub last: Option<When>,
    /// The job of that run.
    pub last_job: Option<String>,
    /// The state of that job.
    pub last_state: Option<String>,
    /// Ticks that were missed.
    pub missed: i32,
}

/// What came of running an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its job.
    pub job: String,
    /// Whether it was started; else it is the one before, unfinished.
    pub started: bool,
}

/// What the redirect after a run says.
#[derive(Debug, Deserialize)]
pub struct After {
    started: Option<Uuid>,
    unfinished: Option<Uuid>,
}

/// `GET /admin/schedule`
///
/// # Errors
/// Those of the database.
pub async fn list(app: Data<App>, operator: Operator, after: Query<After>) -> Result<HttpResponse, ApiError> {
    let all = app.db.run(|db| async move { schedule::list(&db).await }).await?;
    let note = match (after.started, after.unfinished) {
        (Some(job), _) => Some(Note { job: job.to_string(), started: true }),
        (None, Some(job)) => Some(Note { job: job.to_string(), started: false }),
        (None, None) => None,
    };
    let rows = all.into_iter().map(row).collect();
    html(&SchedulePage { shell: AdminShell::of(&operator, AdminSection::Schedule), rows, note })
}

fn row(view: ScheduleView) -> ScheduleRow {
    ScheduleRow {
        name: view.name,
        cron: view.cron,
        words: view.words,
        kind: view.kind,
        next: view.next_at.map(When::from),
        overdue: view.overdue,
        last: view.last_at.map(When::from),
        last_job: view.last_job.map(|job| job.to_string()),
        last_state: view.last_state,
        missed: view.missed,
    }
}

/// `POST /admin/schedule/{name}/run`
///
/// # Errors
/// 404.
pub async fn run(app: Data<App>, operator: Operator, name: Path<String>) -> Result<HttpResponse, ApiError> {
    let run = start(&app, operator, Via::Page, name.into_inner()).await?;
    let what = if run.started { "started" } else { "unfinished" };
    Ok(see_other(&format!("/admin/schedule?{what}={}", run.job)))
}

/// Runs an entry now.
///
/// # Errors
/// 403, 404; those of the database.
pub async fn start(app: &App, operator: Operator, via: Via, name: String) -> Result<Run, ApiError> {
    let actor = operator.actor(via);
    let run = app
        .db
        .run(move |db| {
            let (actor, name) = (actor.clone(), name.clone());
            async move { schedule::run_now(&db, &actor, &name).await }
        })
        .await?;
    Ok(run)
}
