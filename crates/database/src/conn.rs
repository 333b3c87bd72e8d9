//! One connection, of either database, and one transaction on it.
//!
//! A query is written once and compiled for both: `with!(conn, |c| query.load(c).await)`. The shorter
//! way, Diesel's `MultiConnection`, has no `on_conflict`, no `as_returning` and no row locks.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use deadpool::managed::Object;
use diesel::connection::AnsiTransactionManager;
use diesel::{QueryResult, SqliteConnection};
use diesel_async::{AsyncConnection, AsyncPgConnection, SimpleAsyncConnection, TransactionManager as _};

use crate::DbError;
use crate::postgres::PostgresManager;
use crate::prepared::Preparing;
use crate::signals::{AfterCommit, Signals};
use crate::sql_state::SqlState;
pub use crate::sqlite::AsyncSqliteConnection;
// For the macros.
use crate::sqlite::SqliteManager;
#[doc(hidden)]
pub use {futures_util::join, tokio::time::timeout};

/// A pooled connection.
#[expect(clippy::large_enum_variant, reason = "there are as many as there are connections")]
pub enum Conn {
    /// PostgreSQL, in production.
    Postgres(Object<PostgresManager>),
    /// SQLite, the embedded default. There is one connection: whoever has it, has the database.
    Sqlite(Object<SqliteManager>),
}

/// Asks whichever database the connection is to, and says of an error what it means.
///
/// Each body is one query, without `?`: a way out before the answer marks the connection as unusable.
///
/// PostgreSQL ends a statement by itself that takes too long; but a server, or a proxy before it, that says nothing
/// any more does not. So the wait for an answer ends here, too.
#[macro_export]
macro_rules! ask {
    ($conn:expr, |$pg:ident| $of_postgres:expr, |$lite:ident| $of_sqlite:expr) => {
        match &mut *$conn {
            $crate::Conn::Postgres(object) => $crate::ask_postgres!(object, |$pg| $of_postgres),
            $crate::Conn::Sqlite(object) => {
                object.asking = true;
                let outcome = {
                    let $lite: &mut $crate::conn::AsyncSqliteConnection = &mut object.conn;
                    $of_sqlite
                };
                object.asking = false;
                outcome.map_err($crate::DbError::of_sqlite)
            }
        }
    };
}

/// As [`ask!`](crate::ask), of a connection that is one to PostgreSQL.
///
/// The statement that begins a transaction goes with its first one: both are sent before either is answered.
#[macro_export]
macro_rules! ask_postgres {
    ($object:expr, |$pg:ident| $of_postgres:expr) => {
        match $object.ask() {
            Err(error) => Err(error),
            Ok((patience, begin)) => {
                let outcome = {
                    let $pg: &diesel_async::AsyncPgConnection = &$object.conn;
                    let both = $crate::conn::after(begin, $pg, async { $of_postgres });
                    $crate::conn::timeout(patience, both).await
                };
                $object.answered(outcome)
            }
        }
    };
}

/// Runs several queries and gives all their answers, as a tuple. PostgreSQL is sent all of them before it answers the
/// first: one round trip. They run one after the other; when one fails, those after it do.
///
/// Each is what would stand in a [`with!`](crate::with) of its own.
#[macro_export]
macro_rules! together {
    ($conn:expr, $($name:ident = |$c:ident| $query:expr),+ $(,)?) => {
        $crate::ask!(
            $conn,
            |pg| {
                let ($($name,)+) = $crate::conn::join!(
                    $(async { let $c = &mut $crate::prepared::Preparing(pg); $query.await }),+
                );
                // Not before all of them were answered.
                let all = || -> diesel::QueryResult<_> { Ok(($($name?,)+)) };
                all()
            },
            |lite| {
                let all = async {
                    $(let $name = { let $c = &mut *lite; $query.await }?;)+
                    diesel::QueryResult::Ok(($($name,)+))
                };
                all.await
            }
        )
    };
}

