//! Settings of every program.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use url::Url;

use model::Program;

use super::ConfigError;
use crate::blobs::BlobUrl;
use crate::domain::photo::PictureLimits;
use crate::intake::IntakeLimits;
use database::{DatabaseUrl, Limits};
use platform::callbacks::CallbackPolicy;
use platform::signing::MachineTokens;

/// What to do about the database's schema at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Migrate {
    /// Bring it up to date. Only in the all-in-one.
    Auto,
    /// Refuse to start when it is behind; `worker migrate` brings it up to date.
    Check,
}

/// Settings of every program, as they are given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of every program")]
pub struct CommonSettings {
    /// Folder of the embedded database, blobs, mailbox and secret keys
    #[arg(long, env, default_value = "./data", value_name = "FOLDER")]
    pub data_dir: PathBuf,
    /// Database: postgres://user:password@host/name (add ?sslmode=require for TLS), or sqlite://FILE.
    /// Unset: a file in DATA_DIR
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,
    /// Message broker: amqp://user:password@host/vhost or amqps://. Unset: inside the process
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// Blob store: file:///folder, or s3://bucket?endpoint=URL (credentials from AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY). Unset: a folder in DATA_DIR
    #[arg(long, env, value_name = "URL")]
    pub blob_url: Option<String>,
    /// Secrets of at least 32 characters that sign links, separated by commas: the first signs, all
    /// verify. Unset: made once in DATA_DIR
    #[arg(long, env, hide_env_values = true, value_name = "SECRETS")]
    pub secret_keys: Option<String>,
    /// Begins the name of every queue and exchange on the broker
    #[arg(long, env, default_value = "wqw.", value_name = "TEXT")]
    pub queue_prefix: String,
    /// What to do about the database's schema at the start. Default: auto in the all-in-one, else check
    #[arg(long, env, value_enum, value_name = "WHAT")]
    pub migrate: Option<Migrate>,
    /// Connections to PostgreSQL of this process
    #[arg(long, env, default_value_t = 20, value_name = "N")]
    pub database_connections: usize,
    /// The site's address as its visitors know it, for links in mail. Unset: the bound address
    #[arg(long, env, value_name = "URL")]
    pub base_url: Option<String>,
    /// How long a stopping program may take to finish what it does
    #[arg(long, env, default_value_t = 25, value_name = "SECONDS")]
    pub shutdown_seconds: u64,
    /// The largest upload, and the largest file that is taken from incoming/
    #[arg(long, env, default_value_t = 20 * 1024 * 1024, value_name = "BYTES")]
    pub max_upload_bytes: u64,
    /// The most pixels that a picture may have
    #[arg(long, env, default_value_t = 40_000_000, value_name = "N")]
    pub max_pixels: u64,
    /// Where callbacks may go: https to public addresses; any is for development (http, and this machine); off
    #[arg(long, env, value_enum, default_value_t = CallbackPolicy::Https, value_name = "WHERE")]
    pub callbacks: CallbackPolicy,
    /// Log lines: text for people, json for machines; RUST_LOG chooses what is logged
    #[arg(long, env, value_enum, default_value_t = platform::telemetry::LogFormat::Text, value_name = "FORMAT")]
    pub log_format: platform::telemetry::LogFormat,
    /// Programs that may start tasks, by POST /api/tasks/{name}, each with a secret of at least 32
    /// characters: nightly:SECRET,backup:SECRET. Unset: none may
    #[arg(long, env, hide_env_values = true, value_name = "NAME:SECRET,…")]
    pub machine_tokens: Option<String>,
}

/// Settings of every program, checked.
#[derive(Debug, Clone)]
pub struct Common {
    /// Which program this is.
    pub program: Program,
    /// Folder of everything embedded.
    pub data_dir: PathBuf,
    /// Where the database is.
    pub database: DatabaseUrl,
    /// Connections to it.
    pub database_connections: usize,
    /// How long the database waits for what.
    pub limits: Limits,
    /// Where the broker is; `None` means inside the process.
    pub amqp_url: Option<String>,
    /// Where the blobs are.
    pub blobs: BlobUrl,
    /// The secrets that were given; `None` means: made once in the data folder.
    pub secret_keys: Option<String>,
    /// Begins the name of every queue.
    pub queue_prefix: String,
    /// What to do about the schema.
    pub migrate: Migrate,
    /// The site's address; `None` means the bound one.
    pub base_url: Option<Url>,
    /// How long stopping may take.
    pub shutdown: Duration,
    /// The largest upload.
    pub max_upload_bytes: u64,
    /// What a picture may measure.
    pub picture_limits: PictureLimits,
    /// Where callbacks may go.
    pub callbacks: CallbackPolicy,
    /// The programs that may start tasks.
    pub machines: MachineTokens,
}

impl Common {
    /// For a program that runs jobs under a lease of this length.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self { limits: Limits::below(lease), ..self }
    }

    /// What a picture may be that comes in.
    pub fn intake_limits(&self) -> IntakeLimits {
        IntakeLimits { bytes: self.max_upload_bytes, pictures: self.picture_limits }
    }
}

