//! A connection to PostgreSQL: how it is made, how long its statements may wait, and the code (SQLSTATE) of
//! its last error.
//!
//! Diesel passes the text of an error on, in the server's language, and its code for a few errors only. So a
//! connection notes the codes as they go by: see `sql_state`.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use diesel::{ConnectionError, ConnectionResult, QueryResult};
use diesel_async::pooled_connection::PoolableConnection;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::net::UnixStream;
use tokio::time::error::Elapsed;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::DbError;
use crate::ask_postgres;
use crate::connecting::Connecting;
use crate::settings::{Limits, postgres_config};
use crate::sql_state::{LastError, NoTls, SqlState, Watched};

/// How long we wait for an answer beyond the time after which the server ends the statement.
const MARGIN: Duration = Duration::from_secs(5);

/// A connection, and what Diesel does not tell about it.
pub struct PostgresConnection {
    /// The connection.
    pub conn: AsyncPgConnection,
    last_error: LastError,
    /// Between a statement and its answer. Whoever is dropped there leaves a connection that nobody can use: its
    /// next answer would be a late one, or never come.
    asking: bool,
    /// How long a statement may take in this transaction, or outside of one.
    limit: Duration,
    transaction: Transaction,
    /// What this transaction says for itself when it begins.
    settings: String,
    begin: String,
}

/// Where a connection is with its transaction. Diesel's own account of it begins one by a round trip of its own, and
/// knows nothing of one that is begun otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    /// The next statement begins it.
    Wanted,
    Open,
    /// A statement failed. The server would answer a COMMIT with success, and do nothing.
    Failed,
}

impl PostgresConnection {
    /// Before a statement: how long to wait for its answer, and what has to be said before it.
    pub fn ask(&mut self) -> Result<(Duration, Option<String>), DbError> {
        if self.asking {
            return Err(DbError::Unavailable("an earlier statement was given up without an answer".into()));
        }
        self.asking = true;
        self.last_error.forget();
        let begins = self.transaction == Transaction::Wanted;
        if begins {
            self.transaction = Transaction::Open;
        }
        Ok((self.limit + MARGIN, begins.then(|| format!("{}{}", self.begin, self.settings))))
    }

    /// After a statement. One that was not answered in time leaves a connection that nobody uses any more.
    pub fn answered<T>(&mut self, outcome: Result<QueryResult<T>, Elapsed>) -> Result<T, DbError> {
        let Ok(answer) = outcome else {
            let waited = (self.limit + MARGIN).as_secs();
            return Err(DbError::Unavailable(format!("no answer within {waited} s")));
        };
        self.asking = false;
        self.transaction = match (self.transaction, &answer) {
            (Transaction::Open, Err(_)) => Transaction::Failed,
            (same, _) => same,
        };
        answer.map_err(|error| DbError::of_postgres(error, self.last_error.get()))
    }

    /// The next statement begins a transaction.
    pub fn begin(&mut self) {
        self.transaction = Transaction::Wanted;
        self.settings.clear();
    }

    /// How long this transaction's statements wait for a lock. It has not begun yet.
    pub fn wait_for_locks(&mut self, limit: Duration) {
        self.settings = format!("; SET LOCAL lock_timeout = {}", limit.as_millis());
    }

    /// The transaction was ended by a word that went with its last statements.
    pub fn ended(&mut self) {
        if !self.asking {
            self.transaction = Transaction::None;
        }
    }

    /// Whether no transaction is open, and no answer missing.
    pub fn is_free(&self) -> bool {
        !self.asking && matches!(self.transaction, Transaction::None | Transaction::Wanted)
    }

    /// Ends the transaction by this word.
    pub async fn end(&mut self, word: &'static str) -> Result<(), DbError> {
        match (self.transaction, word) {
            (Transaction::None | Transaction::Wanted, _) => {
                self.transaction = Transaction::None;
                return Ok(());
            }
            (Transaction::Failed, "COMMIT") if self.conn.is_broken() => {
                return Err(DbError::Unavailable("the connection broke in the transaction".into()));
            }
            (Transaction::Failed, "COMMIT") => {
                return Err(DbError::Other(diesel::result::Error::RollbackTransaction));
            }
            _ => {}
        }
        ask_postgres!(self, |c| {
            let mut c = c;
            c.batch_execute(word).await
        })?;
        self.transaction = Transaction::None;
        Ok(())
    }

