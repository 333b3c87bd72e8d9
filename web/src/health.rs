//! What operators ask: alive, ready, and how much of what.

use std::collections::BTreeMap;
use std::time::Duration;

use ::jobs::depths::unfinished_by_queue;
use actix_web::HttpResponse;
use actix_web::web::Data;
use database::DbError;
use model::Queue;
use model::job::JobState;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use crate::App;
use crate::http::error::ApiError;
use crate::http::problem::Problem;

/// A database that takes longer does not count as there.
const PING_PATIENCE: Duration = Duration::from_secs(2);

/// Health, in a word.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `degraded`.
    pub status: &'static str,
    /// `connected` or `disconnected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker: Option<&'static str>,
}

/// Whether the process is alive: it answers, and what else runs in it makes progress.
///
/// # Errors
/// 503 when the process should be started again.
#[utoipa::path(get, path = "/livez", operation_id = "show_liveness", tag = "operation", security(()), responses(
    (status = 200, description = "Alive", body = Health),
    (status = 503, description = "To be started again", body = Problem, content_type = "application/problem+json"),
))]
pub async fn live(app: Data<App>) -> Result<HttpResponse, ApiError> {
    let dead = app.beside.as_ref().map(|beside| (beside.dead_parts)()).unwrap_or_default();
    if !dead.is_empty() {
        tracing::error!(?dead, "parts of the worker make no progress");
        return Err(ApiError::NotReady("A part of the worker makes no progress."));
    }
    Ok(HttpResponse::Ok().json(Health { status: "ok", broker: None }))
}

/// Whether to send requests here. Without the broker we are ready nevertheless: the table takes the jobs,
/// and they are published when it is back.
///
/// # Errors
/// 503 without the database, or when stopping.
#[utoipa::path(get, path = "/readyz", operation_id = "show_readiness", tag = "operation", security(()), responses(
    (status = 200, description = "Ready; degraded while nothing can be published", body = Health),
    (status = 503, description = "Not ready", body = Problem, content_type = "application/problem+json"),
))]
pub async fn ready(app: Data<App>) -> Result<HttpResponse, ApiError> {
    if app.statuses.is_closed() {
        return Err(ApiError::NotReady("The server is stopping."));
    }
    let ping = app.db.run(|db| async move { db.ping().await });
    match timeout(PING_PATIENCE, ping).await {
        Ok(Ok(())) => {}
        Ok(Err(DbError::Unavailable(_))) | Err(_) => {
            return Err(ApiError::NotReady("The database does not answer."));
        }
        Ok(Err(error)) => return Err(error.into()),
    }
    let health = match (app.broker.connected(), app.broker.can_publish()) {
        (true, true) => Health { status: "ok", broker: Some("connected") },
        // A memory or disk alarm, or rights that were taken away: the table takes the jobs meanwhile.
        (true, false) => Health { status: "degraded", broker: Some("connected, but takes no messages") },
        (false, _) => Health { status: "degraded", broker: Some("disconnected") },
    };
    Ok(HttpResponse::Ok().json(health))
}

/// Everything that was measured, for Prometheus.
#[utoipa::path(get, path = "/metrics", operation_id = "show_metrics", tag = "operation", security(()), responses(
    (status = 200, description = "Prometheus' text format 0.0.4", body = String, content_type = "text/plain"),
))]
pub async fn metrics(app: Data<App>) -> HttpResponse {
    let pool = app.db.pool_usage();
    for (state, count) in [("idle", pool.idle), ("used", pool.open - pool.idle), ("waiting", pool.waiting)] {
        metrics::gauge!("database_connections", "state" => state).set(count as f64);
    }
    metrics::gauge!("database_connections_limit").set(pool.limit as f64);
    metrics::gauge!("awaited_jobs").set(app.statuses.awaited() as f64);
    let counts = app.db.run(|db| async move { unfinished_by_queue(&mut db.conn().await?).await });
    // Without the database the other metrics are wanted all the more.
    if let Ok(Ok(counts)) = timeout(PING_PATIENCE, counts).await {
        show_unfinished(&counts);
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(app.metrics.render())
}

/// A queue without jobs shows 0: a gauge that is not set would keep its last value.
fn show_unfinished(counts: &BTreeMap<(String, JobState), i64>) {
    for queue in Queue::all() {
        for state in JobState::ALL.into_iter().filter(|state| !state.is_final()) {
            let count = counts.get(&(queue.name().to_owned(), state)).copied().unwrap_or(0);
            metrics::gauge!("jobs_unfinished", "queue" => queue.name(), "state" => state.name())
                .set(count as f64);
        }
    }
}
