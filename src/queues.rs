//! `queues …`: how full the queues are, and pausing them, from a terminal.

use std::process::ExitCode;

use clap::Subcommand;
use database::Db;
use operations::operator::Actor;
use operations::queues;

use crate::{Error, say};

/// What to do about queues.
#[derive(Debug, Clone, Subcommand)]
pub enum QueuesCommand {
    /// List them: what lies in each, and since when it is paused
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have workers take nothing more from these; what runs is finished
    Pause {
        /// Their names
        #[arg(required = true, value_name = "QUEUE")]
        names: Vec<String>,
    },
    /// End their pause
    Resume {
        /// Their names
        #[arg(required = true, value_name = "QUEUE")]
        names: Vec<String>,
    },
}

impl QueuesCommand {
    /// Does it. The exit code tells whether there were such queues.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn run(self, db: &Db) -> Result<ExitCode, Error> {
        let actor = Actor::of_command();
        match self {
            Self::List { json } => {
                let all = queues::list(db).await?;
                if json {
                    say(&serde_json::to_string_pretty(&all)?);
                    return Ok(ExitCode::SUCCESS);
                }
                say(&row("queue", ["pending", "queued", "running", "waiting"].map(str::to_owned), ""));
                for queue in all {
                    let numbers = [queue.pending, queue.queued, queue.running, queue.waiting];
                    let paused = match queue.paused_since {
                        Some(since) => format!("paused since {}", since.format("%Y-%m-%d %H:%M:%S UTC")),
                        None => String::new(),
                    };
                    say(&row(&queue.name, numbers.map(|number| number.to_string()), &paused));
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Pause { names } => {
                let mut ended = ExitCode::SUCCESS;
                for name in names {
                    match queues::pause(db, &actor, &name).await {
                        Ok(true) => say(&format!("{name}: paused")),
                        Ok(false) => say(&format!("{name}: was paused already")),
                        Err(error) => ended = failed(&name, &error),
                    }
                }
                Ok(ended)
            }
            Self::Resume { names } => {
                let mut ended = ExitCode::SUCCESS;
                for name in names {
                    match queues::resume(db, &actor, &name).await {
                        Ok(true) => say(&format!("{name}: resumed")),
                        Ok(false) => say(&format!("{name}: was not paused")),
                        Err(error) => ended = failed(&name, &error),
                    }
                }
                Ok(ended)
            }
        }
    }
}

fn failed(name: &str, error: &impl std::fmt::Display) -> ExitCode {
    say(&format!("{name}: {error}"));
    ExitCode::FAILURE
}

fn row(name: &str, numbers: [String; 4], paused: &str) -> String {
    let [pending, queued, running, waiting] = numbers;
    let line = format!("{name:<20} {pending:>9} {queued:>9} {running:>9} {waiting:>9}  {paused}");
    line.trim_end().to_owned()
}
