//! Heartbeats: every program writes a row now and then that says how it is, so that an operator sees all of
//! them in one place.
//!
//! Only for people. A process whose row is old may be killed, frozen or cut off; whose jobs are given to others,
//! its lease decides (which is in the same row, and renewed by another hand). So a loop that can't write does no
//! more than say so in the log, and its silence, which is what an operator should see then, must not end a
//! program that works.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use ::jobs::processes::{self, Identity};
use broker::Broker;
use database::{Db, DbError};
use model::ProcessId;
use model::Program;
use model::process::{Connections, Facts, SIGN_OF_LIFE};

/// Rows that are older are of nobody's interest.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How many heartbeats go by before somebody looks for such rows.
const FORGET_EVERY: u64 = 60;

/// A database that takes longer is away: nobody waits for it to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Which process it is, and how; asked for each heartbeat. (One that was declared lost goes on under a new
/// id.)
pub type Tell = Box<dyn Fn() -> (ProcessId, Facts) + Send + Sync>;

/// What every process can tell: [`Facts`] of one that runs no jobs.
pub fn common_facts(db: &Db, broker: &Broker, stopping: &CancellationToken) -> Facts {
    let pool = db.pool_usage();
    Facts {
        stopping: stopping.is_cancelled(),
        broker: broker.connected(),
        connections: Connections {
            used: pool.open - pool.idle.min(pool.open),
            limit: pool.limit,
            waiting: pool.waiting,
        },
        ..Facts::default()
    }
}

/// Writes heartbeats until `end`. Run it beside everything else, until after everything else stopped.
pub async fn run(db: Db, program: Program, tell: Tell, end: CancellationToken) {
    let mut tick = tokio::time::interval(SIGN_OF_LIFE);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut silent = false;
    for sign in 0_u64.. {
        tokio::select! {
            _ = tick.tick() => {}
            () = end.cancelled() => break,
        }
        let (id, facts) = tell();
        let beaten =
            beat(&db, &Identity::of_this_process(program, id), &facts, sign % FORGET_EVERY == 0).await;
        if beaten.is_err() {
            metrics::counter!("heartbeats_failed_total").increment(1);
        }
        match beaten {
            Ok(()) => silent = false,
            // An outage is one line, not one every few seconds.
            Err(error) if silent => tracing::debug!(%error, "still no sign of life"),
            Err(error) => {
                tracing::warn!(%error, "no sign of life could be written: this process will be shown as silent");
                silent = true;
            }
        }
    }
}

/// Says that a process stopped that holds no lease. (One that does says so itself, when nothing runs in it.)
pub async fn say_goodbye(db: &Db, id: ProcessId) {
    let goodbye = async { processes::stop(&mut db.conn().await?, id).await };
    match tokio::time::timeout(GOODBYE, goodbye).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the process's row does not say that it stopped"),
        Err(_) => {
            tracing::debug!("the process's row does not say that it stopped: the database did not answer");
        }
    }
}

async fn beat(db: &Db, identity: &Identity, facts: &Facts, forgets: bool) -> Result<(), DbError> {
    let mut conn = db.conn().await?;
    processes::beat(&mut conn, identity, facts).await?;
    if forgets {
        processes::forget(&mut conn, FORGET_AFTER).await?;
    }
    Ok(())
}
