//! What every request and every answer has in common, whatever it is about.
//!
//! - [`error`], [`problem`]: every refusal, and how it is shown; [`headers`]: the last thing that happens to an answer.
//! - [`extract`], [`conditional`], [`paging`], [`field`]: what is read of a request.
//! - [`accepted`]: the answer 202; [`idempotency`]: the same answer for whoever sends a request again.
//! - [`rates`]: when it is too much; [`trace`]: the span of a request.

pub mod accepted;
pub mod conditional;
pub mod error;
pub mod extract;
pub mod field;
pub mod headers;
pub mod idempotency;
pub mod paging;
pub mod problem;
pub mod rates;
pub mod trace;
