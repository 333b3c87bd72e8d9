//! `worker check`, before a deployment or when something is wrong: one line for each thing that the programs need.
//!
//! It changes nothing: a probe in the blob store is taken away again, no mail is sent, nobody is charged, no
//! migration is run. Each look has a time of its own, so that one thing that hangs does not hide the others, and
//! none of them tells a secret.

use std::fmt::Display;
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ::jobs::queues;
use broker::{RabbitMqSettings, rabbitmq};
use database::{DatabaseSettings, DatabaseUrl, Db, Limits};
use model::Program;
use model::{Lane, Queue};
use platform::signing::SecretKeys;
use shared::blobs::Blobs;
use shared::config::{Common, CommonSettings, Migrate, WorkerSettings};
use worker::start::{Checked, MAIL_FOLDER};

use crate::say;

/// How long each look may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a look came to: a word about it, or why it failed.
type Found = Result<String, String>;

/// Looks at everything and says a line about each; the exit code tells whether all is well.
pub async fn run(program: Program, common: &CommonSettings, settings: &WorkerSettings) -> ExitCode {
    let mut report = Report { well: true };
    let common = common.check(program);
    let checked = match &common {
        Ok(common) => worker::start::check(common, settings).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let keys = match &common {
        Ok(Common { secret_keys: Some(keys), .. }) => match keys.parse::<SecretKeys>() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("SECRET_KEYS: {error}")),
        },
        _ => Ok(()),
    };
    let settings =
        checked.as_ref().map(|_| String::new()).map_err(String::clone).and_then(|word| keys.map(|()| word));
    report.line("settings", settings, None);
    let Ok(common) = common else {
        for part in ["database", "migrations", "broker", "blobs", "mail", "payments"] {
            report.skip(part, "the settings are wrong");
        }
        return report.exit_code();
    };
    let (found, took) = timed(database(&common)).await;
    let (db, found) = match found {
        Ok((db, word)) => (db, Ok(word)),
        Err(why) => (None, Err(why)),
    };
    let reached = found.is_ok();
    report.line("database", found, Some(took));
    match &db {
        Some(db) => report.timed("migrations", migrations(&common, db)).await,
        None if reached => report.line("migrations", Ok("run at the first start".into()), None),
        None => report.skip("migrations", "the database was not reached"),
    }
    let lanes = lanes(db.as_ref()).await;
    let (broker, blobs, mail, payments) = tokio::join!(
        timed(broker(&common, lanes)),
        timed(blobs(&common)),
        timed(mail(&common, &checked)),
        timed(payments(&checked)),
    );
    for (part, (found, took)) in [("broker", broker), ("blobs", blobs)] {
        report.line(part, found, Some(took));
    }
    for (part, (found, took)) in [("mail", mail), ("payments", payments)] {
        match found {
            Some(found) => report.line(part, found, Some(took)),
            None => report.skip(part, "the settings are wrong"),
        }
    }
    report.exit_code()
}

/// Whether everything was well so far.
struct Report {
    well: bool,
}

impl Report {
    fn line(&mut self, part: &str, found: Found, took: Option<Duration>) {
        self.well &= found.is_ok();
        let took = took.map(|took| format!(" ({} ms)", took.as_millis())).unwrap_or_default();
        match found {
            Ok(word) if word.is_empty() => say(&format!("ok {part}{took}")),
            Ok(word) => say(&format!("ok {part}: {word}{took}")),
            Err(why) => say(&format!("FAILED {part}: {why}{took}")),
        }
    }

    async fn timed(&mut self, part: &str, look: impl Future<Output = Found>) {
        let (found, took) = timed(look).await;
        self.line(part, found, Some(took));
    }

    fn skip(&self, part: &str, why: &str) {
        say(&format!("skipped {part}: {why}"));
    }

