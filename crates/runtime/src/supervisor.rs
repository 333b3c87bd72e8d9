//! The supervisor: declares processes lost that do not renew their leases any more, and gives what ran there to
//! others. Every worker runs one; they don't need to agree, because each step compares what it saw with the row.
//!
//! A process is lost when this supervisor itself has seen its row unchanged for a lease and a third, by its own
//! monotonic clock and looking without a gap. So neither an outage of the database, during which nobody could
//! renew, nor a jump of a clock makes a living process lost. What is put back is so beside the looks, so that they
//! come in time however much there is of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::jobs::Job;
use ::jobs::lease::{Orphan, end_orphan, orphans};
use ::jobs::processes::{self, Watched};
use database::{DbError, in_time};
use model::ProcessId;
use model::job::{Failure, JobState, MAX_LAPSES};
use tokio_util::sync::CancellationToken;

use crate::Worker;
use crate::beside::Beside;
use crate::leases::WRITING;

/// The name of this part of the worker, for its sign of life.
pub const PART: &str = "supervisor";

/// The most jobs of one look.
const BATCH: i64 = 500;

/// How long the database may take for a look, and for each word that a process is lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks every third of a lease, until `stop`.
pub async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let mut watch = Watch::new(worker.lease.length());
    let mut tick = tokio::time::interval(worker.lease.length() / 3);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut failing, mut putting_back) = (false, Beside::default());
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        worker.pulse.beat(PART);
        match look(&worker, &mut watch, &mut putting_back).await {
            Ok(()) => failing = false,
            Err(error) => {
                watch.begin_anew();
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "the supervisor could not look for lost processes");
                }
            }
        }
    }
}

async fn look(worker: &Arc<Worker>, watch: &mut Watch, putting_back: &mut Beside) -> Result<(), DbError> {
    let db = &worker.upkeep;
    let sent = Instant::now();
    let seen = db.look_in_time(PATIENCE, async |c| processes::watched(c).await).await?;
    for process in watch.look(sent, Instant::now(), seen) {
        let declared = db.look_in_time(PATIENCE, async |c| processes::declare_lost(c, process).await);
        if declared.await? {
            tracing::warn!(process = %process.id, "a process does not renew its lease: it is declared lost");
            metrics::counter!("processes_lost_total").increment(1);
        }
    }
    let orphans = db.look_in_time(PATIENCE, async |c| orphans(c, BATCH).await).await?;
    if !orphans.is_empty() {
        putting_back.begin(put_back_all(worker.clone(), orphans));
    }
    Ok(())
}

/// One that can't be written is left for a later look; it does not keep the others from being.
async fn put_back_all(worker: Arc<Worker>, orphans: Vec<Orphan>) {
    for orphan in orphans {
        match in_time(WRITING, end_orphan(&worker.upkeep, orphan)).await {
            Ok(Some((job, state))) if orphan.lapsed() => tell(&worker, &job, state),
            Ok(Some((job, _))) => tracing::info!(job = %job.id, "what a stopped process left is put back"),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(job = %orphan.claim.job, %error, "a job could not be put back yet");
            }
        }
    }
}

fn tell(worker: &Worker, job: &Job, state: JobState) {
    metrics::counter!("jobs_lapsed_total", "kind" => job.kind_name().to_owned()).increment(1);
    worker.tally.lapsed(&job.queue, state);
    let (lapses, kind) = (job.lapses + 1, job.kind_name());
    let outcome = if state == JobState::Failed { Failure::Crashed.name() } else { "lapsed" };
    metrics::counter!("jobs_ended_total", "kind" => kind.to_owned(), "outcome" => outcome).increment(1);
    if state == JobState::Failed {
        let failure = Failure::Crashed.name();
        tracing::error!(job = %job.id, kind, lapses, failure, "the lease lapsed too often: the job failed");
    } else if lapses >= MAX_LAPSES {
        tracing::error!(job = %job.id, kind, lapses, "the lease of a job that undoes keeps lapsing");
    } else {
        tracing::warn!(job = %job.id, kind, lapses, "the lease lapsed: the job is put back");
    }
}

