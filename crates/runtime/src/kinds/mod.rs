//! The handlers of the engine's own kinds. An application lists them with its own.

mod deliver_callback;
mod send_reply;

use ::jobs::kinds;

use crate::context::JobContext;
use crate::handler::{self, Handler, HandlerFuture};

/// Calls an address that is told how a job goes on.
pub const DELIVER_CALLBACK: Handler = Handler::of::<kinds::DeliverCallback>(run_deliver_callback);

/// Answers a program that submitted a job.
pub const SEND_REPLY: Handler = Handler::of::<kinds::SendReply>(run_send_reply);

fn run_deliver_callback(context: JobContext) -> HandlerFuture {
    Box::pin(async move {
        match handler::args(&context) {
            Ok(args) => deliver_callback::run(args, context).await,
            Err(outcome) => Ok(outcome),
        }
    })
}

fn run_send_reply(context: JobContext) -> HandlerFuture {
    Box::pin(async move {
        match handler::args(&context) {
            Ok(args) => send_reply::run(args, context).await,
            Err(outcome) => Ok(outcome),
        }
    })
}
