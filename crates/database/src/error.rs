//! What can go wrong between us and the database.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

use crate::sql_state::{Meaning, SqlState};

/// An error of the database layer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It can't be reached, has no connection free, went away, has no room, or did not answer in time: try again
    /// later. Whether it did what it was asked is not known.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// Two transactions got in each other's way (deadlock, serialisation): try again at once.
    #[error("the transaction collided with another: {0}")]
    Collision(String),
    /// A row with this key exists already: the constraint on PostgreSQL, the columns on SQLite.
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

impl DbError {
    /// Of PostgreSQL, by the code of the last error; the text is for people only.
    pub fn of_postgres(error: DieselError, last: Option<SqlState>) -> Self {
        let DieselError::DatabaseError(kind, info) = &error else { return Self::of_client(error) };
        // The server did not answer: there is no code of this error.
        if matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand) {
            return Self::Unavailable(info.message().to_owned());
        }
        let Some(code) = last else { return Self::Other(error) };
        let text = format!("{} ({code})", info.message());
        match code.meaning() {
            Meaning::Unavailable => Self::Unavailable(text),
            Meaning::Collision => Self::Collision(text),
            Meaning::Duplicate => Self::Duplicate(info.constraint_name().map_or(text, str::to_owned)),
            Meaning::Other => Self::Other(error),
        }
    }

    /// Of SQLite. Diesel keeps no result code but of broken constraints; but SQLite's words are compiled in, in one
    /// language.
    pub fn of_sqlite(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, info) = &error else { return Self::of_client(error) };
        let message = info.message();
        match kind {
            DatabaseErrorKind::UniqueViolation => Self::Duplicate(message.to_owned()),
            _ if SQLITE_UNAVAILABLE.iter().any(|words| message.contains(words)) => {
                Self::Unavailable(message.to_owned())
            }
            _ => Self::Other(error),
        }
    }

    /// Neither database said it.
    fn of_client(error: DieselError) -> Self {
        match error {
            DieselError::BrokenTransactionManager => {
                Self::Unavailable("the connection broke inside a transaction".into())
            }
            error => Self::Other(error),
        }
    }
}

/// SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR, in SQLite's words: another program has the file, the
/// disk is full or broken.
const SQLITE_UNAVAILABLE: [&str; 4] =
    ["database is locked", "database table is locked", "disk is full", "disk I/O error"];

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: DatabaseErrorKind, message: &str) -> DieselError {
        DieselError::DatabaseError(kind, Box::new(message.to_owned()))
    }

    #[test]
    fn sqlite_says_in_fixed_words_whether_trying_again_later_may_help() {
        for (message, unavailable) in [
            ("database is locked", true),
            ("database or disk is full", true),
            ("disk I/O error", true),
            ("near \"SELEKT\": syntax error", false),
        ] {
            let error = error(DatabaseErrorKind::Unknown, message);
            assert_eq!(DbError::of_sqlite(error).is_unavailable(), unavailable, "{message}");
        }
    }

    #[test]
    fn a_text_of_postgresql_decides_nothing() {
        for message in ["deadlock detected", "terminating connection", "database is locked"] {
            let found = DbError::of_postgres(error(DatabaseErrorKind::Unknown, message), None);
            assert!(matches!(found, DbError::Other(_)), "{found:?}");
        }
        let silent = error(DatabaseErrorKind::UnableToSendCommand, "x");
        assert!(DbError::of_postgres(silent, None).is_unavailable());
    }
}
