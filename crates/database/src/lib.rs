//! The one way to a connection of either database, PostgreSQL or SQLite.
//!
//! - [`Db::begin`] opens a [`Tx`]; whatever changes the jobs table takes one.
//! - [`Db::conn`] gives a [`Conn`] for a single query, [`with!`] asks it.
//! - [`Db::run`] is how a request uses both: on the main runtime, whatever happens to the request.
//! - [`signals`]: what a commit tells the rest of the process.

pub mod conn;
mod connecting;
mod error;
pub mod expressions;
pub mod gathered;
pub mod measured;
mod migrate;
mod pool;
pub mod postgres;
pub mod prepared;
mod settings;
pub mod signals;
mod sql_state;
mod sqlite;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

pub use conn::{Conn, Tx};
pub use error::DbError;
pub use migrate::Migrations;
pub use pool::PoolUsage;
pub use settings::{DatabaseSettings, DatabaseUrl, InvalidDatabaseUrl, Limits};
pub use signals::{Dropped, Publication, Rooms, SignalReceivers, StatusChange};

use pool::Pool;
use signals::{AfterCommit, Signals};

/// How long a caller waits for a free connection before the database counts as unavailable.
const CONNECTION_WAIT: Duration = Duration::from_secs(5);

/// How long a request's database work may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// The work of a request that was answered without it may take so much longer.
const GRACE: Duration = Duration::from_secs(10);

/// What a task that reads whole tables allows its statements; see [`Tx::allow`].
pub const WHOLE_TABLE: Duration = Duration::from_secs(10 * 60);

/// How often a transaction that collided with another is tried again.
const COLLISION_RETRIES: u32 = 5;

/// The database. Cheap to clone; all clones share one pool.
#[derive(Clone)]
pub struct Db {
    inner: Arc<Inner>,
    /// How long [`Db::run`] may take.
    deadline: Option<Duration>,
}

struct Inner {
    pool: Pool,
    settings: DatabaseSettings,
    runtime: Handle,
    signals: Signals,
}

impl Db {
    /// Sets up the pool; connects lazily. Must be called on the main, multi-threaded runtime.
    ///
    /// # Errors
    /// When the settings can't make a pool.
    pub fn open(settings: &DatabaseSettings) -> Result<(Self, SignalReceivers), DbError> {
        let (signals, receivers) = Signals::new();
        let pool = Pool::new(settings)?;
        let inner = Inner { pool, settings: settings.clone(), runtime: Handle::current(), signals };
        Ok((Self { inner: Arc::new(inner), deadline: None }, receivers))
    }

    /// The same database over connections that nobody else uses: for work that must not wait behind a busy pool.
    /// (SQLite has one connection, and everybody shares it.)
    ///
    /// # Errors
    /// When the settings can't make a pool.
    pub fn apart(&self, connections: usize) -> Result<Self, DbError> {
        if matches!(self.inner.settings.url, DatabaseUrl::Sqlite(_)) {
            return Ok(self.clone());
        }
        let settings = DatabaseSettings { max_connections: connections, ..self.inner.settings.clone() };
        let pool = Pool::new(&settings)?;
        let (runtime, signals) = (self.inner.runtime.clone(), self.inner.signals.clone());
        Ok(Self { inner: Arc::new(Inner { pool, settings, runtime, signals }), deadline: None })
    }

    /// The same database for requests: what [`Db::run`] does for one of them has 5 s. Then the database counts as
    /// unavailable, and what is not done 10 s later is ended: on PostgreSQL its connection is closed, and with it the
    /// transaction undone. (A commit whose answer did not come in time may have happened.)
    #[must_use]
    pub fn for_requests(&self) -> Self {
        Self { deadline: Some(REQUEST_DEADLINE), ..self.clone() }
    }