/// What a supervisor saw of each process, and since when it has not changed.
struct Watch {
    lease: Duration,
    /// When the last look was answered.
    looked: Option<Instant>,
    unchanged: HashMap<ProcessId, (i64, Instant)>,
}

impl Watch {
    fn new(lease: Duration) -> Self {
        Self { lease, looked: None, unchanged: HashMap::new() }
    }

    /// A look failed: what happened meanwhile, nobody saw.
    fn begin_anew(&mut self) {
        self.looked = None;
        self.unchanged.clear();
    }

    /// The processes that are lost, by a look that was sent and answered then. A process may be silent for its own
    /// lease; where this supervisor looks more rarely than that one renews, its own counts.
    fn look(&mut self, sent: Instant, answered: Instant, seen: Vec<Watched>) -> Vec<Watched> {
        let gapless = self.looked.is_some_and(|last| answered.duration_since(last) <= self.lease * 2 / 3);
        if !gapless {
            self.begin_anew();
        }
        self.looked = Some(answered);
        let known = std::mem::take(&mut self.unchanged);
        let mut lost = Vec::new();
        for process in seen {
            let since = match known.get(&process.id) {
                Some((renewals, since)) if *renewals == process.renewals => *since,
                _ => answered,
            };
            let patience = process.lease().max(self.lease) * 4 / 3;
            if sent.saturating_duration_since(since) >= patience {
                lost.push(process);
            }
            self.unchanged.insert(process.id, (process.renewals, since));
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);

    fn process(id: ProcessId, renewals: i64, lease: Duration) -> Watched {
        Watched::new(id, renewals, lease)
    }

    /// Looks each `pause` seconds with what `renewals` says of the process then; how many looks until it is lost.
    fn looks_until_lost(lease: Duration, pause: u64, renewals: impl Fn(usize) -> i64) -> Option<usize> {
        let (id, start) = (ProcessId::new(), Instant::now());
        let mut watch = Watch::new(LEASE);
        (0..50).find(|look| {
            let at = start + Duration::from_secs(*look as u64 * pause);
            !watch.look(at, at, vec![process(id, renewals(*look), lease)]).is_empty()
        })
    }

    #[test]
    fn a_process_is_lost_after_a_lease_and_a_third_without_a_renewal() {
        assert_eq!(looks_until_lost(LEASE, 10, |_| 7), Some(4), "seen at 0, lost at 40 s");
        assert_eq!(looks_until_lost(LEASE, 10, |look| look as i64), None);
        assert_eq!(
            looks_until_lost(LEASE, 10, |look| (look / 3) as i64),
            None,
            "a renewal late by two looks"
        );
    }

    #[test]
    fn each_is_given_its_own_lease_and_none_less_than_the_watchers() {
        assert_eq!(looks_until_lost(LEASE * 2, 10, |_| 7), Some(8));
        assert_eq!(looks_until_lost(LEASE / 10, 10, |_| 7), Some(4));
    }

    #[test]
    fn a_gap_between_two_looks_begins_the_watch_anew() {
        assert_eq!(looks_until_lost(LEASE, 21, |_| 7), None);
        let (id, start) = (ProcessId::new(), Instant::now());
        let mut watch = Watch::new(LEASE);
        let mut lost_at = |seconds: u64| {
            let at = start + Duration::from_secs(seconds);
            !watch.look(at, at, vec![process(id, 7, LEASE)]).is_empty()
        };
        let looks = [0, 10, 20, 30, 100, 110, 120, 130, 140];
        let lost: Vec<u64> = looks.into_iter().filter(|seconds| lost_at(*seconds)).collect();
        assert_eq!(lost, [140], "what was seen before the outage does not count");
    }

    #[test]
    fn a_look_that_failed_begins_the_watch_anew() {
        let (id, start) = (ProcessId::new(), Instant::now());
        let mut watch = Watch::new(LEASE);
        for seconds in [0, 10, 20, 30] {
            let at = start + Duration::from_secs(seconds);
            assert!(watch.look(at, at, vec![process(id, 7, LEASE)]).is_empty());
        }
        watch.begin_anew();
        let at = start + Duration::from_secs(40);
        assert!(watch.look(at, at, vec![process(id, 7, LEASE)]).is_empty());
    }
}
