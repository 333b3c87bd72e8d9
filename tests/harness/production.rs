//! What the separate programs need of servers: a database and queues of their own, a mail server.

use broker::topology::Topology;
use lapin::options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use model::Lane;
use url::Url;
use uuid::Uuid;

use super::database::connect;
use super::program::run_to_end;
use super::smtp::SmtpServer;

/// One test's share of the servers.
pub struct Production {
    /// The tests' own way to the database; the programs' may be another.
    pub database_url: String,
    /// The tests' own way to the broker.
    pub amqp_url: String,
    /// What the names of its queues begin with.
    pub prefix: String,
    /// Its mail server.
    pub smtp: SmtpServer,
    /// `database_url` of the database that makes and drops databases.
    admin_url: String,
    database: String,
}

/// Settings that give one secret.
pub const SECRET_KEYS: &str = "a-secret-of-the-tests-that-is-long-enough";

impl Production {
    /// Makes a database on the server at `admin_url`.
    pub async fn make(admin_url: String, amqp_url: String) -> Self {
        let name = Uuid::new_v4().simple().to_string();
        let database = format!("test_{}", &name[..12]);
        let admin = connect(&admin_url).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let database_url = with_database(&admin_url, &database);
        let smtp = SmtpServer::start().await;
        Self { database_url, amqp_url, prefix: format!("{database}."), smtp, admin_url, database }
    }

    /// The same database by another way to its server, such as one with TLS.
    pub fn database_by(&self, url: &str) -> String {
        with_database(url, &self.database)
    }

    /// Another, empty database for the same test. It is left to the end of the servers.
    pub async fn another_database(&self) -> String {
        let name = format!("{}_more", self.database);
        let admin = connect(&self.admin_url).await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        with_database(&self.admin_url, &name)
    }

    /// Brings the schema up to date, as an operator does before a deployment.
    pub async fn migrate(&self, settings: &[(String, String)]) {
        let output = run_to_end("worker", &["migrate"], settings).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "worker migrate: {}: {said}", output.status);
    }

    /// A look at its queues.
    pub fn queues(&self) -> Queues {
        Queues { amqp_url: self.amqp_url.clone(), prefix: self.prefix.clone() }
    }

    /// Drops the database and the queues. The servers may be gone: then there is nothing to do.
    pub async fn remove(database_server: &str, database: &str, amqp_url: &str, prefix: &str) {
        if let Ok(admin) = connect(database_server).await {
            let _ = admin.batch_execute(&format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")).await;
        }
        let Ok(broker) = Connection::connect(amqp_url, ConnectionProperties::default()).await else { return };
        let Ok(channel) = broker.create_channel().await else { return };
        for queue in Topology::new(prefix).queues(Lane::all()) {
            let _ = channel.queue_delete(queue.name.into(), QueueDeleteOptions::default()).await;
        }
        let exchange = format!("{prefix}events").into();
        let _ = channel.exchange_delete(exchange, ExchangeDeleteOptions::default()).await;
        let _ = broker.close(200, "bye".into()).await;
    }
}

/// The queues of one test, as the broker sees them.
pub struct Queues {
    amqp_url: String,
    prefix: String,
}

impl Queues {
    /// How many messages are ready in one of them.
    pub async fn ready(&self, name: &str) -> u32 {
        self.look(name).await.message_count()
    }

    /// How many consumers it has.
    pub async fn consumers(&self, name: &str) -> u32 {
        self.look(name).await.consumer_count()
    }

    async fn look(&self, name: &str) -> lapin::Queue {
        let broker = Connection::connect(&self.amqp_url, ConnectionProperties::default()).await.unwrap();
        let channel = broker.create_channel().await.unwrap();
        let name = format!("{}{name}", self.prefix).into();
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(name, passive, FieldTable::default()).await.unwrap();
        broker.close(200, "bye".into()).await.unwrap();
        queue
    }
}

/// Removes what the test made, on a thread of its own: a destructor can't wait for a future.
impl Drop for Production {
    fn drop(&mut self) {
        let (admin, database) = (self.admin_url.clone(), self.database.clone());
        let (amqp, prefix) = (self.amqp_url.clone(), self.prefix.clone());
        let remove = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let removed = Self::remove(&admin, &database, &amqp, &prefix);
            runtime.block_on(async {
                let _ = tokio::time::timeout(std::time::Duration::from_secs(20), removed).await;
            });
        });
        let _ = remove.join();
    }
}

fn with_database(url: &str, database: &str) -> String {
    let mut url = Url::parse(url).unwrap();
    url.set_path(database);
    url.into()
}
