//! What a job is: the engine's words, pure types and state machines. Nothing here does IO or is async.
//!
//! - [`job`]: the states, and [`decide`](job::decide), which turns the end of a run into the next state. Start reading
//!   here.
//! - [`kind`]: the contract of a kind of job; [`versions`] and [`trigger`] read arguments that others wrote.
//! - [`queue`]: queues and their lanes; [`envelope`] is what a message carries.
//! - [`registry`]: what the engine is told of its application.
//! - [`ids`], [`time`], [`sql_types`]: how rows are named and when things were.

pub mod envelope;
pub mod ids;
pub mod job;
pub mod kind;
pub mod process;
pub mod queue;
pub mod registry;
pub mod sql_types;
pub mod stored_text;
pub mod time;
pub mod trigger;
pub mod versions;

pub use envelope::{Envelope, EnvelopeError};
pub use ids::{JobId, OwnerId, ProcessId, WorkerId};
pub use kind::{BadWaits, Kind, KindInfo, Unique, check_waits};
pub use process::Program;
pub use queue::{Lane, Queue, QueueInfo, Slots, WorkedQueues};
pub use registry::UnknownTask;
pub use stored_text::StoredText;
pub use time::Timestamp;
pub use trigger::BadArgs;
pub use versions::{UnreadableArgs, names_of, read_stored};
