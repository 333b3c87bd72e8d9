//! This process's lease: renewed every third of its length over connections that no handler shares, so that a
//! database that is slow for handlers, or a row that is locked, costs no lease.
//!
//! With each renewal comes a look at the own rows: which runs lost their row, which are to be cancelled, and
//! which rows nobody here knows (the answer to a claim was lost, or a runner died). Nobody else would put those
//! back, because this process lives. That is done beside the renewals: it may take long, and they must not wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::jobs::Claim;
use ::jobs::lease::{OwnRun, own_runs, put_back};
use ::jobs::processes;
use ::jobs::processes::Identity;
use database::{Conn, Db, DbError, in_time};
use model::WorkerId;
use model::job::Ending;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::beside::Beside;
use crate::stop::StopReason;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "lease renewal";

/// How long the database may take for a renewal or a look.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take for a job that is put back.
pub(crate) const WRITING: Duration = Duration::from_secs(15);

/// The lease of this process, as it knows it.
pub struct Lease {
    length: Duration,
    state: Mutex<State>,
    /// Whether it may claim, told on each change.
    held: watch::Sender<bool>,
    /// It should be renewed now.
    doubted: Notify,
}

struct State {
    id: WorkerId,
    /// Whether the table has a row of this id.
    taken: bool,
    /// A lease from the sending of the last renewal that was answered.
    until: Option<Instant>,
}

impl Lease {
    pub(crate) fn new(length: Duration) -> Self {
        let state = State { id: WorkerId::new(), taken: false, until: None };
        Self { length, state: Mutex::new(state), held: watch::Sender::new(false), doubted: Notify::new() }
    }

    /// How long the process may be silent.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// This process's id. New at each start, and after it was declared lost.
    pub fn id(&self) -> WorkerId {
        self.lock().id
    }

    /// Whether the process may believe that nobody else has its jobs: a renewal was answered within a lease,
    /// counted from before it was sent. Without that it claims nothing and begins no effect outside.
    pub fn is_held(&self) -> bool {
        self.lock().until.is_some_and(|until| Instant::now() < until)
    }

    /// Waits until the lease is held.
    pub async fn until_held(&self) {
        let mut held = self.held.subscribe();
        loop {
            held.borrow_and_update();
            if self.is_held() {
                return;
            }
            // The sender lives as long as we do: there is no error.
            let _ = held.changed().await;
        }
    }

    /// A claim was refused because the process is not living: nothing is claimed until it is renewed.
    pub fn doubt(&self) {
        self.lock().until = None;
        self.doubted.notify_one();
    }

    fn renewed(&self, sent: Instant) {
        let mut state = self.lock();
        state.taken = true;
        state.until = Some(sent + self.length);
        drop(state);
        self.held.send_replace(true);
    }

    /// Goes on under a new id, which the table does not know yet.
    fn begin_anew(&self) -> WorkerId {
        let mut state = self.lock();
        let lost = std::mem::replace(&mut *state, State { id: WorkerId::new(), taken: false, until: None });
        lost.id
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews the lease and looks at the own rows, every third of a lease, until `stop`.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(worker.lease.length / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut failing, mut putting_back) = (false, Beside::default());
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = worker.lease.doubted.notified() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        let looked = match renew(&worker).await {
            Ok(()) => look(&worker, &mut putting_back).await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(()) if failing => {
                tracing::info!("the lease is renewed again");
                failing = false;
            }
            Ok(()) => {}
            Err(error) if failing => tracing::debug!(%error, "the lease is still not renewed"),
            Err(error) => {
                // The runs go on: whether they still own their rows, each of their writes finds out.
                tracing::warn!(%error, "the lease could not be renewed");
                failing = true;
            }
        }
    }
}

