//! Where the database is, and how it is used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;

use crate::migrate::Migrations;

/// Where the database is.
#[derive(Clone)]
pub enum DatabaseUrl {
    /// `postgres://user:password@host:port/name`, with `?sslmode=require` for TLS.
    Postgres(String),
    /// A file: the embedded default.
    Sqlite(PathBuf),
}

/// Not a URL of a database that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidDatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A secret that is mounted as a file often ends with a newline.
        let text = text.trim();
        if let Some(path) = text.strip_prefix("sqlite://") {
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The parser's own message may repeat a part of the URL, and with it the password.
            postgres_config(text).map_err(|_| InvalidDatabaseUrl(refusal(text)))?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(InvalidDatabaseUrl("must begin with postgres:// or sqlite://".into()))
    }
}

/// Passwords stay out of logs.
impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres(_) => f.write_str("Postgres(…)"),
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
        }
    }
}

/// How to use the database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where it is.
    pub url: DatabaseUrl,
    /// The most connections of this process; SQLite always has one.
    pub max_connections: usize,
    /// How long PostgreSQL waits for what.
    pub limits: Limits,
    /// What makes the schema.
    pub migrations: Migrations,
}

/// How long PostgreSQL waits before it gives up. (SQLite waits 5 s for another program that has its file.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A statement waits so long for a lock of another transaction, at most. Then it fails, and is tried again later.
    pub lock: Duration,
    /// A statement takes so long, at most; see [`crate::Tx::allow`] for those that may take longer.
    pub statement: Duration,
    /// A transaction that does nothing for so long is ended. For workers it lies below the lease, so that a worker
    /// frozen inside a transaction can't keep its job's row locked.
    pub idle_transaction: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            lock: Duration::from_secs(5),
            statement: Duration::from_secs(30),
            idle_transaction: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Those of a process with a lease of this length.
    #[must_use]
    pub fn below(lease: Duration) -> Self {
        let usual = Self::default();
        Self { idle_transaction: usual.idle_transaction.min(lease * 2 / 3), ..usual }
    }
}

/// `require` and the libpq names above it mean TLS with a verified certificate; without `sslmode` the
/// connection is plain (libpq's `prefer` verifies nothing, so it would promise what it can't keep).
pub fn postgres_config(url: &str) -> Result<Config, tokio_postgres::Error> {
    let url =
        url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require");
    let mut config: Config = url.parse()?;
    config.connect_timeout(Duration::from_secs(5));
    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(Duration::from_secs(20));
    Ok(config)
}

/// Why this is no URL of a PostgreSQL database. It names a parameter that does not work, and no value.
fn refusal(url: &str) -> String {
    const GENERAL: &str = "is not a valid postgres:// URL";
    let Some((base, query)) = url.split_once('?') else { return GENERAL.into() };
    // A password with a bare `?` is followed by `@host`: then what looks like a parameter may be a part of it.
    if query.contains('@') || postgres_config(base).is_err() {
        return GENERAL.into();
    }
    // What follows a password with a bare `&` may be a part of it, too.
    let parameters = query.split('&').take_while(|parameter| !parameter.starts_with("password="));
    for parameter in parameters {
        let name = parameter.split('=').next().unwrap_or_default();
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        if is_name && postgres_config(&format!("{base}?{parameter}")).is_err() {
            return format!("{GENERAL}: the parameter {name} is unknown, or its value is");
        }
    }
    GENERAL.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_transaction_is_ended_before_the_lease_of_its_process_lapses() {
        for seconds in [3, 10, 30, 600] {
            let lease = Duration::from_secs(seconds);
            assert!(Limits::below(lease).idle_transaction < lease, "{seconds}");
        }
        assert_eq!(Limits::below(Duration::from_secs(600)), Limits::default());
    }

    #[test]
    fn a_url_tells_the_database_and_a_wrong_one_is_refused_without_its_password() {
        assert!(
            matches!("sqlite://data/x.db".parse(), Ok(DatabaseUrl::Sqlite(path)) if path.ends_with("data/x.db"))
        );
        assert!(matches!("postgres://a:b@localhost/c".parse(), Ok(DatabaseUrl::Postgres(_))));
        for bad in ["mysql://a:secret@b/c", "postgres://a:secret@b:port/c", "secret"] {
            let error = bad.parse::<DatabaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let shown = format!("{:?}", "postgres://a:secret@b/c".parse::<DatabaseUrl>().unwrap());
        assert!(!shown.contains("secret"));
    }

    fn refused(url: &str) -> String {
        url.parse::<DatabaseUrl>().unwrap_err().to_string()
    }

    #[test]
    fn a_parameter_that_does_not_work_is_named_without_the_password() {
        for (query, name) in [("sslrootcert=/ca.pem", "sslrootcert"), ("sslmode=allow", "sslmode")] {
            let text = refused(&format!("postgres://ada:sesame@db/app?connect_timeout=3&{query}"));
            assert!(text.contains(&format!("the parameter {name} ")), "{text}");
            assert!(!text.contains("sesame") && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn a_part_of_a_password_is_not_taken_for_a_parameter() {
        for url in
            ["postgres://ada:open?sesame=1@db/app?sslmode=allow", "postgres://db/app?password=open&sesame=1"]
        {
            assert!(!refused(url).contains("sesame"), "{url}");
        }
    }

    #[test]
    fn white_space_around_the_url_is_not_a_part_of_it() {
        let url = " postgres://ada:sesame@db/app\n".parse::<DatabaseUrl>().unwrap();
        assert!(matches!(url, DatabaseUrl::Postgres(url) if url == "postgres://ada:sesame@db/app"));
        let url = "sqlite:///data/app.db\n".parse::<DatabaseUrl>().unwrap();
        assert!(matches!(url, DatabaseUrl::Sqlite(path) if path == std::path::Path::new("/data/app.db")));
    }
}
