//! The servers that `scripts/servers` started, and stopping those that are there to be stopped.

use std::env;
use std::sync::Arc;

use tokio::process::Command;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The value of a `TEST_…` variable.
///
/// Panics when it is missing: a test that needs a server fails without it.
pub fn test_variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this test by scripts/test"))
}

static IN_USE: std::sync::LazyLock<Arc<Mutex<()>>> = std::sync::LazyLock::new(Arc::default);

/// The PostgreSQL and the RabbitMQ that a test may stop; one test at a time has them.
pub struct FaultServers {
    _guard: OwnedMutexGuard<()>,
}

impl FaultServers {
    /// Waits for its turn, and until both run.
    pub async fn borrow() -> Self {
        let servers = Self { _guard: IN_USE.clone().lock_owned().await };
        servers.postgres("start").await;
        servers.rabbitmq("start").await;
        servers
    }

    /// `start`, `stop` or `kill`.
    pub async fn rabbitmq(&self, verb: &str) {
        control("TEST_FAULT_RABBITMQ_CTL", verb).await;
    }

    /// `start`, `stop` or `kill`.
    pub async fn postgres(&self, verb: &str) {
        control("TEST_FAULT_POSTGRES_CTL", verb).await;
    }
}

async fn control(program: &str, verb: &str) {
    let status = Command::new(test_variable(program)).arg(verb).status().await.unwrap();
    assert!(status.success(), "{program} {verb}: {status}");
}
