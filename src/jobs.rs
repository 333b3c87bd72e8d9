//! `jobs …`: jobs from a terminal, by the same operations as the pages.

use std::fmt::Write;
use std::process::ExitCode;

use ::jobs::filter::{FilterInput, JobFilter};
use chrono::{DateTime, Utc};
use clap::Subcommand;
use database::Db;
use model::JobId;
use operations::OperationError;
use operations::act::{self, Acted};
use operations::jobs::{self, ErrorView, JobPage, JobStory, JobSummary, MOST, ProcessView, RelatedJobs};
use operations::operator::Actor;

use crate::{Error, say};

/// What to do about jobs.
#[derive(Debug, Clone, Subcommand)]
pub enum JobsCommand {
    /// List those that all of the filters fit, the newest first
    List {
        /// Which.
        #[command(flatten)]
        filter: Box<FilterInput>,
        /// How many
        #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Only those that are older than this job
        #[arg(long, value_name = "ID")]
        before: Option<JobId>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Tell everything about one; secrets are hidden
    Show {
        /// Its id
        id: JobId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Try jobs again: those that failed for good from where they were, those in backoff at once
    Retry {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Call jobs off; what they did is undone
    Cancel {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
    /// Run jobs now that wait for their time
    Run {
        /// Their ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<JobId>,
    },
}

impl JobsCommand {
    /// Does it. The exit code tells whether all of it was done.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub async fn run(self, db: &Db) -> Result<ExitCode, Error> {
        let actor = Actor::of_command();
        match self {
            Self::List { filter, limit, before, json } => list(db, *filter, limit, before, json).await,
            Self::Show { id, json } => show(db, id, json).await,
            Self::Retry { ids } => each(ids, async |id| act::retry(db, &actor, id).await).await,
            Self::Cancel { ids } => each(ids, async |id| act::cancel(db, &actor, id).await).await,
            Self::Run { ids } => each(ids, async |id| act::run(db, &actor, id).await).await,
        }
    }
}

async fn each(
    ids: Vec<JobId>,
    one: impl AsyncFn(JobId) -> Result<Acted, OperationError>,
) -> Result<ExitCode, Error> {
    let mut ended = ExitCode::SUCCESS;
    for id in ids {
        match one(id).await {
            Ok(acted) => {
                let with = match acted.needed {
                    0 => String::new(),
                    needed => format!(", with {needed} that it needs"),
                };
                say(&format!("{id}: {}{with}", acted.done.words()));
            }
            Err(OperationError::Db(error)) => return Err(error.into()),
            Err(error) => {
                say(&format!("{id}: {error}"));
                ended = ExitCode::FAILURE;
            }
        }
    }
    Ok(ended)
}

async fn list(
    db: &Db,
    filter: FilterInput,
    limit: u32,
    before: Option<JobId>,
    json: bool,
) -> Result<ExitCode, Error> {
    let filter = JobFilter::try_from(filter)?;
    let mut all = JobPage { items: Vec::new(), next: before.map(|id| id.0) };
    let mut missing = i64::from(limit);
    while missing > 0 {
        let page = jobs::list(db, &filter, all.next.map(JobId), missing.min(MOST)).await?;
        missing -= i64::try_from(page.items.len())?;
        all.items.extend(page.items);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    if json {
        say(&serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    for job in &all.items {
        say(&line(job));
    }
    match all.next {
        Some(last) => say(&format!("there are more: --before {last}")),
        None if all.items.is_empty() => say("there are no such jobs"),
        None => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn line(job: &JobSummary) -> String {
    let status = match job.failure {
        Some(failure) => format!("{} ({failure})", job.status),
        None => job.status.to_owned(),
    };
    let error = job.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default();
    let line = format!(
        "{} {} {status:<18} {:<18} {:<10} {}/{} {error}",
        job.id,
        time(job.created_at),
        job.kind,
        job.queue,
        job.attempt,
        job.max_attempts
    );
    line.trim_end().to_owned()
}

async fn show(db: &Db, id: JobId, json: bool) -> Result<ExitCode, Error> {
    let story = jobs::show(db, id).await?;
    say(&if json { serde_json::to_string_pretty(&story)? } else { text(&story)? });
    Ok(ExitCode::SUCCESS)
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A story in lines: facts, then what there are several of.
fn text(story: &JobStory) -> Result<String, Error> {
    let mut out = String::new();
    let lane = if story.express { " (express)" } else { "" };
    let paused = story.queue_paused_at.map(|at| format!(", paused since {}", time(at))).unwrap_or_default();
    let failure = story.failure.map(|failure| format!(" ({failure})")).unwrap_or_default();
    let undoing = if story.undoing { ", undoing" } else { "" };
    let step = story.progress.step.as_deref().map(|step| format!(", {step}")).unwrap_or_default();
    let facts = [
        ("job", Some(story.id.to_string())),
        ("kind", Some(story.kind.clone())),
        ("status", Some(format!("{}{failure}{undoing}", story.status))),
        ("queue", Some(format!("{}{lane}{paused}", story.queue))),
        ("progress", Some(format!("{} %{step}", story.progress.percent))),
        ("attempt", Some(format!("{} of {}, {} lapses", story.attempt, story.max_attempts, story.lapses))),
        ("fence", Some(format!("{}, published {} times", story.fence, story.published))),
        ("enqueued", Some(time(story.created_at))),
        ("started", story.started_at.map(time)),
        ("changed", Some(time(story.updated_at))),
        ("next run", story.next_run_at.map(time)),
        ("looked at again", story.due_at.map(time)),
        ("above its share", story.parked.clone()),
        ("cancel asked", story.cancel_requested_at.map(time)),
        ("process", story.process.as_ref().map(process)),
        ("customer", story.customer.map(|id| id.to_string())),
        ("started by", story.source.clone()),
        ("trace", story.trace_id.clone()),
        ("line", story.ordering_key.as_ref().map(|key| place(key, story.ordering_seq))),
        ("unique key", story.unique_key.clone()),
        ("part of", story.parent.as_ref().map(|job| format!("{} {} {}", job.id, job.kind, job.status))),
        ("arguments", Some(story.args.to_string())),
        ("checkpoint", story.checkpoint.as_ref().map(ToString::to_string)),
        ("result", story.result.as_ref().map(ToString::to_string)),
        ("tells", story.callback.as_ref().map(|callback| format!("{} ({})", callback.url, callback.on))),
        ("replies to", (!story.reply_queues.is_empty()).then(|| story.reply_queues.join(", "))),
    ];
    for (name, value) in facts {
        if let Some(value) = value {
            writeln!(out, "{name:<16}{value}")?;
        }
    }
    related(&mut out, "parts", &story.children)?;
    related(&mut out, "waits for", &story.waits_for)?;
    related(&mut out, "awaited by", &story.awaited_by)?;
    errors(&mut out, &story.errors)?;
    if !story.deliveries.is_empty() {
        writeln!(out, "calls:")?;
    }
    for call in &story.deliveries {
        let answer = call.status.map(|status| status.to_string()).or_else(|| call.error.clone());
        let answer = answer.unwrap_or_default();
        writeln!(out, "  {} told {}: {answer} after {} ms", time(call.at), call.told, call.duration_ms)?;
    }
    writeln!(out, "timeline:")?;
    for event in &story.timeline {
        let detail = event.detail.as_deref().map(|detail| format!(": {detail}")).unwrap_or_default();
        writeln!(out, "  {} {}{detail}", time(event.at), event.what)?;
    }
    Ok(out.trim_end().to_owned())
}

fn place(key: &str, seq: Option<i64>) -> String {
    seq.map_or_else(|| key.to_owned(), |seq| format!("{key}, place {seq}"))
}

fn process(process: &ProcessView) -> String {
    match &process.seen {
        Some(seen) => format!("{} on {}, pid {} ({})", seen.program, seen.host, seen.pid, process.id),
        None => format!("{}, which is gone", process.id),
    }
}

fn related(out: &mut String, name: &str, jobs: &RelatedJobs) -> Result<(), Error> {
    if jobs.count > 0 {
        writeln!(out, "{name} ({}):", jobs.count)?;
    }
    for job in &jobs.first {
        let failure = job.failure.map(|failure| format!(" ({failure})")).unwrap_or_default();
        writeln!(out, "  {} {} {}{failure}", job.id, job.kind, job.status)?;
    }
    Ok(())
}

fn errors(out: &mut String, errors: &[ErrorView]) -> Result<(), Error> {
    if !errors.is_empty() {
        writeln!(out, "errors, the newest first:")?;
    }
    for error in errors {
        writeln!(out, "  {} ({} times, last {})", error.message, error.times, time(error.at))?;
        for failed in &error.tries {
            let by = failed.process.as_ref().map(process).unwrap_or_default();
            writeln!(out, "    try {} at {} {by}", failed.attempt, time(failed.at))?;
        }
    }
    Ok(())
}
