//! The queue between web and worker: transport only. The row in the database says what must happen;
//! a message only says "look now", so a lost, doubled, late or reordered one does no harm.
//!
//! - [`relay`]: the only publisher of jobs.

pub mod relay;
