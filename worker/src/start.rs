//! From settings to a worker.

use shared::jobs::queues::IMAGES;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use model::{Program, WorkedQueues};
use platform::EmailAddress;
use platform::callbacks::{CallbackClient, CallbackPolicy};
use platform::mail::smtp::SmtpUrl;
use platform::mail::{FileMailer, Mailer, Sender, SmtpMailer};
use platform::telemetry::describe;
use shared::config::{
    Common, ConfigError, DEFAULT_WORKER_HTTP_ADDR, Incoming, Keep, ScheduleSwitch, WorkerSettings,
};
use shared::foundation::Foundation;
use shared::payments::{Gateway, HttpGateway, SandboxGateway};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::imaging::pool::{ImagingPool, ImagingSettings};
use crate::jobs::HANDLERS;
use crate::measured::METRICS;
use crate::services::DEPENDENCIES;
use crate::{Services, Worker};
use runtime::Duties;
use runtime::breaker::Breakers;
use runtime::{crash_points, handler};

/// The folder in `DATA_DIR` where mail goes that no server takes.
pub const MAIL_FOLDER: &str = "mail";

/// The worker's settings, checked: made before any server is waited for.
pub struct Checked {
    queues: WorkedQueues,
    lease: Duration,
    schedule: bool,
    incoming: Option<Incoming>,
    ingress: bool,
    review_after: Option<Duration>,
    operator_email: Option<EmailAddress>,
    keep: Keep,
    sender: Sender,
    smtp: Option<SmtpMailer>,
    gateway: Option<HttpGateway>,
    imaging: ImagingPool,
    callbacks: CallbackClient,
}

impl Checked {
    /// The mail server, if there is one.
    pub fn smtp(&self) -> Option<&SmtpMailer> {
        self.smtp.as_ref()
    }

    /// The payment gateway, if it is not the sandbox.
    pub fn gateway(&self) -> Option<&HttpGateway> {
        self.gateway.as_ref()
    }
}

/// Checks the worker's settings.
///
/// # Errors
/// The first setting that is wrong.
pub fn check(common: &Common, settings: &WorkerSettings) -> Result<Checked, ConfigError> {
    let queues = settings.queues()?;
    let pictures = queues.slots.iter().find(|(queue, _)| *queue == IMAGES).map_or(1, |(_, slots)| *slots);
    let slots = queues.slots.iter().map(|(_, slots)| slots).sum();
    if are_crowded(slots, common.database_connections) {
        tracing::warn!(
            slots,
            connections = common.database_connections,
            "far more slots than connections to the database: jobs will wait for connections; \
             raise DATABASE_CONNECTIONS, or lower QUEUES"
        );
    }
    let sender: Sender = settings.mail_from.parse().map_err(|error| ConfigError::new("MAIL_FROM", error))?;
    Ok(Checked {
        lease: settings.lease()?,
        // A worker that is to end takes on nothing new.
        incoming: settings.incoming.check()?.filter(|_| !settings.drain),
        schedule: settings.upkeep.schedule == ScheduleSwitch::On && !settings.drain,
        ingress: !settings.drain,
        review_after: settings.upkeep.review_after(),
        operator_email: settings.upkeep.operator_email()?,
        keep: settings.upkeep.keep(),
        smtp: settings.smtp_url.as_deref().map(|url| smtp(url, &sender)).transpose()?,
        gateway: settings.payment_url.as_deref().map(gateway).transpose()?,
        imaging: imaging(common, settings, pictures)?,
        callbacks: callbacks(common)?,
        queues,
        sender,
    })
}

/// A job uses a connection now and then: so many slots a connection still get on.
const SLOTS_A_CONNECTION: usize = 4;

/// Whether so many jobs at a time are too many for the connections.
fn are_crowded(slots: usize, connections: usize) -> bool {
    slots > connections * SLOTS_A_CONNECTION
}