/// As [`together!`](crate::together), and commits the transaction in the same round trip. It takes the `Tx`,
/// which tells the rest of the process as [`Tx::commit`] does.
///
/// What must not be committed must fail on the server: how many rows a statement found is known too late, and what
/// can't be sent stops nothing. A COMMIT after a failure is answered as a success, and is none; so each answer is looked
/// at.
///
/// `; |tx, answers| …` after the queries makes of the answers what is given back. There the rest of the process can be
/// told of what only the answers say (see [`Tx::after_commit`]): when nothing was committed, nobody hears of it.
#[macro_export]
macro_rules! commit_with {
    ($tx:expr, $($name:ident = |$c:ident| $query:expr),+ $(,)?) => {
        $crate::commit_with!($tx, $($name = |$c| $query),+; |_, answers| answers)
    };
    ($tx:expr, $($name:ident = |$c:ident| $query:expr),+; $told:expr) => {{
        let mut tx: $crate::Tx = $tx;
        let done = match tx.conn() {
            $crate::Conn::Postgres(object) => $crate::ask_postgres!(object, |pg| {
                let ($($name,)+ commit) = $crate::conn::join!(
                    $(async { let $c = &mut $crate::prepared::Preparing(pg); $query.await },)+
                    $crate::conn::commit_postgres(pg),
                );
                let all = || -> diesel::QueryResult<_> {
                    let done = ($($name?,)+);
                    commit?;
                    Ok(done)
                };
                all()
            }),
            conn => $crate::together!(conn, $($name = |$c| $query),+),
        };
        tx.ended(done, $told).await
    }};
}

/// It goes by the same road as the statements before it, which wait for each other while one of them is prepared: a
/// COMMIT in simple form would overtake them.
pub async fn commit_postgres(conn: &AsyncPgConnection) -> QueryResult<usize> {
    use diesel_async::RunQueryDsl;
    diesel::sql_query("COMMIT").execute(&mut Preparing(conn)).await
}

/// A statement, and the one that has to come before it, in one round trip.
pub async fn after<T>(
    first: Option<String>,
    mut conn: &AsyncPgConnection,
    statement: impl Future<Output = QueryResult<T>>,
) -> QueryResult<T> {
    let first = async {
        match first {
            Some(first) => conn.batch_execute(&first).await,
            None => Ok(()),
        }
    };
    // In the order in which they are asked for the first time.
    let (first, done) = futures_util::join!(first, statement);
    first.and(done)
}

/// Runs the same query on whichever database the connection is to; see [`ask!`](crate::ask).
#[macro_export]
macro_rules! with {
    ($conn:expr, |$c:ident| $body:expr) => {
        $crate::ask!(
            $conn,
            |$c| {
                let $c = &mut $crate::prepared::Preparing($c);
                $body
            },
            |$c| $body
        )
    };
}

impl Conn {
    /// Begins a transaction. On SQLite it takes the write lock at once: one that only found out
    /// half-way that it must write could not get it any more. On PostgreSQL its first statement begins it.
    pub(crate) async fn begin(&mut self) -> Result<(), DbError> {
        if let Self::Postgres(object) = self {
            object.begin();
            return Ok(());
        }
        ask!(self, |_c| Ok(()), |c| {
            let begin = |sqlite: &mut SqliteConnection| {
                AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")
            };
            c.spawn_blocking(begin).await
        })
    }

    async fn commit(&mut self) -> Result<(), DbError> {
        match self {
            Self::Postgres(object) => object.end("COMMIT").await,
            Self::Sqlite(_) => ask!(self, |_c| Ok(()), |c| commit(c).await),
        }
    }

    async fn rollback(&mut self) -> Result<(), DbError> {
        match self {
            Self::Postgres(object) => object.end("ROLLBACK").await,
            Self::Sqlite(_) => ask!(self, |_c| Ok(()), |c| rollback(c).await),
        }
    }

