//! One handler a file, and the list of all of them.

mod also_bought;
mod consistency_check;
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

use std::future::Future;

use model::Kind;
use runtime::handler::{self, Handler, HandlerFuture};
use runtime::outcome::{JobError, Outcome};
use shared::jobs::{
    AlsoBought, ConsistencyCheck, FulfilOrder, IngestFile, MakeThumbnails, RemakeThumbnails, RenderPrint,
    Retention, SalesReport, SendEmail,
};

use crate::context::JobContext;

pub use fulfil_order::crash_points;

/// What a job kind's handler is.
pub trait Handle: Kind {
    /// Does the job. It may be run again after any crash, and must then come to the same end.
    fn run(self, context: JobContext) -> impl Future<Output = Result<Outcome, JobError>> + Send;
}

/// Every handler: one line a kind, as in `shared::jobs::KINDS`.
pub const HANDLERS: &[Handler] = &[
    of::<MakeThumbnails>(),
    of::<FulfilOrder>(),
    of::<SendEmail>(),
    of::<RenderPrint>(),
    of::<AlsoBought>(),
    runtime::kinds::DELIVER_CALLBACK,
    of::<RemakeThumbnails>(),
    runtime::kinds::SEND_REPLY,
    of::<SalesReport>(),
    of::<ConsistencyCheck>(),
    of::<IngestFile>(),
    of::<Retention>(),
];

const fn of<H: Handle>() -> Handler {
    Handler::of::<H>(run_erased::<H>)
}

fn run_erased<H: Handle>(run: runtime::context::JobContext) -> HandlerFuture {
    Box::pin(async move {
        match handler::args::<H>(&run) {
            Ok(args) => args.run(JobContext::of(run)?).await,
            Err(outcome) => Ok(outcome),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_handler_and_every_handler_a_kind() {
        shared::jobs::register();
        handler::check(HANDLERS);
    }
}
