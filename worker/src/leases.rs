//! What runs in this process, and the renewal of its leases.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use shared::db::jobs::lease::renew;
use shared::db::jobs::{Claim, Job};
use shared::domain::Timestamp;
use shared::domain::process::RunFact;
use tokio_util::sync::CancellationToken;

use crate::Worker;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "lease renewal";

/// The jobs that run here now.
#[derive(Debug, Default)]
pub struct Running {
    runs: Mutex<HashMap<Claim, Run>>,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The job's kind.
    pub kind: String,
    /// From which queue.
    pub queue: String,
    /// Which attempt.
    pub attempt: i32,
    /// Since when.
    pub since: Instant,
    /// The same by the database's clock.
    pub claimed_at: Timestamp,
    /// Set when the lease is lost: the run must stop.
    pub lost: CancellationToken,
    /// Set when somebody asks to cancel the job.
    pub cancel_requested: CancellationToken,
}

/// A line of `GET /tasks`.
#[derive(Debug, Clone, Serialize)]
pub struct TaskView {
    /// The job's id.
    pub job: String,
    /// The job's kind.
    pub kind: String,
    /// Which attempt.
    pub attempt: i32,
    /// For how long.
    pub running_seconds: f64,
}

impl Running {
    /// Adds a run.
    pub fn add(&self, claim: Claim, job: &Job) -> Run {
        let run = Run {
            kind: job.kind_name().to_owned(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            since: Instant::now(),
            // The claim wrote it.
            claimed_at: job.updated_at,
            lost: CancellationToken::new(),
            cancel_requested: CancellationToken::new(),
        };
        self.lock().insert(claim, run.clone());
        run
    }

    /// Takes a run away.
    pub fn remove(&self, claim: Claim) {
        self.lock().remove(&claim);
    }

    /// What runs now, the longest first.
    pub fn tasks(&self) -> Vec<TaskView> {
        self.longest_first()
            .into_iter()
            .map(|(claim, run)| TaskView {
                job: claim.job.to_string(),
                kind: run.kind,
                attempt: run.attempt,
                running_seconds: run.since.elapsed().as_secs_f64(),
            })
            .collect()
    }

    /// The same, for the process's sign of life.
    pub fn facts(&self) -> Vec<RunFact> {
        let runs = self.longest_first().into_iter();
        runs.map(|(claim, run)| RunFact {
            job: claim.job,
            kind: run.kind,
            queue: run.queue,
            since: run.claimed_at,
        })
        .collect()
    }

    fn longest_first(&self) -> Vec<(Claim, Run)> {
        let mut runs: Vec<(Claim, Run)> =
            self.lock().iter().map(|(claim, run)| (*claim, run.clone())).collect();
        runs.sort_by_key(|(_, run)| run.since);
        runs
    }

    fn claims(&self) -> Vec<Claim> {
        self.lock().keys().copied().collect()
    }

    fn get(&self, claim: Claim) -> Option<Run> {
        self.lock().get(&claim).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Claim, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews the leases of what runs here every third of a lease, until `stop`.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(worker.lease / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        renew_all(&worker).await;
    }
}

async fn renew_all(worker: &Worker) {
    let claims = worker.running.claims();
    if claims.is_empty() {
        return;
    }
    let renewed = match renew(&worker.services.db, worker.id, &claims, worker.lease).await {
        Ok(renewed) => renewed,
        Err(error) => {
            // The runs go on: whether they still own their rows, each of their writes finds out.
            tracing::warn!(%error, jobs = claims.len(), "leases could not be renewed");
            return;
        }
    };
    for claim in claims {
        // A run that ended meanwhile is not in the list any more.
        let Some(run) = worker.running.get(claim) else { continue };
        match renewed.iter().find(|renewed| renewed.claim == claim) {
            None => run.lost.cancel(),
            Some(renewed) if renewed.cancel_requested => run.cancel_requested.cancel(),
            Some(_) => {}
        }
    }
}
