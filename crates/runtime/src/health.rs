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

use crate::{Worker, leases, supervisor};

/// A part of the worker that is silent for longer than this counts as dead: it is noticed within 30 s.
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

    /// The parts that are dead at `now`: silent for longer than they may be with such leases.
    fn dead(&self, lease: Duration, now: Instant) -> Vec<&'static str> {
        let beats = self.lock();
        let dead = beats.iter().filter(|(part, beat)| now.duration_since(**beat) > patience(part, lease));
        let mut dead: Vec<&'static str> = dead.map(|(part, _)| *part).collect();
        dead.sort_unstable();
        dead
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<&'static str, Instant>> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a part may be silent. Those that look every third of a lease get the time for two looks.
fn patience(part: &str, lease: Duration) -> Duration {
    if [leases::PART, supervisor::PART].contains(&part) { SILENCE.max(lease * 2 / 3) } else { SILENCE }
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
    worker.pulse.dead(worker.lease.length(), Instant::now())
}

async fn livez(worker: Data<Worker>) -> HttpResponse {
    let dead = dead_parts(&worker);
    if dead.is_empty() {
        // Nothing that a restart would cure: the database does not answer.
        let status = if worker.lease.is_held() { "ok" } else { "degraded" };
        return HttpResponse::Ok().json(json!({"status": status, "database": worker.lease.is_held()}));
    }
    HttpResponse::ServiceUnavailable().json(json!({"status": "dead", "parts": dead}))
}

async fn readyz(worker: Data<Worker>) -> HttpResponse {
    let services = &worker.services;
    let database = tokio::time::timeout(Duration::from_secs(2), services.db.ping()).await;
    let (database, broker) = (matches!(database, Ok(Ok(()))), services.broker.connected());
    let status = json!({"database": database, "broker": broker, "worker": worker.lease.id()});
    if database && broker {
        return HttpResponse::Ok().json(status);
    }
    HttpResponse::ServiceUnavailable().json(status)
}

async fn metrics(worker: Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(worker.services.metrics.render())
}

async fn tasks(worker: Data<Worker>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"worker": worker.lease.id(), "tasks": worker.running.tasks()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn after(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_part_that_is_silent_is_dead_within_thirty_seconds() {
        let pulse = Pulse::default();
        for part in ["images", leases::PART, supervisor::PART] {
            pulse.beat(part);
        }
        assert!(pulse.dead(LEASE, after(20)).is_empty());
        assert_eq!(pulse.dead(LEASE, after(30)), ["images", "lease renewal", "supervisor"]);
    }

    #[test]
    fn a_part_that_gives_signs_of_life_is_not() {
        let pulse = Pulse::default();
        pulse.lock().insert("images", Instant::now() - Duration::from_secs(60));
        assert_eq!(pulse.dead(LEASE, Instant::now()), ["images"]);
        pulse.beat("images");
        assert!(pulse.dead(LEASE, Instant::now()).is_empty());
    }

    #[test]
    fn long_leases_are_looked_at_seldom_and_consumers_as_often_as_ever() {
        let (pulse, lease) = (Pulse::default(), Duration::from_secs(600));
        pulse.beat("images");
        pulse.beat(leases::PART);
        assert_eq!(pulse.dead(lease, after(300)), ["images"], "a look every 200 s");
        assert_eq!(pulse.dead(lease, after(401)), ["images", "lease renewal"]);
    }
}
