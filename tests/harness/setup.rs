//! What to start, and with which settings.

use std::path::Path;

use super::production::SECRET_KEYS;
use super::{App, FaultServers, test_variable};

/// One of the two set-ups, with what a test wants to be different.
pub struct Setup {
    pub(super) production: bool,
    pub(super) workers: usize,
    pub(super) leaves_work: bool,
    pub(super) settings: Vec<(String, String)>,
    pub(super) faults: Option<FaultServers>,
    pub(super) tls: bool,
}

impl Setup {
    /// The all-in-one on its embedded defaults, in a folder of its own.
    pub fn embedded() -> Self {
        Self {
            production: false,
            workers: 1,
            leaves_work: false,
            settings: Vec::new(),
            faults: None,
            tls: false,
        }
    }

    /// One `web` and one `worker` on PostgreSQL and RabbitMQ.
    pub fn production() -> Self {
        Self { production: true, ..Self::embedded() }
    }

    /// Whether web and worker are to be programs of their own.
    #[cfg(feature = "crash-points")]
    pub fn is_production(&self) -> bool {
        self.production
    }

    /// Sets an environment variable of all programs.
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// So many workers instead of one.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// The test ends with unfinished jobs, and means to.
    pub fn leaving_work(mut self) -> Self {
        self.leaves_work = true;
        self
    }

    /// Uses the servers that a test may stop; it has them for itself until the app is dropped.
    pub async fn on_fault_servers(mut self) -> Self {
        self.faults = Some(FaultServers::borrow().await);
        self
    }

    /// Those servers.
    pub fn fault_servers(&self) -> &FaultServers {
        self.faults.as_ref().unwrap()
    }

    /// Speaks TLS to the database and the broker, and trusts the tests' own authority.
    pub fn over_tls(mut self) -> Self {
        self.tls = true;
        self.with("SSL_CERT_FILE", test_variable("TEST_CA_FILE"))
    }

    /// Keeps the blobs in the tests' S3 server.
    pub fn blobs_in_s3(self) -> Self {
        let (bucket, endpoint) = (test_variable("TEST_S3_BUCKET"), test_variable("TEST_S3_URL"));
        let region = test_variable("TEST_S3_REGION");
        self.with("BLOB_URL", format!("s3://{bucket}?endpoint={endpoint}&region={region}"))
            .with("AWS_ACCESS_KEY_ID", test_variable("TEST_S3_ACCESS_KEY"))
            .with("AWS_SECRET_ACCESS_KEY", test_variable("TEST_S3_SECRET_KEY"))
    }

    /// Starts the programs and waits until they are ready.
    pub async fn start(self) -> App {
        App::start(self).await
    }

    /// What every program gets, whichever the set-up: small, on free ports, in the test's own folder.
    pub(super) fn common_settings(&self, folder: &Path) -> Vec<(String, String)> {
        let mut settings = vec![
            ("DATA_DIR".into(), folder.join("data").display().to_string()),
            ("HTTP_ADDR".into(), "127.0.0.1:0".into()),
            ("RATE_LIMIT".into(), "off".into()),
            // What would happen at midnight must not happen in the middle of a test.
            ("SCHEDULE".into(), "off".into()),
            // A job that is due tomorrow would be left over.
            ("REVIEW_HOURS".into(), "0".into()),
        ];
        if self.production {
            settings.extend([
                ("WORKER_HTTP_ADDR".into(), "127.0.0.1:0".into()),
                ("BLOB_URL".into(), format!("file://{}", folder.join("blobs").display())),
                ("SECRET_KEYS".into(), SECRET_KEYS.into()),
                ("DATABASE_CONNECTIONS".into(), "6".into()),
            ]);
        }
        settings.retain(|(name, _)| self.settings.iter().all(|(own, _)| own != name));
        settings.extend(self.settings.clone());
        settings
    }
}
