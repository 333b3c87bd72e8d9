//! What jobs are about. The engine does not know: the application tells it.

use std::sync::OnceLock;

use database::{Conn, DbError, Tx};
use futures_util::future::BoxFuture;
use model::{JobId, Timestamp};

use crate::Job;
use crate::cancel::{CancelOutcome, cancel};
use crate::dead::{Discarded, Refusal, discard};

/// What the application tells of its jobs' subjects: the things that they are about, such as a document that
/// a job converts.
pub trait Subjects: Send + Sync {
    /// The path of what the job is about; `None` for what nobody can look at.
    fn path(&self, job: &Job) -> Option<String>;

    /// Marks what a job was about, when it ends `cancelled` with nothing to undo, and tells whoever wants to know.
    ///
    /// # Errors
    /// Those of the database.
    fn cancelled<'a>(&'a self, tx: &'a mut Tx, job: &'a Job) -> BoxFuture<'a, Result<(), DbError>>;

    /// What happened to what the job is about, for operators.
    ///
    /// # Errors
    /// Those of the database.
    fn events<'a>(
        &'a self,
        conn: &'a mut Conn,
        job: &'a Job,
    ) -> BoxFuture<'a, Result<Vec<Happened>, DbError>>;

    /// Where to look for the job of something by that thing's id: each is a query for ids of jobs that ends where the
    /// id belongs, and is answered by an index.
    fn job_of(&self) -> &'static [&'static str];
}

/// Something that happened to what a job is about.
#[derive(Debug, Clone)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
    /// More of it.
    pub detail: Option<String>,
}

static SUBJECTS: OnceLock<&'static dyn Subjects> = OnceLock::new();

pub(super) fn register(subjects: &'static dyn Subjects) {
    SUBJECTS.get_or_init(|| subjects);
}

/// See [`Subjects::path`].
pub(super) fn path(job: &Job) -> Option<String> {
    SUBJECTS.get()?.path(job)
}

/// See [`Subjects::job_of`].
pub(super) fn job_of() -> &'static [&'static str] {
    SUBJECTS.get().map_or(&[], |subjects| subjects.job_of())
}

/// Cancels a job. If that takes effect at once, its subject is marked in the same transaction.
///
/// # Errors
/// Those of the database.
pub async fn cancel_job(tx: &mut Tx, id: JobId) -> Result<CancelOutcome, DbError> {
    let outcome = cancel(tx, id).await?;
    if let CancelOutcome::Cancelled(job) = &outcome {
        mark_subject_cancelled(tx, job).await?;
    }
    Ok(outcome)
}

/// Gives a dead job up. If that takes effect at once, its subject is marked in the same transaction.
///
/// # Errors
/// Those of [`discard`].
pub async fn discard_job(tx: &mut Tx, id: JobId) -> Result<Result<Discarded, Refusal>, DbError> {
    let outcome = discard(tx, id).await?;
    if let Ok(Discarded::Cancelled(job)) = &outcome {
        mark_subject_cancelled(tx, job).await?;
    }
    Ok(outcome)
}

/// See [`Subjects::cancelled`].
///
/// # Errors
/// Those of the database.
pub async fn mark_subject_cancelled(tx: &mut Tx, job: &Job) -> Result<(), DbError> {
    match SUBJECTS.get() {
        Some(subjects) => subjects.cancelled(tx, job).await,
        None => Ok(()),
    }
}

/// See [`Subjects::events`].
///
/// # Errors
/// Those of the database.
pub async fn events(conn: &mut Conn, job: &Job) -> Result<Vec<Happened>, DbError> {
    match SUBJECTS.get() {
        Some(subjects) => subjects.events(conn, job).await,
        None => Ok(Vec::new()),
    }
}
