use runtime::outcome::Dependency;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ::jobs::settle::Progress;
use chrono::Utc;
use database::Tx;
use futures_util::TryStreamExt;
use model::JobId;
use platform::mail::Mailer;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::blobs::{BlobPath, Listed};
use shared::config::Keep;
use shared::db::idempotency;
use shared::db::retention::{self, Class};
use shared::jobs::Retention;

use super::mailing::RECIPIENT_WINDOW;
use super::{Handle, picture};
use crate::context::JobContext;
use runtime::outcome::{JobError, Outcome};

/// So many rows go in one transaction.
const ROWS: i64 = 100;

/// So many blobs are looked at together.
const BLOB_PAGE: usize = 500;

/// A run that has worked for so long lets others have the slot, and goes on after them.
const ENOUGH: Duration = Duration::from_secs(10 * 60);

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    Rows(Class),
    Orphans,
    Unfinished,
    MailFiles,
}

/// In this order: what refers to others goes before them.
const SWEEPS: &[Sweep] = &[
    Sweep::Rows(Class::Jobs),
    Sweep::Rows(Class::Tombstones),
    Sweep::Rows(Class::IdempotencyKeys),
    Sweep::Rows(Class::Customers),
    Sweep::Rows(Class::Mails),
    Sweep::Rows(Class::MailRecipients),
    Sweep::Rows(Class::DeadMessages),
    Sweep::Rows(Class::OrderingKeys),
    Sweep::Orphans,
    Sweep::Unfinished,
    Sweep::MailFiles,
];

impl Sweep {
    fn name(self) -> &'static str {
        match self {
            Self::Rows(class) => class.name(),
            Self::Orphans => "orphan_blobs",
            Self::Unfinished => "unfinished_blobs",
            Self::MailFiles => "mail_files",
        }
    }

    /// How old it must be; `None`: it is kept for ever.
    fn age(self, keep: &Keep) -> Option<Duration> {
        match self {
            Self::Rows(Class::Jobs) => keep.jobs,
            Self::Rows(Class::Tombstones) => keep.tombstones,
            Self::Rows(Class::IdempotencyKeys) => Some(idempotency::KEPT),
            Self::Rows(Class::Customers) => keep.unused_customers,
            Self::Rows(Class::Mails) => Some(RECIPIENT_WINDOW),
            Self::Rows(Class::DeadMessages) => keep.dead_messages,
            Self::Rows(Class::MailRecipients | Class::OrderingKeys) => Some(Duration::ZERO),
            Self::Orphans | Self::Unfinished => keep.orphans,
            Self::MailFiles => keep.mail_files,
        }
    }
}

/// Where it is, and what it did so far; the job's checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    /// So many sweeps are done.
    done: usize,
    /// The last job that was looked at.
    after_job: Option<JobId>,
    /// The last blob of the listing that was looked at.
    after: Option<String>,
    /// How many of each were removed.
    removed: BTreeMap<String, usize>,
}

/// Whether to go on.
enum Next {
    Sweep,
    Stop(Outcome),
}

impl Handle for Retention {
    /// Small batches, each with its checkpoint: a crash goes on with the next. Run again, it finds nothing.
    async fn run(self, context: JobContext) -> Result<Outcome, JobError> {
        let begun = Instant::now();
        let mut position: Position = match &context.job.checkpoint {
            Some(checkpoint) => serde_json::from_value(checkpoint.clone()).map_err(JobError::failed)?,
            None => Position::default(),
        };
        while let Some(sweep) = SWEEPS.get(position.done).copied() {
            let Some(age) = sweep.age(&context.services.keep) else {
                position.done += 1;
                continue;
            };
            let next = match sweep {
                Sweep::Rows(class) => rows(&context, class, age, &mut position, begun).await?,
                Sweep::Orphans => orphans(&context, age, &mut position, begun).await?,
                Sweep::Unfinished => unfinished(&context, age, &mut position).await?,
                Sweep::MailFiles => mail_files(&context, age, &mut position).await?,
            };
            if let Next::Stop(outcome) = next {
                return Ok(outcome);
            }
        }
        let removed = json!(position.removed);
        tracing::info!(%removed, "removed what was kept long enough");
        Ok(Outcome::Done(json!({"removed": removed})))
    }
}

