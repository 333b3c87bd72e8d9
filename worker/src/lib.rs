//! The shop's worker: does the heavy work, as many copies as needed.
//!
//! [`start`] makes one from settings. What takes and settles jobs is the engine's, the crate `runtime`; here is what does
//! them: `jobs/` has one handler a file and the list of all, [`imaging`] is pure, [`mail`] writes what customers are
//! told, and [`incoming`] watches a folder.

pub mod context;
pub mod imaging;
pub mod incoming;
pub mod jobs;
pub mod mail;
pub mod measured;
pub mod services;
pub mod start;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use runtime::{Background, WorkerError};
use shared::config::Incoming;

pub use services::Services;

/// A worker of the shop.
pub struct Worker {
    /// What takes jobs and settles them.
    pub engine: Arc<runtime::Worker>,
    /// What its handlers use.
    pub services: Services,
    /// Whose the files of the watched folder become, if it watches that.
    incoming: Option<Incoming>,
}

/// Works until the stop token is set, then finishes or releases what runs, within the time to stop.
///
/// # Errors
/// [`WorkerError`]: the process should end, and be started again.
pub async fn run(worker: Arc<Worker>) -> Result<(), WorkerError> {
    let services = worker.services.clone();
    let watch = worker.incoming.clone().map(|incoming| Background {
        name: "watch of incoming files",
        run: Box::new(|stop| Box::pin(incoming::run(services, incoming, stop))),
    });
    runtime::run(worker.engine.clone(), watch.into_iter().collect()).await
}
