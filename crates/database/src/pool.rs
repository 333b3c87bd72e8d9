//! The pool of connections.

use std::fmt;

use deadpool::managed::{Pool as Deadpool, QueueMode};

use crate::DbError;
use crate::conn::Conn;
use crate::postgres::PostgresManager;
use crate::settings::{DatabaseSettings, DatabaseUrl};
use crate::sqlite::SqliteManager;

/// The pool.
pub enum Pool {
    Postgres(Deadpool<PostgresManager>),
    Sqlite(Deadpool<SqliteManager>),
}

impl Pool {
    pub fn new(settings: &DatabaseSettings) -> Result<Self, DbError> {
        let broken = |error: &dyn fmt::Display| DbError::Unavailable(error.to_string());
        match &settings.url {
            DatabaseUrl::Postgres(url) => {
                let manager = PostgresManager::new(url, settings.limits, settings.max_connections);
                let pool = Deadpool::builder(manager)
                    .max_size(settings.max_connections)
                    // The one that was used last: its plans and caches are warm, and the rest need not be.
                    .queue_mode(QueueMode::Lifo)
                    .build()
                    .map_err(|error| broken(&error))?;
                Ok(Self::Postgres(pool))
            }
            DatabaseUrl::Sqlite(path) => {
                let pool = Deadpool::builder(SqliteManager::new(path))
                    .max_size(1)
                    .build()
                    .map_err(|error| broken(&error))?;
                Ok(Self::Sqlite(pool))
            }
        }
    }

    pub async fn get(&self) -> Result<Conn, DbError> {
        let unavailable = |error: &dyn fmt::Display| DbError::Unavailable(error.to_string());
        match self {
            Self::Postgres(pool) => pool.get().await.map(Conn::Postgres).map_err(|e| unavailable(&e)),
            Self::Sqlite(pool) => pool.get().await.map(Conn::Sqlite).map_err(|e| unavailable(&e)),
        }
    }

    pub fn usage(&self) -> PoolUsage {
        let status = match self {
            Self::Postgres(pool) => pool.status(),
            Self::Sqlite(pool) => pool.status(),
        };
        PoolUsage {
            open: status.size,
            idle: status.available,
            limit: status.max_size,
            waiting: status.waiting,
        }
    }
}

/// How busy the pool is, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// Connections that are open.
    pub open: usize,
    /// Of these, the ones that nobody uses.
    pub idle: usize,
    /// The most that there may be.
    pub limit: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}
