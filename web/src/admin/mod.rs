//! The operators' pages under `/admin`: one file a noun, handlers and view structs. They show what
//! `operations` returns; the JSON of the same nouns is in `crate::api::admin`.
//!
//! - [`Operator`](crate::auth::operator::Operator): whoever asks; every handler here and there takes one.
//! - [`shell`]: what every page shows around its content.

pub mod audit;
pub mod chart;
pub mod dead;
#[cfg(test)]
pub mod dead_samples;
pub mod error;
pub mod jobs;
#[cfg(test)]
pub mod jobs_samples;
pub mod login;
pub mod operators;
pub mod overview;
pub mod overview_cache;
pub mod queues;
#[cfg(test)]
pub mod samples;
pub mod schedule;
pub mod shell;
pub mod when;