/// Takes or renews the lease. A process that finds itself lost ends its runs and goes on under a new id.
async fn renew(worker: &Worker) -> Result<(), DbError> {
    let lease = &worker.lease;
    if lease.lock().taken {
        let (id, sent) = (lease.id(), Instant::now());
        let renewed = worker.renewals.look_in_time(PATIENCE, async |c| processes::renew(c, id.into()).await);
        if renewed.await? {
            lease.renewed(sent);
            return Ok(());
        }
        let lost = lease.begin_anew();
        let runs = worker.running.claims();
        tracing::error!(
            worker = %lost,
            jobs = runs.len(),
            "this process was declared lost: its runs are told to end, and it goes on under a new id"
        );
        metrics::counter!("leases_lost_total").increment(1);
        worker.running.stop(runs, StopReason::LeaseLost);
        // For people: this row is nobody's any more.
        let stopped = worker.renewals.look_in_time(PATIENCE, async |c| processes::stop(c, lost.into()).await);
        if let Err(error) = stopped.await {
            tracing::debug!(%error, "the row of the former id was left");
        }
    }
    let (id, sent) = (lease.id(), Instant::now());
    let itself = Identity::of_this_process(worker.program, id.into());
    let taking = async |c: &mut Conn| processes::take_lease(c, &itself, lease.length).await;
    worker.renewals.look_in_time(PATIENCE, taking).await?;
    lease.renewed(sent);
    tracing::info!(worker = %id, "the process took its lease");
    Ok(())
}

/// Compares the own rows with what runs here.
async fn look(worker: &Worker, putting_back: &mut Beside) -> Result<(), DbError> {
    let before = worker.running.claims();
    let rows = own_rows(worker).await?;
    let lost: Vec<Claim> =
        before.into_iter().filter(|claim| rows.iter().all(|row| row.claim != *claim)).collect();
    worker.running.stop(lost, StopReason::LeaseLost);
    // What undoes already has heard of it.
    let cancelled = rows.iter().filter(|row| row.cancel_requested && !row.undoing).map(|row| row.claim);
    worker.running.stop(cancelled, StopReason::Cancelled);
    let unknown = worker.running.unknown(&rows);
    if !unknown.is_empty() {
        putting_back.begin(put_back_all(worker.upkeep.clone(), unknown, Ending::Forgotten));
    }
    Ok(())
}

async fn own_rows(worker: &Worker) -> Result<Vec<OwnRun>, DbError> {
    let id = worker.lease.id();
    worker.upkeep.look_in_time(PATIENCE, async |c| own_runs(c, id).await).await
}

/// The process is about to stop, and nothing runs here any more: what the table still says that it runs is
/// released.
pub async fn release_rest(worker: &Worker) -> Result<(), DbError> {
    let rows = own_rows(worker).await?;
    put_back_all(worker.upkeep.clone(), worker.running.unknown(&rows), Ending::Release).await;
    Ok(())
}

/// The last word of the process's row.
pub async fn say_stopped(worker: &Worker) -> Result<(), DbError> {
    let id = worker.lease.id();
    worker.renewals.look_in_time(PATIENCE, async |c| processes::stop(c, id.into()).await).await
}

/// A row that can't be written is left for the next look; it does not keep the others from being.
async fn put_back_all(db: Db, claims: Vec<Claim>, ending: Ending) {
    for claim in claims {
        match in_time(WRITING, put_back(&db, claim, ending)).await {
            Ok(true) => {
                tracing::warn!(job = %claim.job, "a job that this process did not know of was put back");
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(job = %claim.job, %error, "a job could not be put back yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    #[test]
    fn a_lease_is_believed_in_from_the_sending_of_its_renewal_for_its_length() {
        let lease = Lease::new(LEASE);
        assert!(!lease.is_held(), "nothing is claimed before the row is there");
        lease.renewed(Instant::now());
        assert!(lease.is_held());
        lease.renewed(Instant::now() - LEASE);
        assert!(!lease.is_held(), "the answer came a lease after the question");
    }

    #[test]
    fn a_process_that_was_declared_lost_goes_on_under_a_new_id() {
        let lease = Lease::new(LEASE);
        lease.renewed(Instant::now());
        let former = lease.id();
        assert_eq!(lease.begin_anew(), former);
        assert_ne!(lease.id(), former);
        assert!(!lease.is_held());
    }

    #[tokio::test]
    async fn a_doubted_lease_is_waited_for_until_it_is_renewed() {
        let lease = Arc::new(Lease::new(LEASE));
        lease.renewed(Instant::now());
        lease.doubt();
        let waiting = tokio::spawn({
            let lease = lease.clone();
            async move { lease.until_held().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        lease.renewed(Instant::now());
        waiting.await.unwrap();
    }
}
