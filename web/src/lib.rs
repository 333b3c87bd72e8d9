//! The HTTP front end: answers browsers and API clients at once and leaves all heavy work to jobs.
//!
//! - [`routes`]: the whole URL table on one screen; start reading here.
//! - [`photos`], [`orders`], [`jobs`] and the others: a folder for each noun. In it are its use cases, which return
//!   values (`mod.rs`), and the two faces that answer with them: JSON (`api.rs`) and HTML (`pages`).
//! - [`pages`]: what all pages have in common; [`assets`]: their styles and scripts, embedded in the program.
//! - [`admin`]: the operators' pages; their JSON is below [`api`].
//! - [`auth`]: who is asking; [`http`]: what requests and answers have in common, every refusal among it.
//!
//! No SQL here, no picture codecs, no SMTP. All database work, reads too, goes through `Db::run`: it
//! then ends properly whatever becomes of the request. But polls, see [`jobs::reads`].

pub mod admin;
pub mod api;
pub mod assets;
pub mod auth;
pub mod config;
pub mod customers;
pub mod docs;
pub mod health;
pub mod http;
pub mod jobs;
pub mod mailbox;
pub mod measured;
pub mod openapi;
pub mod orders;
pub mod pages;
pub mod photos;
pub mod products;
pub mod routes;
pub mod tasks;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App as ActixApp, HttpServer};
use broker::Broker;
use database::Db;
use platform::signing::SecretKeys;
use platform::telemetry::Metrics;
use platform::telemetry::describe;
use shared::blobs::Blobs;
use shared::foundation::Foundation;
use tokio_util::sync::CancellationToken;
use tracing_actix_web::TracingLogger;

pub use config::Config;

use admin::overview_cache::OverviewCache;
use http::rates::RateLimits;
use jobs::hub::StatusHub;
use jobs::pressure::Pressure;
use jobs::reads::Reads;

/// Something else that runs in this process and shares its port.
#[derive(Clone)]
pub struct Beside {
    /// Adds its routes.
    pub routes: Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>,
    /// Names its parts that are dead, if any: the process is no more alive than they are.
    pub dead_parts: Arc<dyn Fn() -> Vec<&'static str> + Send + Sync>,
}

/// What every handler may use. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The database.
    pub db: Db,
    /// The database, for polls.
    pub reads: Reads,
    /// The blob store.
    pub blobs: Blobs,
    /// The message broker: for readiness and for hints; only the relay publishes jobs.
    pub broker: Broker,
    /// What links are signed with.
    pub keys: Arc<SecretKeys>,
    /// What was measured.
    pub metrics: Metrics,
    /// Settings.
    pub config: Arc<Config>,
    /// Who waits for which job.
    pub statuses: StatusHub,
    /// How much each may ask for.
    pub rates: Arc<RateLimits>,
    /// How much may be unfinished.
    pub pressure: Pressure,
    /// What operators look at.
    pub overview: OverviewCache,
    /// In the all-in-one, the worker.
    pub beside: Option<Beside>,
}

impl App {
    /// On what every program stands.
    pub fn new(foundation: &Foundation, config: Config) -> Self {
        describe(measured::METRICS);
        Self {
            db: foundation.db.for_requests(),
            reads: Reads::shared(&foundation.db),
            blobs: foundation.blobs.clone(),
            broker: foundation.broker.clone(),
            keys: foundation.keys.clone(),
            metrics: foundation.metrics.clone(),
            statuses: StatusHub::new(foundation.db.clone()),
            rates: Arc::new(RateLimits::new(config.rate_limits_on)),
            pressure: Pressure::new(config.max_unfinished_per_customer, config.max_unfinished),
            config: Arc::new(config),
            overview: OverviewCache::default(),
            beside: None,
        }
    }
}

/// Kept back from the time that the whole program may take to stop.
const STOP_RESERVE: Duration = Duration::from_secs(5);

/// Serves on `listener` until `stop`, then ends long polls and event streams, finishes the other
/// requests within the time that the settings allow, and returns. Call it on the main,
/// multi-threaded runtime; the caller handles signals.
///
/// # Errors
/// When the socket can't be used.
pub async fn run(listener: TcpListener, app: App, stop: CancellationToken) -> std::io::Result<()> {
    let patience = app.config.shutdown.saturating_sub(STOP_RESERVE).as_secs().max(1);
    let hub = tokio::spawn(app.statuses.clone().follow(app.broker.clone(), stop.clone()));
    let counting = tokio::spawn(app.pressure.clone().count(app.db.clone(), stop.clone()));
    let server = HttpServer::new(move || {
        // Called in each of the server's threads.
        let app = App { reads: app.reads.of_this_thread(), ..app.clone() };
        ActixApp::new()
            .app_data(Data::new(app.clone()))
            .configure(http::extract::configure)
            .configure(|config| app.beside.iter().for_each(|beside| (beside.routes)(config)))
            .configure(|config| routes::configure(config, &app))
            .wrap(from_fn(auth::origin::refuse_cross_site))
            .wrap(from_fn(http::headers::finish))
            .wrap(TracingLogger::<http::trace::RootSpan>::new())
    });
    let server = server.disable_signals().shutdown_timeout(patience).listen(listener)?.run();
    let handle = server.handle();
    let stopper = tokio::spawn(async move {
        stop.cancelled().await;
        handle.stop(true).await;
    });
    let outcome = server.await;
    stopper.abort();
    hub.abort();
    counting.abort();
    outcome
}