async fn rows(
    context: &JobContext,
    class: Class,
    age: Duration,
    position: &mut Position,
    begun: Instant,
) -> Result<Next, JobError> {
    loop {
        context.go_on()?;
        let mut tx = context.begin().await?;
        let (removed, is_done) = if class == Class::Jobs {
            let jobs = retention::remove_jobs(&mut tx, age, ROWS, position.after_job).await?;
            position.after_job = jobs.last;
            (jobs.removed, jobs.last.is_none())
        } else {
            let removed = retention::remove(&mut tx, class, age, ROWS).await?;
            (removed, removed == 0)
        };
        if is_done {
            position.done += 1;
        }
        let next = commit(context, tx, position, Sweep::Rows(class), removed).await?;
        if is_done || matches!(next, Next::Stop(_)) {
            return Ok(next);
        }
        if begun.elapsed() > ENOUGH {
            return Ok(Next::Stop(Outcome::Snooze(Duration::from_secs(1))));
        }
    }
}

/// Blobs are asked for before their rows: a blob that is old has had its row for long, or gets none.
async fn orphans(
    context: &JobContext,
    age: Duration,
    position: &mut Position,
    begun: Instant,
) -> Result<Next, JobError> {
    let blobs = &context.services.blobs;
    let after = position.after.as_deref().and_then(BlobPath::parse);
    let mut pages = blobs.list(after).try_chunks(BLOB_PAGE);
    loop {
        context.go_on()?;
        let page = async { pages.try_next().await.map_err(|error| JobError::from(error.1)) };
        let Some(page) = context.services.breakers.call(Dependency::BLOBS, page).await? else { break };
        let removed = remove_orphans(context, age, &page).await?;
        position.after = page.last().filter(|_| blobs.lists_in_order()).map(|last| last.path.to_string());
        let tx = context.begin().await?;
        let next = commit(context, tx, position, Sweep::Orphans, removed).await?;
        if matches!(next, Next::Stop(_)) {
            return Ok(next);
        }
        if begun.elapsed() > ENOUGH {
            if blobs.lists_in_order() {
                return Ok(Next::Stop(Outcome::Snooze(Duration::from_secs(1))));
            }
            tracing::warn!("there are many blobs: the rest is looked at another time");
            break;
        }
    }
    position.done += 1;
    position.after = None;
    let tx = context.begin().await?;
    commit(context, tx, position, Sweep::Orphans, 0).await
}

async fn remove_orphans(context: &JobContext, age: Duration, page: &[Listed]) -> Result<usize, JobError> {
    let before = Utc::now() - age;
    let old: Vec<BlobPath> =
        page.iter().filter(|blob| blob.modified < before).map(|blob| blob.path).collect();
    if old.is_empty() {
        return Ok(0);
    }
    let orphans = {
        let mut conn = context.services.db.conn().await?;
        retention::orphans(&mut conn, &old).await?
    };
    let mut removed = 0;
    for path in &orphans {
        removed += usize::from(picture::remove(&context.services, *path).await?);
    }
    Ok(removed)
}

/// What killed uploads left.
async fn unfinished(context: &JobContext, age: Duration, position: &mut Position) -> Result<Next, JobError> {
    let remove = async { Ok(context.services.blobs.remove_unfinished(Utc::now() - age).await?) };
    let removed = context.services.breakers.call(Dependency::BLOBS, remove).await?;
    position.done += 1;
    let tx = context.begin().await?;
    commit(context, tx, position, Sweep::Unfinished, removed).await
}

/// Those of this worker's own folder.
async fn mail_files(context: &JobContext, age: Duration, position: &mut Position) -> Result<Next, JobError> {
    let removed = match &*context.services.mailer {
        Mailer::Files(files) => files.remove_older(age).await.map_err(JobError::failed)?,
        Mailer::Smtp(_) => 0,
    };
    position.done += 1;
    let tx = context.begin().await?;
    commit(context, tx, position, Sweep::MailFiles, removed).await
}

/// What was removed counts from here on, and is told of once.
async fn commit(
    context: &JobContext,
    tx: Tx,
    position: &mut Position,
    sweep: Sweep,
    removed: usize,
) -> Result<Next, JobError> {
    *position.removed.entry(sweep.name().to_owned()).or_default() += removed;
    let percent = u8::try_from(position.done * 100 / SWEEPS.len()).unwrap_or(100);
    let progress = Progress::at(percent, format!("removing {}", sweep.name().replace('_', " ")));
    let checkpoint = serde_json::to_value(&*position).map_err(JobError::failed)?;
    let cancel = context.commit_step(tx, &checkpoint, false, &progress).await?;
    let count = u64::try_from(removed).unwrap_or(u64::MAX);
    metrics::counter!("retention_removed_total", "what" => sweep.name()).increment(count);
    Ok(if cancel { Next::Stop(Outcome::Cancelled) } else { Next::Sweep })
}
