//! What `web` and `worker` both need, and nothing that only one of them does.
//!
//! - [`domain`]: pure types and state machines, no IO; start reading here.
//! - [`jobs`]: the contract of each job kind.
//! - [`db`]: all SQL; [`db::jobs`] is the job core.
//! - [`messaging`]: the queue and the relay that publishes to it.
//! - [`mail`]: sends a finished mail, or keeps it as a file.
//! - [`payments`]: what a payment gateway is asked and how it can answer.
//! - [`signing`]: secret keys, signed links, customers' tokens.
//! - [`blobs`], [`config`], [`telemetry`], [`tls`]: the rest of the outside world.

pub mod blobs;
pub mod config;
pub mod db;
pub mod domain;
pub mod jobs;
pub mod mail;
pub mod messaging;
pub mod payments;
pub mod signing;
pub mod telemetry;
pub mod tls;
