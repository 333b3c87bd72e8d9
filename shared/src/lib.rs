//! What `web` and `worker` both need, and nothing that only one of them does.
//!
//! - [`domain`]: pure types and state machines, no IO; start reading here.
//! - [`jobs`]: the contract of each job kind.
//! - [`db`]: all SQL; [`db::jobs`] is the job core.
//! - [`messaging`]: the queue and the relay that publishes to it.
//! - [`blobs`], [`mail`], [`payments`], [`config`], [`telemetry`], [`tls`]: the rest of the outside world.
//! - [`callbacks`]: addresses of customers' own that are told how their jobs go on.
//! - [`problem`], [`job_view`]: what is shown to the outside by more than one program.
//! - [`operations`]: what an operator may see and do.
//! - [`foundation`]: what every program opens first.
//! - [`signing`]: secret keys, and what they vouch for: links, tokens and callbacks.

pub mod blobs;
pub mod config;
pub mod db;
pub mod domain;
pub mod foundation;
pub mod intake;
pub mod jobs;
pub mod payments;
