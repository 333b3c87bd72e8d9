//! Enqueue: the job's row is written in the transaction of the business rows that it is about, so
//! that there is never one without the other.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;

use crate::insert::{self, NewJobs};
use crate::relay::due::publication;
use crate::schema::jobs;
use crate::{Job, callbacks, order, queues, status};
use database::{DbError, Tx, with};
use model::JobId;
use model::OwnerId;
use model::job::JobState;
use model::{Kind, KindInfo, Lane, Queue};
use platform::callbacks::Callback;

/// What may differ between two jobs of one kind.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The row's id, where the caller needs it before the row exists.
    pub id: Option<JobId>,
    /// Who may see and cancel it.
    pub owner: Option<OwnerId>,
    /// Not before so long from now.
    pub delay: Duration,
    /// W3C Trace Context of the request that caused it.
    pub traceparent: Option<String>,
    /// Through the express lane of its queue.
    pub express: bool,
    /// The job that it is a part of.
    pub parent: Option<JobId>,
    /// The line that it stands in: of one key, one at a time and in order. See [`crate::order`].
    pub ordering_key: Option<String>,
    /// Another queue than its kind's.
    pub queue: Option<Queue>,
    /// Who is told how it goes on.
    pub callback: Option<Callback>,
}

/// What became of a job that must be the only one.
#[derive(Debug)]
pub enum Enqueued {
    /// It was written.
    New(Job),
    /// There is one already.
    Existing(Job),
}

impl Enqueued {
    /// The job that there is now.
    pub fn job(self) -> Job {
        match self {
            Self::New(job) | Self::Existing(job) => job,
        }
    }
}

/// Writes a job unless one with this key is unfinished: not started (`Unique::UntilStarted`) or not over,
/// as its kind says. Kinds share the keys: begin a key with a word that is the kind's own, and keep it when
/// the kind is renamed.
///
/// # Errors
/// [`DbError::Duplicate`]: the id that the options name is another job's. Those of the database.
pub async fn enqueue_unique<K: Kind>(
    tx: &mut Tx,
    key: &str,
    args: &K,
    options: Options,
) -> Result<Enqueued, DbError> {
    let (kind, args) = (KindInfo::of::<K>(), to_json(args)?);
    loop {
        if let Some(job) = write(tx, &kind, &args, &options, Some(key)).await? {
            return Ok(Enqueued::New(job));
        }
        let existing: Option<Job> = with!(tx.conn(), |c| {
            jobs::table.filter(jobs::unique_open.eq(key)).select(Job::as_select()).first(c).await.optional()
        })?;
        if let Some(job) = existing {
            return Ok(Enqueued::Existing(job));
        }
        // What was in the way may be a job of the same id, and that stays.
        if let Some(id) = options.id
            && status::find(tx, id).await?.is_some()
        {
            return Err(id_is_taken());
        }
        // Otherwise it ended between the two statements, and there is room now.
    }
}

/// Writes a job that exists if and only if the transaction commits.
///
/// A job that is due at once is born `queued`, and the relay of this process publishes it after the
/// commit; should the process die before, the row is published a minute later by another. One that stands behind another
/// in its line, or whose queue is paused, is left to the relay; one above its owner's [`share`](crate::share) is parked.
///
/// # Errors
/// Those of the database.
pub async fn enqueue<K: Kind>(tx: &mut Tx, args: &K, options: Options) -> Result<Job, DbError> {
    enqueue_kind(tx, &KindInfo::of::<K>(), &to_json(args)?, options).await
}

/// As [`enqueue`], of a kind that is known at run time only. `args` are what its contract can read, see
/// [`KindInfo::read_args`].
///
/// # Errors
/// Those of the database.
pub async fn enqueue_kind(
    tx: &mut Tx,
    kind: &KindInfo,
    args: &Value,
    options: Options,
) -> Result<Job, DbError> {
    let job = write(tx, kind, args, &options, None).await?;
    // Without a unique key nothing else can be in its way.
    job.ok_or_else(id_is_taken)
}

/// As [`enqueue`], of several that differ in their arguments alone: one statement for all of them. What only one job can
/// have (an id, a line, a callback) has each its own, so then they are written one by one.
///
/// # Errors
/// As there.
pub async fn enqueue_all<K: Kind>(tx: &mut Tx, all: &[K], options: Options) -> Result<Vec<Job>, DbError> {
    if options.id.is_some() || options.ordering_key.is_some() || options.callback.is_some() {
        let mut jobs = Vec::with_capacity(all.len());
        for args in all {
            jobs.push(enqueue(tx, args, options.clone()).await?);
        }
        return Ok(jobs);
    }
    let kind = KindInfo::of::<K>();
    let queue = to_queue(tx, &kind, &options).await?;
    let each: Result<Vec<_>, DbError> = all.iter().map(|args| Ok((JobId::new(), to_json(args)?))).collect();
    let jobs = insert::insert(tx.conn(), new_jobs(&kind, queue, &options), each?).await?;
    if jobs.len() < all.len() {
        return Err(id_is_taken());
    }
    for job in &jobs {
        hand_over(tx, job);
    }
    Ok(jobs)
}

fn id_is_taken() -> DbError {
    DbError::Duplicate("another job has this id".into())
}

/// Arguments as they are stored.
///
/// # Errors
/// They are no JSON.
pub fn to_json<K: Kind>(args: &K) -> Result<Value, DbError> {
    serde_json::to_value(args)
        .map_err(|e| DbError::Other(diesel::result::Error::SerializationError(e.into())))
}

/// `None`: another job has the unique key, or the id.
async fn write(
    tx: &mut Tx,
    kind: &KindInfo,
    args: &Value,
    options: &Options,
    unique_key: Option<&str>,
) -> Result<Option<Job>, DbError> {
    let queue = to_queue(tx, kind, options).await?;
    let place = match &options.ordering_key {
        Some(key) => Some(order::take_place(tx, key).await?),
        None => None,
    };
    let place = options.ordering_key.as_deref().zip(place);
    let new = NewJobs { place, unique_key, ..new_jobs(kind, queue, options) };
    let each = vec![(options.id.unwrap_or_else(JobId::new), args.clone())];
    let Some(job) = insert::insert(tx.conn(), new, each).await?.pop() else { return Ok(None) };
    if let Some(callback) = &options.callback {
        callbacks::ask_for(tx, &job, callback).await?;
    }
    hand_over(tx, &job);
    Ok(Some(job))
}

async fn to_queue(tx: &mut Tx, kind: &KindInfo, options: &Options) -> Result<Queue, DbError> {
    let queue = options.queue.unwrap_or(kind.queue);
    if Queue::from_name(queue.name()).is_none() {
        queues::register(tx.conn(), [queue]).await?;
    }
    Ok(queue)
}

/// Without a line and a unique key.
pub fn new_jobs<'a>(kind: &'a KindInfo, queue: Queue, options: &'a Options) -> NewJobs<'a> {
    NewJobs {
        kind,
        lane: Lane { queue, express: options.express },
        delay: options.delay,
        owner: options.owner,
        parent: options.parent,
        traceparent: options.traceparent.as_deref(),
        place: None,
        unique_key: None,
        has_callback: options.callback.is_some(),
    }
}

/// Tells the relay of this process of a new job, after the commit.
pub fn hand_over(tx: &mut Tx, job: &Job) {
    match publication(job) {
        Some(publication) if job.state == JobState::Queued => tx.after_commit().publish(publication),
        _ => tx.after_commit().wake_relay(),
    }
}
