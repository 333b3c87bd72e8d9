//! Operations: what an operator may see and do. The pages under `/admin`, the JSON under `/api/admin` and the
//! commands of the programs all call these functions and show what they return; none of them does anything of
//! its own.
//!
//! Whatever changes something takes an [`Actor`], refuses one that may only look, and writes the audit.

pub mod act;
pub mod audit;
pub mod db;
pub mod dead;
pub mod ids;
pub mod jobs;
pub mod operator;
pub mod operators;
pub mod overview;
pub mod queues;
pub mod schedule;

use crate::operator::Actor;
use database::DbError;
use platform::signing::passwords::HashError;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// The operator may look and not touch.
    #[error("{0} may look, but change nothing")]
    ReadOnly(String),
    /// There is none of that name or id: `job`, `queue`, …
    #[error("no such {0}")]
    Unknown(&'static str),
    /// It can't be done as things are; says why.
    #[error("{0}")]
    Refused(String),
    /// A value that was given is none; names it and says why.
    #[error("{field}: {problem}")]
    Invalid {
        /// What it is called where it was given.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

impl From<::jobs::filter::BadFilter> for OperationError {
    fn from(wrong: ::jobs::filter::BadFilter) -> Self {
        Self::Invalid { field: wrong.field, problem: wrong.message }
    }
}

impl database::MaybeCollision for OperationError {
    fn is_collision(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_collision())
    }
}

/// Every operation that changes something begins with this.
///
/// # Errors
/// [`OperationError::ReadOnly`].
pub fn may_change(actor: &Actor) -> Result<(), OperationError> {
    if actor.read_only { Err(OperationError::ReadOnly(actor.name.clone())) } else { Ok(()) }
}
