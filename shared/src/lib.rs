//! What `web` and `worker` both need, and nothing that only one of them does.
//!
//! - [`domain`]: pure types and state machines, no IO; start reading here.

pub mod domain;
pub mod jobs;
pub mod messaging;
