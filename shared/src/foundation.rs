//! What every program lays first: database, broker, blob store, keys, metrics, and the relay.

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::blobs::Blobs;
use crate::config::{Common, Migrate};
use ::jobs::queues;
use ::jobs::relay;
use broker::{Broker, BrokerError, RabbitMqSettings};
use database::{DatabaseSettings, DatabaseUrl, Db, DbError, SignalReceivers};
use model::Program;
use model::Queue;
use platform::BlobError;
use platform::signing::{SecretKeys, SecretKeysError};
use platform::telemetry::{self, Metrics, MetricsError};

/// How long a program that starts together with its database waits for it.
const DATABASE_PATIENCE: Duration = Duration::from_secs(20);

/// The program can't start. The text is one line for the person who starts it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder can't be used.
    #[error("DATA_DIR {folder}: {problem}")]
    DataDir {
        /// Which folder.
        folder: String,
        /// What is wrong.
        problem: String,
    },
    /// Another all-in-one uses the folder.
    #[error("DATA_DIR {0}: another print shop is running on this folder")]
    Locked(String),
    /// The schema is not the one of this program.
    #[error("the database is behind this program by {0:?}: run `worker migrate` first")]
    Behind(Vec<String>),
    /// The schema is not the one of this program, which brings it up to date by itself when it starts.
    #[error("the database is behind this program by {0:?}: start the print shop once first")]
    NotStarted(Vec<String>),
    /// The database.
    #[error("DATABASE_URL: {0}")]
    Database(#[from] DbError),
    /// The broker.
    #[error("AMQP_URL or QUEUE_PREFIX: {0}")]
    Broker(#[from] BrokerError),
    /// The blob store.
    #[error("BLOB_URL: {0}")]
    Blobs(#[from] BlobError),
    /// The keys.
    #[error("SECRET_KEYS: {0}")]
    Keys(#[from] SecretKeysError),
    /// Metrics.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// What every program stands on.
pub struct Foundation {
    /// The database.
    pub db: Db,
    /// The message broker.
    pub broker: Broker,
    /// The blob store.
    pub blobs: Blobs,
    /// Signs links.
    pub keys: Arc<SecretKeys>,
    /// What was measured.
    pub metrics: Metrics,
    signals: Option<SignalReceivers>,
    // Held as long as the program runs.
    _lock: Option<File>,
}

impl Foundation {
    /// Opens everything. Must run on the main runtime.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub async fn lay(common: &Common) -> Result<Self, StartError> {
        let lock = match common.program {
            Program::AllInOne => Some(lock_data_dir(common)?),
            Program::Web | Program::Worker => None,
        };
        // What can be wrong by itself comes first: nobody should wait for a server to be told of a typing error.
        let broker = match &common.amqp_url {
            None => Broker::in_process(),
            Some(url) => Broker::rabbitmq(RabbitMqSettings {
                url: url.clone(),
                queue_prefix: common.queue_prefix.clone(),
                connection_name: format!("{:?} {}", common.program, std::process::id()).to_lowercase(),
            })?,
        };
        let keys = match &common.secret_keys {
            Some(keys) => keys.parse()?,
            None => SecretKeys::load_or_create(&common.data_dir)?,
        };
        let blobs = Blobs::open(&common.blobs)?;
        let (db, signals) = open_database(common).await?;
        match common.migrate {
            Migrate::Auto => {
                db.migrate().await?;
            }
            Migrate::Check => check_schema(&db).await?,
        }
        queues::register(&mut db.conn().await?, Queue::all()).await?;
        if lock.is_some() && matches!(common.database, DatabaseUrl::Sqlite(_)) {
            // Nobody else can be running them: the last start of this program crashed. (A database on a server may
            // have other programs, whatever this folder's lock says.)
            let orphans = ::jobs::lease::end_all(&db).await?;
            if !orphans.is_empty() {
                tracing::info!(jobs = orphans.len(), "jobs of the last start are put back");
            }
        }
        Ok(Self {
            db,
            broker,
            blobs,
            keys: Arc::new(keys),
            metrics: metrics()?,
            signals: Some(signals),
            _lock: lock,
        })
    }

    /// The database alone, for commands that look and change rows: beside running programs, the all-in-one
    /// included, and without the broker, the blobs and the keys. What they make due, a running program's relay
    /// finds. Must run on the main runtime.
    ///
    /// # Errors
    /// The database does not answer, or its schema is not the one of this program.
    pub async fn database_only(common: &Common) -> Result<Db, StartError> {
        let (db, _) = open_database(common).await?;
        let pending = db.pending_migrations().await?;
        match common.program {
            _ if pending.is_empty() => Ok(db),
            Program::AllInOne => Err(StartError::NotStarted(pending)),
            Program::Web | Program::Worker => Err(StartError::Behind(pending)),
        }
    }

    /// The relay of this process: run it beside everything else, until after everything else stopped.
    /// There is one; a second call gives one that does nothing.
    pub fn relay(&mut self, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let (db, broker, signals) = (self.db.clone(), self.broker.clone(), self.signals.take());
        async move {
            if let Some(signals) = signals {
                relay::run(db, broker, signals, stop).await;
            }
        }
    }
}

/// Begins to record; what web and worker record besides, they describe themselves.
fn metrics() -> Result<Metrics, MetricsError> {
    let metrics = telemetry::init_metrics()?;
    for measured in [database::measured::METRICS, broker::measured::METRICS, ::jobs::measured::METRICS] {
        telemetry::describe(measured);
    }
    Ok(metrics)
}

fn lock_data_dir(common: &Common) -> Result<File, StartError> {
    let folder = common.data_dir.display().to_string();
    let unusable =
        |error: std::io::Error| StartError::DataDir { folder: folder.clone(), problem: error.to_string() };
    std::fs::create_dir_all(&common.data_dir).map_err(unusable)?;
    let path = common.data_dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Locked(folder)),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Programs and their database are often started together: the database gets some time to come up.
async fn open_database(common: &Common) -> Result<(Db, SignalReceivers), StartError> {
    if let DatabaseUrl::Sqlite(path) = &common.database
        && let Some(folder) = path.parent()
    {
        std::fs::create_dir_all(folder).map_err(|error| StartError::DataDir {
            folder: folder.display().to_string(),
            problem: error.to_string(),
        })?;
    }
    let settings = DatabaseSettings {
        url: common.database.clone(),
        max_connections: common.database_connections,
        limits: common.limits,
        migrations: crate::db::migrations::MIGRATIONS,
    };
    let (db, signals) = Db::open(&settings)?;
    let deadline = tokio::time::Instant::now() + DATABASE_PATIENCE;
    loop {
        match db.ping().await {
            Ok(()) => return Ok((db, signals)),
            Err(error) if error.is_unavailable() && tokio::time::Instant::now() < deadline => {
                tracing::info!(%error, "waiting for the database");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

async fn check_schema(db: &Db) -> Result<(), StartError> {
    let pending = db.pending_migrations().await?;
    if pending.is_empty() { Ok(()) } else { Err(StartError::Behind(pending)) }
}