/// Makes a worker from its settings. `base_url` is the site's address, for the links in mail.
///
/// # Errors
/// `DATA_DIR`, when mail goes there and can't.
pub fn worker(
    foundation: &Foundation,
    common: &Common,
    checked: Checked,
    base_url: Url,
    stop: CancellationToken,
) -> Result<Arc<Worker>, ConfigError> {
    handler::check(HANDLERS);
    crash_points::arm();
    describe(runtime::measured::METRICS);
    describe(METRICS);
    let mailer = match checked.smtp {
        Some(smtp) => Mailer::Smtp(smtp),
        None => mail_files(common, checked.sender)?,
    };
    let gateway = match checked.gateway {
        Some(gateway) => Gateway::Http(gateway),
        None => Gateway::Sandbox(SandboxGateway::new(foundation.db.clone())),
    };
    let services = Services {
        db: foundation.db.clone(),
        broker: foundation.broker.clone(),
        blobs: foundation.blobs.clone(),
        mailer: Arc::new(mailer),
        gateway: Arc::new(gateway),
        imaging: Arc::new(checked.imaging),
        breakers: Breakers::of(DEPENDENCIES),
        keys: foundation.keys.clone(),
        base_url,
        intake: common.intake_limits(),
        review_after: checked.review_after,
        operator_email: checked.operator_email,
        keep: checked.keep,
    };
    let engine = runtime::services::Services {
        db: services.db.clone(),
        broker: services.broker.clone(),
        breakers: services.breakers.clone(),
        callbacks: checked.callbacks,
        keys: services.keys.clone(),
        machines: common.machines.clone(),
        metrics: foundation.metrics.clone(),
        application: Arc::new(services.clone()),
    };
    let Checked { queues, lease, schedule, incoming, ingress, .. } = checked;
    let (program, shutdown) = (common.program, common.shutdown);
    let duties = Duties { program, queues, lease, schedule, ingress, shutdown };
    let engine = runtime::Worker::new(engine, HANDLERS, duties, stop)
        .map_err(|error| ConfigError::new("DATABASE_URL", error))?;
    Ok(Arc::new(Worker { engine, services, incoming }))
}

fn smtp(url: &str, sender: &Sender) -> Result<SmtpMailer, ConfigError> {
    let server: SmtpUrl = url.parse().map_err(|error| ConfigError::new("SMTP_URL", error))?;
    SmtpMailer::new(server, sender.clone()).map_err(|error| ConfigError::new("SMTP_URL", error))
}

/// Opened late: it tidies up, which another all-in-one on this folder would not like.
fn mail_files(common: &Common, sender: Sender) -> Result<Mailer, ConfigError> {
    if common.program == Program::Worker {
        tracing::warn!("SMTP_URL is not set: mail is written to files and sent to nobody");
    }
    let folder = common.data_dir.join(MAIL_FOLDER);
    FileMailer::open(&folder, sender)
        .map(Mailer::Files)
        .map_err(|error| ConfigError::new("DATA_DIR", format!("{}: {error}", folder.display())))
}

fn gateway(url: &str) -> Result<HttpGateway, ConfigError> {
    let wrong = |error: &dyn std::fmt::Display| ConfigError::new("PAYMENT_URL", error);
    let base = Url::parse(url).map_err(|error| wrong(&error))?;
    HttpGateway::new(base).map_err(|error| wrong(&error))
}

fn callbacks(common: &Common) -> Result<CallbackClient, ConfigError> {
    if common.callbacks == CallbackPolicy::Any && common.program == Program::Worker {
        tracing::warn!("CALLBACKS is any: customers can make this machine call itself");
    }
    let user_agent = concat!("print-shop/", env!("CARGO_PKG_VERSION"), " (callbacks)");
    CallbackClient::new(common.callbacks, user_agent).map_err(|error| ConfigError::new("CALLBACKS", error))
}

/// As many processes as the queue has slots: a job that has one never waits for the other.
fn imaging(common: &Common, settings: &WorkerSettings, processes: usize) -> Result<ImagingPool, ConfigError> {
    let problem = |error| ConfigError::new("IMAGING_MEMORY_BYTES", error);
    let mut imaging =
        ImagingSettings::new(common.picture_limits).map_err(|error| problem(error.to_string()))?;
    if settings.imaging_memory_bytes < 64 * 1024 * 1024 {
        return Err(problem("must be at least 67108864".to_owned()));
    }
    imaging.processes = processes;
    imaging.memory_bytes = settings.imaging_memory_bytes;
    Ok(ImagingPool::new(imaging))
}

/// Binds the port of the worker's health page: a default that is taken is replaced by any free one, a
/// port that was set explicitly is not.
///
/// # Errors
/// When the port can't be had.
pub fn health_listener(settings: &WorkerSettings) -> Result<TcpListener, ConfigError> {
    let wrong = |address: &dyn std::fmt::Display, error: std::io::Error| {
        ConfigError::new("WORKER_HTTP_ADDR", format!("{address}: {error}"))
    };
    match settings.worker_http_addr {
        Some(address) => TcpListener::bind(address).map_err(|error| wrong(&address, error)),
        None => TcpListener::bind(DEFAULT_WORKER_HTTP_ADDR)
            .or_else(|_| TcpListener::bind("127.0.0.1:0"))
            .map_err(|error| wrong(&"127.0.0.1", error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Queue;

    #[test]
    fn a_default_worker_is_not_crowded_and_one_with_many_slots_is() {
        let default: usize = Queue::all().map(|queue| queue.default_slots(8)).sum();
        assert!(!are_crowded(default, 20), "{default} slots");
        assert!(are_crowded(150, 20));
    }
}
