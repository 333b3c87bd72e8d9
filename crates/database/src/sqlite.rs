//! A connection to SQLite: how it is made, and when it is of no more use.

use std::ops::{Deref, DerefMut};
use std::path::Path;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::{ConnectionError, ConnectionResult};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};

/// SQLite behind diesel-async: each statement runs on tokio's blocking threads.
pub type AsyncSqliteConnection = SyncConnectionWrapper<diesel::SqliteConnection>;

/// WAL lets readers of other processes (backups, a person with `sqlite3`) in; `FULL` makes a commit
/// survive a power cut. The patience comes first: without it, changing to WAL fails while such a reader
/// holds the file.
const SETUP: &str = "
    PRAGMA busy_timeout = 5000;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
";

/// A connection, and whether it works.
pub struct SqliteConnection {
    pub conn: AsyncSqliteConnection,
    /// Between a statement and its answer. The statement of a caller that was dropped there goes on in its thread, and
    /// diesel-async panics when its connection is asked meanwhile for the state of its transaction. So it is not
    /// used again: it closes when the thread is done, and what it had begun is undone.
    pub asking: bool,
}

impl Deref for SqliteConnection {
    type Target = AsyncSqliteConnection;

    fn deref(&self) -> &AsyncSqliteConnection {
        &self.conn
    }
}

impl DerefMut for SqliteConnection {
    fn deref_mut(&mut self) -> &mut AsyncSqliteConnection {
        &mut self.conn
    }
}

/// Makes connections for the pool.
pub struct SqliteManager {
    path: String,
}

impl SqliteManager {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_string_lossy().into_owned() }
    }
}

impl Manager for SqliteManager {
    type Type = SqliteConnection;
    type Error = ConnectionError;

    async fn create(&self) -> ConnectionResult<SqliteConnection> {
        let mut conn = AsyncSqliteConnection::establish(&self.path).await?;
        conn.batch_execute(SETUP).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(SqliteConnection { conn, asking: false })
    }

    async fn recycle(&self, used: &mut SqliteConnection, _: &Metrics) -> RecycleResult<ConnectionError> {
        if used.asking || used.conn.is_broken() {
            return Err(RecycleError::message("the connection is of no use any more"));
        }
        Ok(())
    }
}
