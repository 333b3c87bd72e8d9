//! `/admin/queues`: how full each is, and pausing it.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use askama::Template;
use model::Timestamp;
use operations::operator::Via;
use operations::queues::{self, QueueView};

use super::shell::{AdminSection, AdminShell};
use super::when::When;
use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::pages::{html, see_other};

/// Every queue.
#[derive(Debug, Template)]
#[template(path = "admin/queues.html")]
pub struct QueuesPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The queues, by name.
    pub rows: Vec<QueueRow>,
}

/// A queue.
#[derive(Debug)]
pub struct QueueRow {
    /// Its name.
    pub name: String,
    /// Since when it is paused.
    pub paused: Option<When>,
    /// Jobs that wait for their time or their turn, or for the end of the pause.
    pub pending: i64,
    /// Jobs that were handed to the broker.
    pub queued: i64,
    /// Jobs that run.
    pub running: i64,
    /// Jobs that wait for others.
    pub waiting: i64,
}

/// `GET /admin/queues`
///
/// # Errors
/// Those of the database.
pub async fn list(app: Data<App>, operator: Operator) -> Result<HttpResponse, ApiError> {
    let all = app.db.run(|db| async move { queues::list(&db).await }).await?;
    let rows = all.into_iter().map(row).collect();
    html(&QueuesPage { shell: AdminShell::of(&operator, AdminSection::Queues), rows })
}

fn row(view: QueueView) -> QueueRow {
    QueueRow {
        name: view.name,
        paused: view.paused_since.map(|since| Timestamp(since).into()),
        pending: view.pending,
        queued: view.queued,
        running: view.running,
        waiting: view.waiting,
    }
}

/// `POST /admin/queues/{name}/pause`
///
/// # Errors
/// 404.
pub async fn pause(app: Data<App>, operator: Operator, name: Path<String>) -> Result<HttpResponse, ApiError> {
    change(&app, operator, Via::Page, name.into_inner(), true).await?;
    Ok(see_other("/admin/queues"))
}

/// `POST /admin/queues/{name}/resume`
///
/// # Errors
/// 404.
pub async fn resume(
    app: Data<App>,
    operator: Operator,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    change(&app, operator, Via::Page, name.into_inner(), false).await?;
    Ok(see_other("/admin/queues"))
}

/// Pauses a queue or ends its pause; whether that changed anything.
///
/// # Errors
/// 403, 404; those of the database.
pub async fn change(
    app: &App,
    operator: Operator,
    via: Via,
    name: String,
    to_paused: bool,
) -> Result<bool, ApiError> {
    let actor = operator.actor(via);
    let changed = app
        .db
        .run(move |db| {
            let (actor, name) = (actor.clone(), name.clone());
            async move {
                if to_paused {
                    queues::pause(&db, &actor, &name).await
                } else {
                    queues::resume(&db, &actor, &name).await
                }
            }
        })
        .await?;
    Ok(changed)
}
