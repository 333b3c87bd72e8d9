//! What a handler is given: its job, the outside world, and fenced ways to write.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::jobs::enqueue::{self, Options};
use ::jobs::lease::lock_own;
use ::jobs::settle::{self, Ended, Progress};
use ::jobs::{Claim, Job};
use database::{DbError, Tx};
use model::JobId;
use model::Kind;
use model::stored_text::clean_json;
use serde_json::Value;

use crate::leases::Lease;
use crate::outcome::{Dependency, JobError, Outcome};
use crate::running::HandOver;
use crate::services::Services;
use crate::stop::{StopReason, StopSignal};

/// One run of one job, as the engine gives it to a handler. An application may wrap it, to add
/// services of its own.
pub struct JobContext {
    /// What the engine uses of the outside world.
    pub services: Services,
    /// The job's row as it was claimed.
    pub job: Job,
    /// Proves that the run still owns the row.
    pub claim: Claim,
    /// Tells the handler why it must stop, if it must. Handlers that take long listen to it.
    pub stop: StopSignal,
    /// What keeps the job its own.
    pub lease: Arc<Lease>,
    pub(crate) hand_over: HandOver,
    pub(crate) got_on: Arc<AtomicBool>,
}

impl JobContext {
    /// What the application's handlers use of the outside world, of the type that the worker was made with.
    ///
    /// # Errors
    /// It was made with another.
    pub fn application<T: Clone + 'static>(&self) -> Result<T, JobError> {
        let services = self.services.application.downcast_ref::<T>();
        services.cloned().ok_or_else(|| JobError::failed("the worker was made with other services"))
    }

    /// For handlers that work in pieces: asks between two of them whether to go on.
    ///
    /// # Errors
    /// [`JobError::Stopped`]: return it, and the job is put back as far as it is.
    pub fn go_on(&self) -> Result<(), JobError> {
        self.stop.reason().map_or(Ok(()), |reason| Err(JobError::Stopped(reason)))
    }

    /// For handlers that wait for one long thing: waits until there is a reason to stop that can't wait. (When the
    /// process stops, there is time to finish what takes seconds.)
    pub async fn must_stop(&self) -> StopReason {
        self.stop.raised_so(|reason| reason != StopReason::ShuttingDown).await
    }

    /// Asked before each effect outside that others would repeat: a process that can't renew its lease must take
    /// its jobs for somebody else's.
    ///
    /// # Errors
    /// The database counts as unavailable; the job comes back later, nothing burnt.
    pub fn before_effect(&self) -> Result<(), JobError> {
        // A process that was lost goes on under another id: what it ran under the former is not its own.
        if self.lease.is_held() && self.job.worker == Some(self.lease.id()) {
            return Ok(());
        }
        Err(JobError::unavailable(Dependency::DATABASE, "the process's lease could not be renewed"))
    }

    /// As [`JobContext::before_effect`], for an effect that can't be taken back and is not keyed, such as a mail: from
    /// now on the run is waited for when the process stops.
    ///
    /// # Errors
    /// [`JobError::Stopped`], when the run was released just now; else as there.
    pub fn begin_hand_over(&self) -> Result<(), JobError> {
        self.before_effect()?;
        match self.hand_over.begin() {
            true => Ok(()),
            false => Err(JobError::Stopped(StopReason::ShuttingDown)),
        }
    }

    /// Opens a business transaction and locks the job's own row first: a run that lost its lease can
    /// change nothing.
    ///
    /// # Errors
    /// [`JobError::LostLease`].
    pub async fn begin(&self) -> Result<Tx, JobError> {
        let mut tx = self.services.db.begin().await?;
        lock_own(&mut tx, self.claim).await?;
        Ok(tx)
    }

    /// Opens the transaction of a step, and writes first where to go on after it: the fenced write locks the job's own
    /// row, and what others want to lock as well can come last.
    ///
    /// # Errors
    /// [`JobError::LostLease`].
    pub async fn begin_step(
        &self,
        checkpoint: &Value,
        undoing: bool,
        progress: &Progress,
    ) -> Result<StepTx, JobError> {
        let mut tx = self.services.db.begin().await?;
        let job = settle::checkpoint(&mut tx, self.claim, checkpoint, undoing, progress).await?;
        Ok(StepTx { tx, job, got_on: self.got_on.clone() })
    }

    /// Commits a step: its business rows and where to go on after a crash, in one transaction.
    /// Returns whether somebody asked to cancel the job.
    ///
    /// Whatever the error, return it: a commit whose answer did not come may have happened, and must not be repeated
    /// in place. The next run goes on from the checkpoint that the row has.
    ///
    /// # Errors
    /// [`JobError::LostLease`]; then nothing was committed.
    pub async fn commit_step(
        &self,
        mut tx: Tx,
        checkpoint: &Value,
        undoing: bool,
        progress: &Progress,
    ) -> Result<bool, JobError> {
        let job = settle::checkpoint(&mut tx, self.claim, checkpoint, undoing, progress).await?;
        tx.commit().await?;
        self.got_on.store(true, Ordering::Release);
        Ok(job.cancel_requested_at.is_some())
    }

    /// Commits a step that ends the run: its business rows, its checkpoint, and how the job ended, in one transaction.
    /// `made` are parts of the job that the transaction wrote, and that it sleeps for.
    ///
    /// # Errors
    /// As those of [`JobContext::commit_step`]: return them.
    pub async fn end_with_step(
        &self,
        step: StepTx,
        made: &[JobId],
        ended: Ended,
    ) -> Result<Outcome, JobError> {
        let ended = Ended { got_on: true, ..ended };
        Ok(Outcome::Ended(settle::settle_with_step(step.tx, &step.job, made, ended).await?))
    }

    /// Opens a transaction that ends the run as a success, and writes that first: for what is to be known together with
    /// it. After the commit the handler returns [`Outcome::Ended`].
    ///
    /// # Errors
    /// [`JobError::LostLease`].
    pub async fn begin_success(&self, result: Value) -> Result<Tx, JobError> {
        let mut tx = self.services.db.begin().await?;
        settle::succeed(&mut tx, self.claim, Some(clean_json(result))).await?;
        Ok(tx)
    }

    /// Enqueues a job that belongs to the same customer and the same trace, and travels as fast.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue<K: Kind>(&self, tx: &mut Tx, args: &K) -> Result<Job, JobError> {
        self.enqueue_with(tx, args, Options::default()).await
    }

    /// As [`JobContext::enqueue`], of several at once, as parts of this job: a saga that is cancelled cancels them, too.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue_children<K: Kind>(&self, tx: &mut Tx, all: &[K]) -> Result<Vec<Job>, JobError> {
        let options = Options { parent: Some(self.job.id), ..Options::default() };
        Ok(enqueue::enqueue_all(tx, all, self.inherited(options)).await?)
    }

    /// As [`JobContext::enqueue`], with more to say about it.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue_with<K: Kind>(
        &self,
        tx: &mut Tx,
        args: &K,
        options: Options,
    ) -> Result<Job, JobError> {
        Ok(enqueue::enqueue(tx, args, self.inherited(options)).await?)
    }

    fn inherited(&self, options: Options) -> Options {
        Options {
            owner: self.job.owner,
            traceparent: self.job.traceparent.clone(),
            express: self.job.express,
            ..options
        }
    }
}

