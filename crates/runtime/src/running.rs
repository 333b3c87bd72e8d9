//! What this process runs, and what it is about to: the claims whose answers have not come yet.
//!
//! Both are in one list under one lock, because the look at the own rows ([`crate::leases`]) compares the table
//! with it: a row that is neither a run nor a claim under way is put back. And after the end of claiming, see
//! [`Running::close`], no claim is sent.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ::jobs::lease::OwnRun;
use ::jobs::{Claim, Job};
use model::process::RunFact;
use model::{JobId, Timestamp};
use serde::Serialize;
use tokio::sync::Notify;

use crate::stop::{StopReason, StopSignal};

/// The jobs that run here now.
#[derive(Debug, Default)]
pub struct Running {
    list: Mutex<List>,
    /// A claim was answered.
    answered: Notify,
}

#[derive(Debug, Default)]
struct List {
    runs: HashMap<Claim, Run>,
    /// How many claims of a job are under way: a message may come twice.
    claiming: HashMap<JobId, usize>,
    closed: bool,
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
    /// Its job is settled, or somebody else's, while its handler still works.
    pub abandoned: bool,
    /// Tells its handler to stop.
    pub stop: StopSignal,
    /// Whether it may be released: see [`HandOver`].
    pub hand_over: HandOver,
    /// Whether it committed a checkpoint.
    pub got_on: Arc<AtomicBool>,
}

/// Whether a run is handing something over that can't be taken back, such as a mail. It is not released
/// meanwhile; and once it is released, it begins to hand nothing over.
#[derive(Debug, Clone, Default)]
pub struct HandOver(Arc<AtomicU8>);

const IDLE: u8 = 0;
const HANDING_OVER: u8 = 1;
const RELEASED: u8 = 2;

impl HandOver {
    /// Whether the run may hand over, from now until its end.
    pub fn begin(&self) -> bool {
        self.change(IDLE, HANDING_OVER) != RELEASED
    }

    /// Whether the run is released: it is unless it hands something over.
    pub fn release(&self) -> bool {
        self.change(IDLE, RELEASED) != HANDING_OVER
    }

    /// What it was before.
    fn change(&self, from: u8, to: u8) -> u8 {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).unwrap_or_else(|was| was)
    }
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
    /// Whether its job is settled or somebody else's, while its handler still works.
    pub abandoned: bool,
}

/// A claim whose answer has not come yet. Dropped: it came, or never will.
pub struct ClaimUnderWay {
    running: Arc<Running>,
    job: JobId,
}

/// A run in the list. Dropped: it is over, whatever ended it.
pub struct RunGuard {
    running: Arc<Running>,
    claim: Claim,
    run: Run,
}

impl Running {
    /// Announces a claim that is about to be sent; `None` after [`Running::close`].
    pub fn claim(self: &Arc<Self>, job: JobId) -> Option<ClaimUnderWay> {
        let mut list = self.lock();
        if list.closed {
            return None;
        }
        *list.claiming.entry(job).or_default() += 1;
        Some(ClaimUnderWay { running: self.clone(), job })
    }

