//! What does a kind of job.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::jobs::schedule::schedule;
use ::jobs::subject::mark_subject_cancelled;
use model::{Kind, KindInfo, check_waits, registry};

use crate::context::JobContext;
use crate::outcome::{JobError, Outcome};

/// A run of a handler.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Outcome, JobError>> + Send>>;

/// A handler as the runner sees it.
pub struct Handler {
    /// See [`Kind::NAME`].
    pub kind: &'static str,
    /// See [`Kind::ALIASES`].
    pub aliases: &'static [&'static str],
    /// See [`Kind::VERSION`].
    pub version: i32,
    /// See [`Kind::TIMEOUT`].
    pub timeout: Duration,
    /// See [`Kind::UNDOES`].
    pub undoes: bool,
    /// Reads the arguments and runs the handler.
    pub run: fn(JobContext) -> HandlerFuture,
}

impl Handler {
    /// A handler of kind `K`; `run` reads the arguments and does the job. It may be run again after any crash, and must
    /// then come to the same end.
    pub const fn of<K: Kind>(run: fn(JobContext) -> HandlerFuture) -> Self {
        Self {
            kind: K::NAME,
            aliases: K::ALIASES,
            version: K::VERSION,
            timeout: K::TIMEOUT,
            undoes: K::UNDOES,
            run,
        }
    }

    /// Whether it does jobs of that kind, whose arguments are of that version.
    pub fn does(&self, kind: &str, version: i32) -> bool {
        (self.kind == kind || self.aliases.contains(&kind)) && version <= self.version
    }
}

/// The arguments of the job; or how it ends, since no retry can help.
///
/// # Errors
/// [`Outcome::Discard`].
pub fn args<K: Kind>(context: &JobContext) -> Result<K, Outcome> {
    context.job.read_args::<K>().map_err(|error| Outcome::Discard(error.to_string()))
}

/// Refuses to start when kinds and handlers differ (a job without a handler would be retried for hours), or when kinds
/// wait for each other (their jobs would do so for ever).
///
/// # Panics
/// With the name of the kind that has no handler, or the kinds that wait for each other.
#[expect(clippy::panic, reason = "a mistake in the program, found at its first start")]
pub fn check(handlers: &[Handler]) {
    for kind in registry::kinds() {
        if handlers.iter().all(|handler| handler.kind != kind.name) {
            panic!("job kind {} has no line in HANDLERS", kind.name);
        }
    }
    for handler in handlers {
        if KindInfo::find(handler.kind).is_none() {
            panic!("handler {} has no line in KINDS", handler.kind);
        }
    }
    if let Err(error) = check_waits(registry::kinds()) {
        panic!("{error}");
    }
    for entry in schedule() {
        if let Err(error) = entry.parse() {
            panic!("schedule {}: {error}", entry.name);
        }
    }
}

/// Cancels a job whose handler has nothing to undo: its subject is marked, and that is all.
///
/// # Errors
/// [`JobError::LostLease`].
pub async fn undo_at_once(context: &JobContext) -> Result<Outcome, JobError> {
    let mut tx = context.begin().await?;
    mark_subject_cancelled(&mut tx, &context.job).await?;
    tx.commit().await?;
    Ok(Outcome::Cancelled)
}
