//! What the engine uses of the outside world, and the application's own beside it. Cheap to clone.

use std::any::Any;
use std::sync::Arc;

use broker::Broker;
use database::Db;
use platform::callbacks::CallbackClient;
use platform::signing::{MachineTokens, SecretKeys};
use platform::telemetry::Metrics;

use crate::breaker::Breakers;

/// What a worker is made with, and what every run is given. The application's own services are in
/// `application`, of a type that the engine does not know.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub db: Db,
    /// The message broker.
    pub broker: Broker,
    /// One circuit breaker a dependency.
    pub breakers: Breakers,
    /// Calls the addresses that are told how jobs go on.
    pub callbacks: CallbackClient,
    /// Signs these calls.
    pub keys: Arc<SecretKeys>,
    /// The programs that may submit jobs.
    pub machines: MachineTokens,
    /// What was measured.
    pub metrics: Metrics,
    /// What the application's handlers use besides, see
    /// [`JobContext::application`](crate::context::JobContext::application).
    pub application: Arc<dyn Any + Send + Sync>,
}
