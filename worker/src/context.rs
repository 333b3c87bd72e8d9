//! What a handler is given: its job, the outside world, and fenced ways to write.

use serde_json::Value;
use shared::db::Tx;
use shared::db::jobs::enqueue::{self, Options};
use shared::db::jobs::lease::lock_own;
use shared::db::jobs::settle::{self, Progress};
use shared::db::jobs::{Claim, Job};
use shared::jobs::Kind;
use tokio_util::sync::CancellationToken;

use crate::Services;
use crate::outcome::JobError;

/// One run of one job.
pub struct JobContext {
    /// The outside world.
    pub services: Services,
    /// The job's row as it was claimed.
    pub job: Job,
    /// Proves that the run still owns the row.
    pub claim: Claim,
    /// Set when somebody asks to cancel the job, for handlers that can stop half-way.
    pub cancel_requested: CancellationToken,
}

impl JobContext {
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

    /// Commits a step: its business rows and where to go on after a crash, in one transaction.
    /// Returns whether somebody asked to cancel the job.
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
        let cancel = settle::checkpoint(&mut tx, self.claim, checkpoint, undoing, progress).await?;
        tx.commit().await?;
        Ok(cancel)
    }

    /// Shows how far the run is.
    ///
    /// # Errors
    /// [`JobError::LostLease`].
    pub async fn report(&self, progress: Progress) -> Result<(), JobError> {
        Ok(settle::report(&self.services.db, self.claim, &progress).await?)
    }

    /// Enqueues a job that belongs to the same customer and the same trace, and travels as fast.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue<K: Kind>(&self, tx: &mut Tx, args: &K) -> Result<Job, JobError> {
        self.enqueue_with(tx, args, Options::default()).await
    }

    /// As [`JobContext::enqueue`], as a part of this job: cancelling this one cancels it, too.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue_child<K: Kind>(&self, tx: &mut Tx, args: &K) -> Result<Job, JobError> {
        self.enqueue_with(tx, args, Options { parent: Some(self.job.id), ..Options::default() }).await
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
        let options = Options {
            owner: self.job.owner,
            traceparent: self.job.traceparent.clone(),
            express: self.job.express,
            ..options
        };
        Ok(enqueue::enqueue(tx, args, options).await?)
    }
}