    fn exit_code(&self) -> ExitCode {
        if self.well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// A look, and how long it took.
async fn timed<T>(look: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    let found = look.await;
    (found, begun.elapsed())
}

/// A look that takes too long has failed.
async fn within<T, E: Display>(look: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, look).await {
        Ok(found) => found.map_err(|error| one_line(&error)),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn one_line(text: &impl Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The database, unless it is to be made at the first start: a check must not make it.
async fn database(common: &Common) -> Result<(Option<Db>, String), String> {
    let kind = match &common.database {
        DatabaseUrl::Sqlite(path) if !path.exists() => {
            return Ok((None, format!("{}: not there yet, made at the first start", path.display())));
        }
        DatabaseUrl::Sqlite(path) => path.display().to_string(),
        DatabaseUrl::Postgres(_) => "PostgreSQL".to_owned(),
    };
    // Two at once show what a pooler does between them.
    let settings = DatabaseSettings {
        url: common.database.clone(),
        max_connections: 2,
        limits: Limits::default(),
        migrations: shared::db::migrations::MIGRATIONS,
    };
    let (db, _) = Db::open(&settings).map_err(|error| one_line(&error))?;
    within(db.ping()).await?;
    within(db.probe_prepared()).await.map_err(|error| {
        format!(
            "prepared statements don't work over two connections ({error}): behind PgBouncer use its session mode, \
             or 1.21 and later with max_prepared_statements"
        )
    })?;
    Ok((Some(db), kind))
}

async fn migrations(common: &Common, db: &Db) -> Found {
    let pending = within(db.pending_migrations()).await?;
    match (pending.len(), common.migrate) {
        (0, _) => Ok("up to date".into()),
        (count, Migrate::Auto) => Ok(format!("{count} will be run at the start")),
        (_, Migrate::Check) => {
            Err(format!("the database is behind by {}: run `worker migrate`", pending.join(", ")))
        }
    }
}

/// Those that the program knows, and those that were named while it ran.
async fn lanes(db: Option<&Db>) -> Vec<Lane> {
    let mut known: Vec<Queue> = Queue::all().collect();
    if let Some(db) = db {
        let named = within(async { queues::with_pauses(&mut db.conn().await?).await }).await;
        let named = named.unwrap_or_default().into_iter().map(|(queue, _)| queue);
        known.extend(named.filter(|queue| Queue::all().all(|known| known != *queue)));
    }
    known.into_iter().flat_map(Queue::lanes).collect()
}

async fn broker(common: &Common, lanes: Vec<Lane>) -> Found {
    let Some(url) = &common.amqp_url else { return Ok("inside the process".into()) };
    let settings = RabbitMqSettings {
        url: url.clone(),
        queue_prefix: common.queue_prefix.clone(),
        connection_name: format!("check {}", std::process::id()),
    };
    let found = within(rabbitmq::check::look(&settings, lanes)).await?;
    if !found.different.is_empty() {
        return Err(one_line(&found.different.join("; ")));
    }
    Ok(match found.missing.len() {
        0 => format!("{} queues as they should be", found.there),
        missing => format!("{} queues as they should be, {missing} are made at the start", found.there),
    })
}

async fn blobs(common: &Common) -> Found {
    let blobs = Blobs::open(&common.blobs).map_err(|error| one_line(&error))?;
    within(blobs.probe()).await?;
    Ok(format!("{:?}", common.blobs))
}

/// `None`: the settings could not be read.
async fn mail(common: &Common, checked: &Result<Checked, String>) -> Option<Found> {
    let checked = checked.as_ref().ok()?;
    Some(match checked.smtp() {
        None => Ok(format!("files in {}, sent to nobody", common.data_dir.join(MAIL_FOLDER).display())),
        Some(smtp) => within(smtp.probe()).await.map(|()| "the server takes us".into()),
    })
}

/// `None`: the settings could not be read.
async fn payments(checked: &Result<Checked, String>) -> Option<Found> {
    let checked = checked.as_ref().ok()?;
    Some(match checked.gateway() {
        None => Ok("the sandbox".into()),
        Some(gateway) => within(gateway.probe()).await.map(|status| format!("answers {status}")),
    })
}