    /// The same without a deadline: for what a person starts and knows to take long.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { deadline: None, ..self.clone() }
    }

    /// A connection for a single look, or for a few that need not agree with each other.
    ///
    /// Never ask for one while holding another: the embedded database has only one.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when none is free or can be made.
    pub async fn conn(&self) -> Result<Conn, DbError> {
        match tokio::time::timeout(CONNECTION_WAIT, self.inner.pool.get()).await {
            Ok(conn) => conn,
            Err(_) => Err(DbError::Unavailable("no connection was free within 5 s".into())),
        }
    }

    /// A look that is given so long, once there is a connection for it: far from the server, to make one takes long,
    /// and a look that had its time from that on would never be fast enough.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when there is no connection, or no answer in time; those of the look.
    pub async fn look_in_time<T>(
        &self,
        limit: Duration,
        look: impl AsyncFnOnce(&mut Conn) -> Result<T, DbError>,
    ) -> Result<T, DbError> {
        let mut conn = self.conn().await?;
        in_time(limit, look(&mut conn)).await
    }

    /// Whether it is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self.inner.settings.url, DatabaseUrl::Postgres(_))
    }

    /// Tells the rest of the process of what a single statement committed.
    pub fn tell(&self, done: AfterCommit) {
        self.inner.signals.send(done);
    }

    /// Opens a transaction.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when there is no connection.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let mut conn = self.conn().await?;
        conn.begin().await?;
        Ok(Tx::new(conn, self.inner.signals.clone()))
    }

    /// Does a piece of database work to its end, even if the caller goes away meanwhile.
    ///
    /// It runs on the main runtime. (An actix worker has a current-thread runtime of its own, and drops
    /// a handler's future when the client hangs up: a transaction would stay open, or worse.) Work
    /// that collided with another transaction is done again from its beginning. See [`Db::for_requests`] for how long
    /// it may take.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn run<T, E, F, W>(&self, work: F) -> Result<T, E>
    where
        F: Fn(Self) -> W + Send + 'static,
        W: Future<Output = Result<T, E>> + Send,
        T: Send + 'static,
        E: MaybeCollision + From<DbError> + Send + 'static,
    {
        let db = self.clone();
        let task = self.inner.runtime.spawn(async move {
            let mut tries = 0;
            loop {
                match work(db.clone()).await {
                    Err(error) if error.is_collision() && tries < COLLISION_RETRIES => tries += 1,
                    outcome => return outcome,
                }
            }
        });
        let abort = task.abort_handle();
        let ended = match self.deadline {
            None => task.await,
            Some(deadline) => match tokio::time::timeout(deadline, task).await {
                Ok(ended) => ended,
                Err(_) => {
                    // What still gets on is let get on: a connection that is closed has its statements to prepare
                    // anew, and far from the server none would ever be fast enough. SQLite answers; it is only slow.
                    if matches!(self.inner.settings.url, DatabaseUrl::Postgres(_)) {
                        tokio::spawn(async move {
                            tokio::time::sleep(GRACE).await;
                            abort.abort();
                        });
                    }
                    return Err(DbError::Unavailable("no answer within 5 s".into()).into());
                }
            },
        };
        match ended {
            Ok(outcome) => outcome,
            Err(broken) => Err(DbError::Unavailable(format!("database work died: {broken}")).into()),
        }
    }

    /// How busy the connections are.
    pub fn pool_usage(&self) -> PoolUsage {
        self.inner.pool.usage()
    }

    /// Whether what is prepared stays prepared, as every program here expects. A pooler that gives each transaction
    /// another session of the server loses it. So one connection prepares a statement, another takes the session that
    /// did it into a transaction, and the first asks again.
    ///
    /// # Errors
    /// What the database said.
    pub async fn probe_prepared(&self) -> Result<(), DbError> {
        if matches!(self.inner.settings.url, DatabaseUrl::Sqlite(_)) {
            return Ok(());
        }
        let mut one = self.conn().await?;
        ask_the_time(&mut one).await?;
        let mut other = self.begin().await?;
        // The first statement begins it.
        other.postgres("SELECT 1").await?;
        ask_the_time(&mut one).await?;
        other.rollback().await
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), DbError> {
        use diesel_async::RunQueryDsl;
        let mut conn = self.conn().await?;
        with!(&mut conn, |c| diesel::sql_query("SELECT 1").execute(c).await)?;
        Ok(())
    }
}

/// Bounds a piece of database work. What it was doing when the time was over may have happened or not.
///
/// # Errors
/// [`DbError::Unavailable`] when the time is over; those of the work.
pub async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, DbError>>,
) -> Result<T, DbError> {
    let over = || DbError::Unavailable(format!("no answer within {} s", limit.as_secs()));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(over()))
}

/// A statement that stays prepared on its connection.
async fn ask_the_time(conn: &mut Conn) -> Result<(), DbError> {
    use diesel_async::RunQueryDsl;
    with!(conn, |c| diesel::select(expressions::now()).get_result::<model::Timestamp>(c).await)?;
    Ok(())
}

/// Errors that may be a [`DbError::Collision`].
pub trait MaybeCollision {
    /// Whether doing the same again at once may well succeed.
    fn is_collision(&self) -> bool;
}

impl MaybeCollision for DbError {
    fn is_collision(&self) -> bool {
        matches!(self, Self::Collision(_))
    }
}
