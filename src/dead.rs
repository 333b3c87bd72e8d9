//! `dead …`: dead letters from a terminal, by the same operations as the pages.

use std::process::ExitCode;

use ::jobs::filter::FilterInput;
use clap::{Args, Subcommand};
use database::Db;
use model::JobId;
use operations::OperationError;
use operations::dead::{self, How, MOST_AT_A_TIME, Report, Which};
use operations::operator::Actor;

use crate::{Error, say};

/// What to do about dead letters.
#[derive(Debug, Clone, Subcommand)]
pub enum DeadCommand {
    /// List them by the error that ended them: jobs whose attempts are used up or whose leases lapsed too often,
    /// and messages that nobody can read. The jobs themselves: `jobs list --reason …`
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Have jobs tried again from where they were, with what they need and is dead, too
    Redrive {
        /// Which.
        #[command(flatten)]
        which: WhichArgs,
        /// Let so many a second become due, instead of all at once
        #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000))]
        rate: Option<u32>,
    },
    /// Give jobs up: what they did is undone
    Discard {
        /// Which.
        #[command(flatten)]
        which: WhichArgs,
    },
}

/// Which jobs.
#[derive(Debug, Clone, Args)]
pub struct WhichArgs {
    /// Their ids
    #[arg(value_name = "ID")]
    pub ids: Vec<JobId>,
    /// All dead ones
    #[arg(long)]
    pub all: bool,
    /// Those that all of these fit
    #[command(flatten)]
    pub filter: FilterInput,
    /// Change nothing, and say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

impl DeadCommand {
    /// Does it, and says a line about each job that is left as it is. The exit code tells whether there was none.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub async fn run(self, db: &Db) -> Result<ExitCode, Error> {
        let actor = Actor::of_command();
        match self {
            Self::List { json } => list(db, json).await,
            Self::Redrive { which, rate } => {
                let dry_run = which.dry_run;
                let verb = if dry_run { "would be redriven" } else { "redriven" };
                go_on(which, verb, async |which, already| {
                    dead::redrive(db, &actor, which, How { dry_run, per_second: rate, already }).await
                })
                .await
            }
            Self::Discard { which } => {
                let dry_run = which.dry_run;
                let verb = if dry_run { "would be discarded" } else { "discarded" };
                go_on(which, verb, async |which, _| dead::discard(db, &actor, which, dry_run).await).await
            }
        }
    }
}

/// Does so many at a time until all are done.
async fn go_on(
    which: WhichArgs,
    verb: &str,
    some: impl AsyncFn(Which, usize) -> Result<Report, OperationError>,
) -> Result<ExitCode, Error> {
    let WhichArgs { ids, all, filter, .. } = which;
    let mut total = Report::default();
    // Named ones in parts, as they are; those of a filter until there are no more.
    let (mut part, mut rest) = ids.split_at(ids.len().min(MOST_AT_A_TIME));
    let mut after = None;
    loop {
        let asked = Which::asked(part.to_vec(), filter.clone(), all, after)?;
        let report = some(asked, total.done).await?;
        after = report.next.map(JobId);
        add(&mut total, report);
        if after.is_none() && rest.is_empty() {
            break;
        }
        (part, rest) = rest.split_at(rest.len().min(MOST_AT_A_TIME));
    }
    let with = match total.needed {
        0 => String::new(),
        needed => format!(", with {needed} that they need"),
    };
    say(&format!("{} {verb}{with}, {} left as they are", total.done, total.refused.len()));
    Ok(if total.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn add(total: &mut Report, report: Report) {
    for refused in &report.refused {
        say(&format!("{}: {}", refused.job, refused.why));
    }
    total.done += report.done;
    total.needed += report.needed;
    total.refused.extend(report.refused);
}

async fn list(db: &Db, json: bool) -> Result<ExitCode, Error> {
    let letters = dead::letters(db).await?;
    if json {
        say(&serde_json::to_string_pretty(&letters)?);
        return Ok(ExitCode::SUCCESS);
    }
    if letters.groups.is_empty() && letters.messages.is_empty() {
        say("nothing is dead");
    }
    for group in letters.groups {
        let reason = if group.reason.is_empty() { "(not written down)" } else { &group.reason };
        say(&format!("{:>7} {} {}: {reason}", group.jobs, group.kind, group.failure));
    }
    for group in letters.messages {
        say(&format!("{:>7} messages on {}: {}", group.messages, group.queue, group.reason));
    }
    Ok(ExitCode::SUCCESS)
}