    /// Until the end of the transaction a statement may take so long.
    pub fn allow(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// The code of the last error that the server sent.
    pub fn last_error(&self) -> Option<SqlState> {
        self.last_error.get()
    }
}

/// Makes connections for the pool.
pub struct PostgresManager {
    connecting: Connecting<PostgresConnection>,
    url: String,
    setup: String,
    begin: String,
    limits: Limits,
}

impl PostgresManager {
    /// The settings are made twice. A pooler that gives each transaction another session of the server (PgBouncer's
    /// transaction mode) loses what `SET` did, and knows no startup parameter `options`; so every transaction sets
    /// its own, in the same round trip as its `BEGIN`. Single statements have only the session's: behind such a
    /// pooler the role's defaults must say the same.
    pub fn new(url: &str, limits: Limits, connections: usize) -> Self {
        let settings = [
            ("lock_timeout", limits.lock),
            ("statement_timeout", limits.statement),
            ("idle_in_transaction_session_timeout", limits.idle_transaction),
        ];
        let set = |word: &str| {
            let each = settings.map(|(name, limit)| format!("{word} {name} = {}", limit.as_millis()));
            each.join("; ")
        };
        // Whatever the server's default is: a statement that waited for a lock must be followed by one
        // that sees what it waited for.
        Self {
            connecting: Connecting::new(connections),
            url: url.to_owned(),
            // A statement that stays prepared may keep the plan that was right when its table was empty, and read all
            // of it for ever. What reads a whole table rightly says so: see `Tx::allow`. Where there is no other way
            // than through a small table, the plan counts as very dear, and PostgreSQL would compile it each time.
            setup: format!(
                "SET default_transaction_isolation = 'read committed'; SET enable_seqscan = off; SET jit = off; {}",
                set("SET")
            ),
            limits,
            begin: format!("BEGIN ISOLATION LEVEL READ COMMITTED; {}", set("SET LOCAL")),
        }
    }
}

impl Manager for PostgresManager {
    type Type = PostgresConnection;
    type Error = ConnectionError;

    async fn create(&self) -> ConnectionResult<PostgresConnection> {
        let make = || make(self.url.clone(), self.setup.clone(), self.begin.clone(), self.limits);
        self.connecting.get(make).await
    }

    async fn recycle(&self, used: &mut PostgresConnection, _: &Metrics) -> RecycleResult<ConnectionError> {
        if !used.is_free() || used.conn.is_broken() {
            return Err(RecycleError::message("the connection is of no use any more"));
        }
        used.transaction = Transaction::None;
        used.limit = self.limits.statement;
        Ok(())
    }
}

async fn make(
    url: String,
    setup: String,
    begin: String,
    limits: Limits,
) -> ConnectionResult<PostgresConnection> {
    let last_error = LastError::default();
    let mut conn = connect(&url, &last_error).await?;
    conn.batch_execute(&setup).await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    let (limit, transaction) = (limits.statement, Transaction::None);
    let settings = String::new();
    Ok(PostgresConnection { conn, last_error, asking: false, limit, transaction, settings, begin })
}

async fn connect(url: &str, last_error: &LastError) -> ConnectionResult<AsyncPgConnection> {
    let bad = |error: &dyn fmt::Display| ConnectionError::BadConnection(error.to_string());
    let mut config = postgres_config(url).map_err(|error| bad(&error))?;
    if config.get_ssl_mode() == SslMode::Require {
        let tls = MakeRustlsConnect::new(platform::tls::client_config().map_err(|error| bad(&error))?);
        let tls = Watched::new(tls, last_error);
        let (client, connection) = config.connect(tls).await.map_err(|error| bad(&chain(&error)))?;
        return AsyncPgConnection::try_from_client_and_connection(client, connection).await;
    }
    // The client hands its stream out only for TLS. So it is told to begin with TLS at once, and given one that
    // encrypts nothing.
    config.ssl_mode(SslMode::Require).ssl_negotiation(SslNegotiation::Direct);
    let tls = Watched::new(NoTls, last_error);
    if let Some(Host::Unix(folder)) = config.get_hosts().first() {
        return connect_socket(&config, folder, tls).await;
    }
    let (client, connection) = config.connect(tls).await.map_err(|error| bad(&chain(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection).await
}

/// A socket in the file system has no host's name, without which the client begins no TLS: it is opened here.
async fn connect_socket(
    config: &Config,
    folder: &Path,
    tls: Watched<NoTls>,
) -> ConnectionResult<AsyncPgConnection> {
    let bad = |error: &dyn fmt::Display| ConnectionError::BadConnection(error.to_string());
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let path = folder.join(format!(".s.PGSQL.{port}"));
    let stream = UnixStream::connect(&path).await.map_err(|error| bad(&error))?;
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(|error| bad(&chain(&error)))?;
    // It ends with its client; an error of it is told to whoever asks the client.
    tokio::spawn(connection);
    AsyncPgConnection::try_from(client).await
}

/// `tokio_postgres` says only "error connecting to server"; the reason is in its source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
