//! The shop, as far as `web` and `worker` both need it, and nothing that only one of them does. It stands on the
//! engine, the crates in `crates/`, which know nothing of it.
//!
//! - [`domain`]: pure types and state machines, no IO; start reading here.
//! - [`jobs`]: the contract of each job kind, and all that the engine is told of the shop.
//! - [`db`]: the SQL of the shop's tables.
//! - [`intake`]: a picture on its way in.
//! - [`blobs`], [`payments`], [`config`]: the outside world.
//! - [`foundation`]: what every program opens first.

pub mod blobs;
pub mod config;
pub mod db;
pub mod domain;
pub mod foundation;
pub mod intake;
pub mod jobs;
pub mod payments;