impl CommonSettings {
    /// Checks the settings against each other and against the program.
    ///
    /// # Errors
    /// The first setting that is wrong.
    pub fn check(&self, program: Program) -> Result<Common, ConfigError> {
        let required = |name: &'static str, value: &Option<String>| match (program, value) {
            (Program::Web | Program::Worker, None) => {
                Err(ConfigError::new(name, "must be set (only the all-in-one has an embedded default)"))
            }
            _ => Ok(()),
        };
        required("DATABASE_URL", &self.database_url)?;
        required("AMQP_URL", &self.amqp_url)?;
        required("BLOB_URL", &self.blob_url)?;
        required("SECRET_KEYS", &self.secret_keys)?;
        let database = match &self.database_url {
            Some(url) => url.parse().map_err(|error| ConfigError::new("DATABASE_URL", error))?,
            None => DatabaseUrl::Sqlite(self.data_dir.join("print-shop.db")),
        };
        let split = program != Program::AllInOne;
        if split && matches!(database, DatabaseUrl::Sqlite(_)) {
            let problem = "SQLite serves one process: web and worker need PostgreSQL";
            return Err(ConfigError::new("DATABASE_URL", problem));
        }
        if split && self.migrate == Some(Migrate::Auto) {
            let problem = "auto is for the all-in-one; run `worker migrate` before a deployment";
            return Err(ConfigError::new("MIGRATE", problem));
        }
        let blobs = match &self.blob_url {
            Some(url) => url.parse().map_err(|error| ConfigError::new("BLOB_URL", error))?,
            None => BlobUrl::Files(self.data_dir.join("blobs")),
        };
        let base_url = self.base_url.as_deref().map(parse_base_url).transpose()?;
        if let Some(bad) = self.secret_keys.iter().flat_map(|keys| keys.split(',')).find(|key| key.len() < 32)
        {
            let problem = format!("each secret needs at least 32 characters, one has {}", bad.len());
            return Err(ConfigError::new("SECRET_KEYS", problem));
        }
        if self.database_connections == 0 {
            return Err(ConfigError::new("DATABASE_CONNECTIONS", "must be at least 1"));
        }
        if !(5..=600).contains(&self.shutdown_seconds) {
            return Err(ConfigError::new("SHUTDOWN_SECONDS", "must be between 5 and 600"));
        }
        // More than a picture may be handed on with would be refused later.
        if !(1..=1 << 29).contains(&self.max_upload_bytes) {
            return Err(ConfigError::new("MAX_UPLOAD_BYTES", "must be between 1 and 536870912"));
        }
        if !(1..=1_000_000_000).contains(&self.max_pixels) {
            return Err(ConfigError::new("MAX_PIXELS", "must be between 1 and 1000000000"));
        }
        let machines = self.machine_tokens.as_deref().unwrap_or_default();
        let machines: MachineTokens =
            machines.parse().map_err(|error| ConfigError::new("MACHINE_TOKENS", error))?;
        let default_migrate = if split { Migrate::Check } else { Migrate::Auto };
        Ok(Common {
            program,
            data_dir: self.data_dir.clone(),
            database,
            database_connections: self.database_connections,
            limits: Limits::default(),
            amqp_url: self.amqp_url.clone(),
            blobs,
            secret_keys: self.secret_keys.clone(),
            queue_prefix: self.queue_prefix.clone(),
            migrate: self.migrate.unwrap_or(default_migrate),
            base_url,
            shutdown: Duration::from_secs(self.shutdown_seconds),
            max_upload_bytes: self.max_upload_bytes,
            picture_limits: PictureLimits { max_pixels: self.max_pixels, max_side: PictureLimits::MAX_SIDE },
            callbacks: self.callbacks,
            machines,
        })
    }
}

fn parse_base_url(text: &str) -> Result<Url, ConfigError> {
    let wrong = |problem: &str| ConfigError::new("BASE_URL", problem);
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("must begin with http:// or https://"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("must be an address without a path: https://prints.example.org"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        common: CommonSettings,
    }

    fn check(program: Program, flags: &[&str]) -> Result<Common, ConfigError> {
        let flags = std::iter::once(&"program").chain(flags);
        Command::try_parse_from(flags).unwrap().common.check(program)
    }

    const PRODUCTION: [&str; 4] = [
        "--database-url=postgres://a:b@localhost/c",
        "--amqp-url=amqp://localhost",
        "--blob-url=s3://photos",
        "--secret-keys=0123456789abcdef0123456789abcdef",
    ];

    #[test]
    fn the_all_in_one_needs_no_settings() {
        let common = check(Program::AllInOne, &[]).unwrap();
        assert!(matches!(common.database, DatabaseUrl::Sqlite(path) if path.starts_with("./data")));
        assert_eq!(common.migrate, Migrate::Auto);
    }

    #[test]
    fn web_and_worker_refuse_to_start_without_each_of_the_four() {
        for program in [Program::Web, Program::Worker] {
            assert!(check(program, &PRODUCTION).is_ok());
            for left_out in 0..4 {
                let mut flags = PRODUCTION.to_vec();
                let flag = flags.remove(left_out);
                let error = check(program, &flags).unwrap_err();
                assert_eq!(
                    format!("--{}", error.setting.to_lowercase().replace('_', "-")),
                    flag.split('=').next().unwrap()
                );
            }
        }
    }

    #[test]
    fn contradictions_are_named() {
        let table = [
            (vec!["--database-url=sqlite://x.db"], "DATABASE_URL"),
            (vec!["--migrate=auto"], "MIGRATE"),
            (vec!["--secret-keys=short"], "SECRET_KEYS"),
            (vec!["--blob-url=ftp://x"], "BLOB_URL"),
            (vec!["--base-url=https://x/path"], "BASE_URL"),
            (vec!["--shutdown-seconds=1"], "SHUTDOWN_SECONDS"),
            (vec!["--database-connections=0"], "DATABASE_CONNECTIONS"),
            (vec!["--machine-tokens=nightly:short"], "MACHINE_TOKENS"),
        ];
        for (wrong, setting) in table {
            let name = wrong[0].split('=').next().unwrap();
            let mut flags: Vec<&str> =
                PRODUCTION.into_iter().filter(|flag| !flag.starts_with(name)).collect();
            flags.extend(wrong);
            assert_eq!(check(Program::Web, &flags).unwrap_err().setting, setting);
        }
    }
}
