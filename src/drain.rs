//! `--drain`: a worker that ends when its queues are empty.

use std::sync::Arc;

use runtime::drain;
use worker::Worker;

use crate::{Error, say};

/// Works until nothing is left to do, and says so.
///
/// # Errors
/// When a part of the worker died, or the worker was told to stop before.
pub async fn work_until_empty(worker: Arc<Worker>) -> Result<(), Error> {
    let stop = worker.engine.stop.clone();
    let emptied = async {
        let later = tokio::select! {
            later = drain::until_empty(&worker.engine) => Some(later),
            () = stop.cancelled() => None,
        };
        stop.cancel();
        later
    };
    let worked = async {
        let ended = worker::run(worker.clone()).await;
        stop.cancel();
        ended
    };
    let (ended, later) = tokio::join!(worked, emptied);
    ended?;
    let later = later.ok_or("stopped before the queues were empty")?;
    say(&format!("the queues are empty; jobs left for later: {later}"));
    Ok(())
}
