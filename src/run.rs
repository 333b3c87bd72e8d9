//! `run NAME [ARGS]`: starts one task from a terminal, on the database and the queue of the settings.

use std::process::ExitCode;
use std::time::Duration;

use ::jobs::enqueue::{Options, enqueue_kind};
use ::jobs::{Job, status};
use clap::Args;
use database::Db;
use model::JobId;
use model::job::JobState;
use model::{KindInfo, Queue};
use serde_json::Value;
use shared::foundation::Foundation;
use tokio_util::sync::CancellationToken;

use crate::{Error, say};

/// How often `--wait` looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the broker is waited for. Without it the job is as safe, only later by some seconds.
const BROKER_PATIENCE: Duration = Duration::from_secs(5);

/// What to run.
#[derive(Debug, Clone, Args)]
#[command(after_help = tasks())]
pub struct RunArgs {
    /// The task
    pub name: String,
    /// Its arguments, as JSON
    #[arg(default_value = "{}", value_name = "ARGS")]
    pub args: String,
    /// Another queue than the task's own, existing or new: workers on `*` follow
    #[arg(long, value_name = "QUEUE", value_parser = queue)]
    pub queue: Option<Queue>,
    /// Through the express lane of its queue
    #[arg(long)]
    pub express: bool,
    /// Wait for its end; the exit code tells whether it succeeded
    #[arg(long)]
    pub wait: bool,
}

/// The end of the command's help.
fn tasks() -> String {
    let names: Vec<&str> = KindInfo::tasks().map(|kind| kind.name).collect();
    format!("Tasks: {}", names.join(", "))
}

fn queue(name: &str) -> Result<Queue, &'static str> {
    Queue::named(name).ok_or("a queue has at most 40 lower-case letters, digits and hyphens")
}

/// A task that can be enqueued: checked before any server is waited for.
pub struct Task {
    kind: &'static KindInfo,
    args: Value,
    options: Options,
    /// Whether its end is waited for.
    pub wait: bool,
}

impl RunArgs {
    /// Checks name and arguments.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn check(&self) -> Result<Task, Error> {
        let kind = KindInfo::task(&self.name)?;
        let args = serde_json::from_str(&self.args).map_err(|error| format!("ARGS: not JSON: {error}"))?;
        let args = (kind.read_args)(&args).map_err(|wrong| format!("ARGS: {wrong}"))?;
        let options = Options { queue: self.queue, express: self.express, ..Options::default() };
        Ok(Task { kind, args, options, wait: self.wait })
    }
}

impl Task {
    /// Enqueues it and prints its job's id; with `--wait`, waits for its end and prints that.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn run(self, mut foundation: Foundation) -> Result<ExitCode, Error> {
        let stop = CancellationToken::new();
        let relay = tokio::spawn(foundation.relay(stop.clone()));
        let connected = async {
            while !foundation.broker.connected() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(BROKER_PATIENCE, connected).await.is_err() {
            tracing::warn!("the broker is away: the job will be published by whoever reaches it first");
        }
        let ended = self.enqueue_and_wait(&foundation.db).await;
        // What was handed over until now is published before the relay ends.
        stop.cancel();
        let _ = relay.await;
        foundation.broker.close().await;
        ended
    }

    /// Enqueues it and prints its job's id; with `--wait`, waits for its end and prints that.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn enqueue_and_wait(self, db: &Db) -> Result<ExitCode, Error> {
        let mut tx = db.begin().await?;
        let job = enqueue_kind(&mut tx, self.kind, &self.args, self.options).await?;
        tx.commit().await?;
        say(&job.id.to_string());
        if !self.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let job = end_of(db, job.id).await?;
        say(&how_it_ended(&job));
        Ok(if job.state == JobState::Succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn end_of(db: &Db, id: JobId) -> Result<Job, Error> {
    loop {
        match status::find(&mut db.conn().await?, id).await? {
            None => return Err("the job was deleted".into()),
            Some(job) if job.state.is_final() => return Ok(job),
            Some(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn how_it_ended(job: &Job) -> String {
    let detail = match job.state {
        JobState::Failed => job.error_log().pop().map(|last| last.message),
        _ => job.result.as_ref().filter(|result| !result.is_null()).map(Value::to_string),
    };
    match detail {
        Some(detail) => format!("{}: {detail}", job.state.name()),
        None => job.state.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, args: &str) -> Result<Task, Error> {
        let (name, args) = (name.to_owned(), args.to_owned());
        RunArgs { name, args, queue: None, express: false, wait: false }.check()
    }

    #[test]
    fn a_wrong_name_or_argument_is_one_line() {
        shared::jobs::register();
        assert!(check("remake_thumbnails", r#"{"photo_id":"0190d1f2-0000-7000-8000-000000000000"}"#).is_ok());
        let table = [
            ("fulfil_order", "{}", "remake_thumbnails"),
            ("remake_thumbnails", "{", "ARGS: not JSON"),
            ("remake_thumbnails", "{}", "ARGS: photo_id: is missing"),
        ];
        for (name, args, expected) in table {
            let error = check(name, args).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }
}
