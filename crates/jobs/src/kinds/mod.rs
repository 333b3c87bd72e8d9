//! The engine's own kinds of jobs: they tell others how a job went on. An application lists them with its own.

mod deliver_callback;
mod send_reply;

pub use deliver_callback::DeliverCallback;
pub use send_reply::{Refusal, Reply, SendReply};
