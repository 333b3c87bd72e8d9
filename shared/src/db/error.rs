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
    /// Whether the same may well succeed later: nothing is wrong with what was asked.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Collision(_))
    }

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
                    // The old primary after a failover: the next connection may be to the new one.
                    DatabaseErrorKind::ReadOnlyTransaction => Self::Unavailable(message),
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

/// Messages for which Diesel has no kind: PostgreSQL goes away, or another program has SQLite's file.
fn went_away(message: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "terminating connection",
        "the database system is",
        "connection closed",
        "connection reset",
        "broken pipe",
        "too many clients",
        "remaining connection slots",
        "database is locked",
        "disk is full",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_tells_whether_trying_again_later_may_help() {
        for (message, unavailable) in [
            ("terminating connection due to administrator command", true),
            ("the database system is starting up", true),
            ("database is locked", true),
            ("database or disk is full", true),
            ("syntax error at or near \"SELEKT\"", false),
        ] {
            let error = DieselError::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned()));
            assert_eq!(DbError::from(error).is_unavailable(), unavailable, "{message}");
        }
    }
}
