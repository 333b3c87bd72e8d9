//! How the worker is: `/livez`, `/readyz`, `/metrics` and `/tasks`, on a port of its own or as a part
//! of the all-in-one's.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{App, HttpResponse, HttpServer};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// A part of the worker that is silent for longer than this (or than a lease) counts as dead.
const SILENCE: Duration = Duration::from_secs(25);

/// The signs of life of the worker's loops.
#[derive(Debug, Default)]
pub struct Pulse {
    beats: Mutex<HashMap<&'static str, Instant>>,
}

impl Pulse {
    /// A part of the worker is alive and makes progress.
    pub fn beat(&self, part: &'static str) {
        self.lock().insert(part, Instant::now());
    }

    /// The parts that were silent for longer than `patience`.
    pub fn silent(&self, patience: Duration) -> Vec<&'static str> {
        let mut silent: Vec<&'static str> =
            self.lock().iter().filter(|(_, beat)| beat.elapsed() > patience).map(|(part, _)| *part).collect();
        silent.sort_unstable();
        silent
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Instant>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the worker's own port until `stop`.
///
/// # Errors
/// When the socket fails.
pub async fn serve(
    listener: TcpListener,
    worker: Arc<Worker>,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        let worker = worker.clone();
        App::new().configure(move |config| routes(config, worker))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    let handle = server.handle();
    let stopper = async move {
        stop.cancelled().await;
        handle.stop(true).await;
    };
    let (served, ()) = tokio::join!(server, stopper);
    served
}

fn routes(config: &mut ServiceConfig, worker: Arc<Worker>) {
    config.app_data(Data::from(worker));
    config.route("/livez", get().to(livez));
    config.route("/readyz", get().to(readyz));
    config.route("/metrics", get().to(metrics));
    config.route("/tasks", get().to(tasks));
}

/// The worker's part of the all-in-one's port.
pub fn beside_web(config: &mut ServiceConfig, worker: &Arc<Worker>) {
    config.app_data(Data::from(worker.clone()));
    config.route("/tasks", get().to(tasks));
}

/// Which parts of the worker are dead, if any: the program should be started again then.
pub fn dead_parts(worker: &Worker) -> Vec<&'static str> {
    worker.pulse.silent(SILENCE.max(worker.lease))
}

async fn livez(worker: Data<Worker>) -> HttpResponse {
    let dead = dead_parts(&worker);
    if dead.is_empty() {
        return HttpResponse::Ok().json(json!({"status": "ok"}));
    }
    HttpResponse::ServiceUnavailable().json(json!({"status": "dead", "parts": dead}))
}

async fn readyz(worker: Data<Worker>) -> HttpResponse {
    let services = &worker.services;
    let database = tokio::time::timeout(Duration::from_secs(2), services.db.ping()).await;
    let (database, broker) = (matches!(database, Ok(Ok(()))), services.broker.connected());
    let status = json!({"database": database, "broker": broker, "worker": worker.id});
    if database && broker {
        return HttpResponse::Ok().json(status);
    }
    HttpResponse::ServiceUnavailable().json(status)
}

async fn metrics(worker: Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(worker.services.metrics.render())
}

async fn tasks(worker: Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"worker": worker.id, "tasks": worker.running.tasks()}))
}
