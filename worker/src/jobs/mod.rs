//! One handler a file, and the list of all of them.

mod also_bought;
mod consistency_check;
mod deliver_callback;
mod fulfil_order;
mod ingest_file;
mod mailing;
mod make_thumbnails;
mod picture;
mod remake_thumbnails;
mod render_print;
mod retention;
mod sales_report;
mod send_email;
mod send_reply;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ::jobs::kinds::{DeliverCallback, SendReply};
use model::{Kind, check_waits};
use shared::jobs::schedule::SCHEDULE;
use shared::jobs::{
    AlsoBought, ConsistencyCheck, FulfilOrder, IngestFile, KINDS, MakeThumbnails, RemakeThumbnails,
    RenderPrint, Retention, SalesReport, SendEmail,
};

pub use fulfil_order::crash_points;

use crate::context::JobContext;
use crate::outcome::{JobError, Outcome};

/// What a job kind's handler is.
pub trait Handle: Kind {
    /// Does the job. It may be run again after any crash, and must then come to the same end.
    fn run(self, context: JobContext) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

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

/// Every handler: one line a kind, as in `shared::jobs::KINDS`.
pub const HANDLERS: &[Handler] = &[
    Handler::of::<MakeThumbnails>(),
    Handler::of::<FulfilOrder>(),
    Handler::of::<SendEmail>(),
    Handler::of::<RenderPrint>(),
    Handler::of::<AlsoBought>(),
    Handler::of::<DeliverCallback>(),
    Handler::of::<RemakeThumbnails>(),
    Handler::of::<SendReply>(),
    Handler::of::<SalesReport>(),
    Handler::of::<ConsistencyCheck>(),
    Handler::of::<IngestFile>(),
    Handler::of::<Retention>(),
];

impl Handler {
    pub(crate) const fn of<H: Handle>() -> Self {
        Self {
            kind: H::NAME,
            aliases: H::ALIASES,
            version: H::VERSION,
            timeout: H::TIMEOUT,
            undoes: H::UNDOES,
            run: run_erased::<H>,
        }
    }

    /// Whether it does jobs of that kind, whose arguments are of that version.
    pub fn does(&self, kind: &str, version: i32) -> bool {
        (self.kind == kind || self.aliases.contains(&kind)) && version <= self.version
    }
}

fn run_erased<H: Handle>(context: JobContext) -> HandlerFuture {
    Box::pin(async move {
        match context.job.read_args::<H>() {
            Ok(args) => args.run(context).await,
            Err(error) => Ok(Outcome::Discard(error.to_string())),
        }
    })
}

/// Refuses to start when the two lists differ (a job without a handler would be retried for hours), or when kinds wait for
/// each other (their jobs would do so for ever).
///
/// # Panics
/// With the name of the kind that one of the lists lacks, or the kinds that wait for each other.
#[expect(clippy::panic, reason = "a mistake in the program, found at its first start")]
pub fn check_lists() {
    for kind in KINDS {
        if HANDLERS.iter().all(|handler| handler.kind != kind.name) {
            panic!("job kind {} has no line in HANDLERS", kind.name);
        }
    }
    for handler in HANDLERS {
        if model::KindInfo::find(handler.kind).is_none() {
            panic!("handler {} has no line in KINDS", handler.kind);
        }
    }
    if let Err(error) = check_waits(KINDS) {
        panic!("{error}");
    }
    for entry in SCHEDULE {
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
    ::jobs::subject::mark_subject_cancelled(&mut tx, &context.job).await?;
    tx.commit().await?;
    Ok(Outcome::Cancelled)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_kind_has_a_handler_and_every_handler_a_kind() {
        shared::jobs::register();
        super::check_lists();
    }
}
