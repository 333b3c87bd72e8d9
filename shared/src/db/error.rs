//! What can go wrong between us and the database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// An error of the database layer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It can't be reached, has no connection free, or went away: try again later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Two transactions got in each other's way (deadlock, serialisation): try again at once.
    #[error("the transaction collided with another: {0}")]
    Collision(String),
    /// A row with this key exists already.
    #[error("duplicate key: {0}")]
    Duplicate(String),
    /// The database is at another version than this program.
    #[error("{0}")]
    Migration(String),
    /// Everything else is a mistake of ours.
    #[error("database error: {0}")]
    Other(#[source] DieselError),
}

impl DbError {
    /// Whether nothing is wrong with the request: the database could not be asked.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<DieselError> for DbError {
    fn from(error: DieselError) -> Self {
        match &error {
            DieselError::DatabaseError(kind, info) => {
                let message = info.message().to_owned();
                match kind {
                    DatabaseErrorKind::UniqueViolation => Self::Duplicate(message),
                    DatabaseErrorKind::SerializationFailure => Self::Collision(message),
                    DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand => {
                        Self::Unavailable(message)
                    }
                    _ if message.contains("deadlock detected") => Self::Collision(message),
                    _ if went_away(&message) => Self::Unavailable(message),
                    _ => Self::Other(error),
                }
            }
            DieselError::BrokenTransactionManager => {
                Self::Unavailable("the connection broke inside a transaction".into())
            }
            _ => Self::Other(error),
        }
    }
}

/// PostgreSQL tells that it goes away by messages that Diesel has no kind for.
fn went_away(message: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "terminating connection",
        "the database system is",
        "connection closed",
        "connection reset",
        "broken pipe",
        "too many clients",
        "remaining connection slots",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}