/// Writes what comes last in a transaction, and commits it in the same round trip. `false`: it can't be written, and the
/// transaction is rolled back.
pub type LastWrite =
    Box<dyn FnOnce(Tx) -> Pin<Box<dyn Future<Output = Result<bool, DbError>> + Send>> + Send>;

/// The transaction of a step: it has the checkpoint already.
pub struct StepTx {
    tx: Tx,
    job: Job,
    got_on: Arc<AtomicBool>,
}

impl StepTx {
    /// Commits the step. Returns whether somebody had asked to cancel the job when it began.
    ///
    /// # Errors
    /// As those of [`JobContext::commit_step`]: return them.
    pub async fn commit(self) -> Result<bool, JobError> {
        self.tx.commit().await?;
        self.got_on.store(true, Ordering::Release);
        Ok(self.job.cancel_requested_at.is_some())
    }

    /// Writes what comes last, which commits, or finds that it can't be written. Returns as [`StepTx::commit`]; `None`:
    /// nothing of the step is kept.
    ///
    /// # Errors
    /// As those of [`JobContext::commit_step`]: return them.
    pub async fn commit_by(self, last: LastWrite) -> Result<Option<bool>, JobError> {
        if !last(self.tx).await? {
            return Ok(None);
        }
        self.got_on.store(true, Ordering::Release);
        Ok(Some(self.job.cancel_requested_at.is_some()))
    }
}

impl Deref for StepTx {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for StepTx {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}