    /// The process stops: no claim begins from now on.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Whether no claim begins any more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits until every claim is answered.
    pub async fn until_answered(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if self.lock().claiming.is_empty() {
                return;
            }
            answered.await;
        }
    }

    /// What runs now and owns its row.
    pub fn claims(&self) -> Vec<Claim> {
        let list = self.lock();
        list.runs.iter().filter(|(_, run)| !run.abandoned).map(|(claim, _)| *claim).collect()
    }

    /// Of these rows, those that nobody here knows.
    pub fn unknown(&self, rows: &[OwnRun]) -> Vec<Claim> {
        let list = self.lock();
        let unknown =
            |claim: &Claim| !list.runs.contains_key(claim) && !list.claiming.contains_key(&claim.job);
        rows.iter().map(|row| row.claim).filter(unknown).collect()
    }

    /// Tells these runs to stop; those that ended meanwhile are not there any more.
    pub fn stop(&self, claims: impl IntoIterator<Item = Claim>, reason: StopReason) {
        let list = self.lock();
        for run in claims.into_iter().filter_map(|claim| list.runs.get(&claim)) {
            run.stop.raise(reason);
        }
    }

    /// How many handlers work on whose jobs are settled already.
    pub fn abandoned(&self) -> usize {
        self.lock().runs.values().filter(|run| run.abandoned).count()
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
                abandoned: run.abandoned,
            })
            .collect()
    }

    /// The same, for the process's heartbeat.
    pub fn facts(&self) -> Vec<RunFact> {
        let runs = self.longest_first().into_iter();
        runs.map(|(claim, run)| RunFact {
            job: claim.job,
            kind: run.kind,
            queue: run.queue,
            since: run.claimed_at,
            abandoned: run.abandoned,
        })
        .collect()
    }

    fn longest_first(&self) -> Vec<(Claim, Run)> {
        let mut runs: Vec<(Claim, Run)> =
            self.lock().runs.iter().map(|(claim, run)| (*claim, run.clone())).collect();
        runs.sort_by_key(|(_, run)| run.since);
        runs
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClaimUnderWay {
    /// The claim was granted: it becomes a run, without a moment in between in which it is neither.
    pub fn granted(self, job: &Job) -> RunGuard {
        let claim = Claim { job: job.id, fence: job.fence };
        let run = Run {
            kind: job.kind_name().to_owned(),
            queue: job.queue.clone(),
            attempt: job.attempt,
            since: Instant::now(),
            // The claim wrote it.
            claimed_at: job.updated_at,
            abandoned: false,
            stop: StopSignal::default(),
            hand_over: HandOver::default(),
            got_on: Arc::default(),
        };
        self.running.lock().runs.insert(claim, run.clone());
        RunGuard { running: self.running.clone(), claim, run }
    }
}

impl Drop for ClaimUnderWay {
    fn drop(&mut self) {
        let mut list = self.running.lock();
        if let Some(count) = list.claiming.get_mut(&self.job) {
            *count -= 1;
            if *count == 0 {
                list.claiming.remove(&self.job);
            }
        }
        drop(list);
        self.running.answered.notify_waiters();
    }
}

impl RunGuard {
    /// The run.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Its identity.
    pub fn claim(&self) -> Claim {
        self.claim
    }

    /// Its job is settled, or somebody else's; the handler works on.
    pub fn abandon(&self) {
        if let Some(run) = self.running.lock().runs.get_mut(&self.claim) {
            run.abandoned = true;
        }
        self.running.count_abandoned();
    }
}

impl Running {
    fn count_abandoned(&self) {
        metrics::gauge!("runs_abandoned").set(self.abandoned() as f64);
    }
}

impl Drop for RunGuard {
    fn drop(&mut self) {
        let ended = self.running.lock().runs.remove(&self.claim);
        if ended.is_some_and(|run| run.abandoned) {
            self.running.count_abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(job: JobId, fence: i64) -> OwnRun {
        OwnRun { claim: Claim { job, fence }, cancel_requested: false, undoing: false }
    }

    #[test]
    fn a_row_is_unknown_unless_it_is_a_run_or_a_claim_under_way() {
        let running = Arc::new(Running::default());
        let job = JobId::new();
        assert_eq!(running.unknown(&[row(job, 1)]), [Claim { job, fence: 1 }]);
        let (first, second) = (running.claim(job).unwrap(), running.claim(job).unwrap());
        assert_eq!(running.unknown(&[row(job, 1)]), []);
        drop(first);
        assert_eq!(running.unknown(&[row(job, 1)]), [], "the doubled message's claim is still under way");
        drop(second);
        assert_eq!(running.unknown(&[row(job, 1)]).len(), 1);
    }

    #[tokio::test]
    async fn after_the_end_of_claiming_no_claim_begins_and_those_under_way_are_waited_for() {
        let running = Arc::new(Running::default());
        let under_way = running.claim(JobId::new()).unwrap();
        running.close();
        assert!(running.claim(JobId::new()).is_none());
        let waiting = tokio::spawn({
            let running = running.clone();
            async move { running.until_answered().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(under_way);
        waiting.await.unwrap();
    }

    #[test]
    fn what_hands_over_is_not_released_and_what_is_released_hands_nothing_over() {
        let (first, second) = (HandOver::default(), HandOver::default());
        assert!(first.begin() && first.begin() && !first.release());
        assert!(second.release() && second.release() && !second.begin());
    }
}
