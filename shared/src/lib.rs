//! What `web` and `worker` both need, and nothing that only one of them does.
//!
//! - [`domain`]: pure types and state machines, no IO; start reading here.
//! - [`mail`]: sends a finished mail, or keeps it as a file.
//! - [`payments`]: what a payment gateway is asked and how it can answer.
//! - [`signing`]: secret keys, signed links, customers' tokens.

pub mod domain;
pub mod mail;
pub mod payments;
pub mod signing;