    /// Statements for PostgreSQL alone; SQLite does nothing.
    pub async fn postgres(&mut self, sql: &str) -> Result<(), DbError> {
        match self {
            Self::Postgres(_) => with!(self, |c| c.batch_execute(sql).await),
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Whether the last error was that a lock was not to be had in time.
    pub fn lacked_a_lock(&self) -> bool {
        match self {
            Self::Postgres(object) => object.last_error() == Some(SqlState::LOCK_NOT_AVAILABLE),
            Self::Sqlite(_) => false,
        }
    }
}

async fn commit<C: AsyncConnection>(conn: &mut C) -> QueryResult<()> {
    C::TransactionManager::commit_transaction(conn).await
}

async fn rollback<C: AsyncConnection>(conn: &mut C) -> QueryResult<()> {
    C::TransactionManager::rollback_transaction(conn).await
}

/// An open transaction, made by [`crate::Db::begin`] only.
///
/// [`Tx::commit`] ends it; one that is dropped before is rolled back, and its connection closed.
/// What the rest of the process must learn of it (a job to publish, a status that changed) is
/// gathered here and told after the commit.
pub struct Tx {
    /// There until the transaction is over.
    conn: Option<Conn>,
    signals: Signals,
    after_commit: AfterCommit,
}

impl Tx {
    pub(crate) fn new(conn: Conn, signals: Signals) -> Self {
        Self { conn: Some(conn), signals, after_commit: AfterCommit::default() }
    }

    /// Lets the statements of this transaction take so long each, where the usual 30 s are too short: for work that
    /// reads whole tables. On SQLite nothing limits a statement.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn allow(&mut self, limit: Duration) -> Result<(), DbError> {
        let conn = self.conn();
        let limit_ms = limit.as_millis();
        conn.postgres(&format!("SET LOCAL statement_timeout = {limit_ms}; SET LOCAL enable_seqscan = on"))
            .await?;
        if let Conn::Postgres(object) = conn {
            object.allow(limit);
        }
        Ok(())
    }

    /// Lets the statements of this transaction wait so long for a lock, and no longer. To be said before the first one.
    pub fn wait_for_locks(&mut self, limit: Duration) {
        if let Conn::Postgres(object) = self.conn() {
            object.wait_for_locks(limit);
        }
    }

    /// Makes everything done in this transaction durable, then tells the rest of the process.
    ///
    /// # Errors
    /// Nothing was done, or (when the database went away during the commit) it is not known.
    pub async fn commit(mut self) -> Result<(), DbError> {
        self.conn().commit().await?;
        self.signals.send(std::mem::take(&mut self.after_commit));
        self.conn = None;
        Ok(())
    }

    /// After [`commit_with!`]. SQLite has not committed yet.
    pub async fn ended<T, U>(
        mut self,
        done: Result<T, DbError>,
        told: impl FnOnce(&mut Self, T) -> U,
    ) -> Result<U, DbError> {
        if let Conn::Postgres(object) = self.conn() {
            object.ended();
        }
        let done = done?;
        let told = told(&mut self, done);
        if let Conn::Sqlite(_) = self.conn() {
            self.commit().await?;
            return Ok(told);
        }
        self.signals.send(std::mem::take(&mut self.after_commit));
        self.conn = None;
        Ok(told)
    }

    /// Undoes everything done in this transaction and gives its connection back, which dropping does not.
    ///
    /// # Errors
    /// The connection broke; the database undoes it by itself then.
    pub async fn rollback(mut self) -> Result<(), DbError> {
        self.conn().rollback().await?;
        self.conn = None;
        Ok(())
    }

    /// The connection, for `with!`.
    pub fn conn(&mut self) -> &mut Conn {
        &mut *self
    }

    /// What will be told after the commit.
    pub fn after_commit(&mut self) -> &mut AfterCommit {
        &mut self.after_commit
    }
}

impl Deref for Tx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        match &self.conn {
            Some(conn) => conn,
            None => unreachable!("what ends the transaction consumes it"),
        }
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut Conn {
        match &mut self.conn {
            Some(conn) => conn,
            None => unreachable!("what ends the transaction consumes it"),
        }
    }
}

/// Closes the connection of a transaction that was not ended, at once. The pool would only do so when
/// it hands the connection out again, and PostgreSQL would keep the rows locked until then. (The one
/// connection to SQLite is the next to be handed out.)
impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(Conn::Postgres(object)) = self.conn.take()
            && !object.is_free()
        {
            drop(Object::take(object));
        }
    }
}
