//! Jobs, for operators: a list by a filter, and one job's whole story. What they may do to one: [`crate::act`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::OperationError;
use ::jobs::deliveries::{self, Delivery, Receiver};
use ::jobs::filter::JobFilter;
use ::jobs::listing::{self, Listed};
use ::jobs::processes::{self, Process};
use ::jobs::redact::{redact, redact_text, redact_url};
use ::jobs::story::{self, Relative, Relatives};
use ::jobs::subject::{self, Happened};
use ::jobs::triggers;
use ::jobs::view::{ProgressView, status_name};
use ::jobs::{ErrorEntry, Job, queues, status};
use database::{Conn, Db, DbError};
use model::job::{Failure, JobState};
use model::{JobId, ProcessId, Timestamp, WorkerId};
use platform::callbacks::CallbackOn;

/// The most that one page has.
pub const MOST: i64 = 100;

/// So many children, deliveries and others are told of; for more there are lists.
const FIRST: i64 = 50;

/// A job in a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobSummary {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    #[schema(example = "copy")]
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Whether it goes through the express lane.
    pub express: bool,
    /// `scheduled`, `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`.
    pub status: &'static str,
    /// Why it failed: `discarded`, `exhausted`, `crashed`.
    pub failure: Option<&'static str>,
    /// Failed tries since it last got on, the present one included.
    pub attempt: i32,
    /// Tries allowed.
    pub max_attempts: i32,
    /// How often its lease lapsed: the process that ran it was gone.
    pub lapses: i32,
    /// Not before; of those that are over, when they last were due.
    pub run_at: DateTime<Utc>,
    /// Whose it is.
    pub customer: Option<Uuid>,
    /// The job that it is a part of.
    pub parent: Option<Uuid>,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// What went wrong last; secrets are hidden.
    pub error: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobPage {
    /// The newest first.
    pub items: Vec<JobSummary>,
    /// Where the next page begins: the last id of this one, if there is more.
    pub next: Option<Uuid>,
}

/// Everything about one job. Secrets in arguments, results and errors are hidden.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobStory {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Since when nothing is taken from its queue.
    pub queue_paused_at: Option<DateTime<Utc>>,
    /// Whether it goes through the express lane.
    pub express: bool,
    /// `scheduled`, `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`.
    pub status: &'static str,
    /// Why it failed: `discarded`, `exhausted`, `crashed`.
    pub failure: Option<&'static str>,
    /// How far it is.
    pub progress: ProgressView,
    /// Failed tries since it last got on, the present one included.
    pub attempt: i32,
    /// Tries allowed.
    pub max_attempts: i32,
    /// How often its lease lapsed: the process that ran it was gone.
    pub lapses: i32,
    /// How often it was claimed, or put back for a newer worker.
    pub fence: i64,
    /// How often its message was published since it was queued.
    pub published: i32,
    /// How often it changed.
    pub version: i64,
    /// Whether it undoes what it did.
    pub undoing: bool,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
    /// When it was first taken by a worker.
    pub started_at: Option<DateTime<Utc>>,
    /// When it last changed; of one that is over, when it ended.
    pub updated_at: DateTime<Utc>,
    /// When it runs next, if that is decided.
    pub next_run_at: Option<DateTime<Utc>>,
    /// Of one that is queued or running: when somebody looks at it again. A message that nobody took is
    /// published again then.
    pub due_at: Option<DateTime<Utc>>,
    /// The lane of which its owner has its share already, so that it has to wait, such as `copies.express`.
    pub parked: Option<String>,
    /// When somebody asked to cancel it.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// The process that runs it, or ran it last.
    pub process: Option<ProcessView>,
    /// What it is asked to do.
    pub args: Value,
    /// Where it goes on after a crash.
    pub checkpoint: Option<Value>,
    /// What it came to.
    pub result: Option<Value>,
    /// What went wrong, the newest first.
    pub errors: Vec<ErrorView>,
    /// What happened, in order.
    pub timeline: Vec<Event>,
    /// Whose it is.
    pub customer: Option<Uuid>,
    /// The program elsewhere that started it.
    pub source: Option<String>,
    /// The trace of the request that caused it.
    pub trace_id: Option<String>,
    /// The line that it stands in.
    pub ordering_key: Option<String>,
    /// Its place in that line.
    pub ordering_seq: Option<i64>,
    /// Of this key one job at a time is unfinished.
    pub unique_key: Option<String>,
    /// The job that it is a part of.
    pub parent: Option<RelatedJob>,
    /// Its parts.
    pub children: RelatedJobs,
    /// What it waits for, or waited for last.
    pub waits_for: RelatedJobs,
    /// Who waits for it, or did.
    pub awaited_by: RelatedJobs,
    /// Who is told how it goes on.
    pub callback: Option<CallbackView>,
    /// The calls that were made, the newest first; of many, the last 50.
    pub deliveries: Vec<CallView>,
    /// The reply queues that are told of its end when it comes.
    pub reply_queues: Vec<String>,
    /// What can be done with it now.
    pub can: Can,
}

/// A process.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProcessView {
    /// New at each start.
    pub id: Uuid,
    /// Where it is and what; `null` when it is gone for some time.
    pub seen: Option<ProcessSeen>,
}

/// A process that gave a sign of life.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProcessSeen {
    /// The program's name.
    pub program: String,
    /// The machine.
    pub host: String,
    /// Its number there.
    pub pid: i32,
    /// The program's version.
    pub version: String,
    /// The last sign of life.
    pub seen_at: DateTime<Utc>,
}

/// A failure, once for all times that it came one after another.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ErrorView {
    /// What the job said.
    pub message: String,
    /// How often.
    pub times: u32,
    /// When first.
    pub since: DateTime<Utc>,
    /// When last.
    pub at: DateTime<Utc>,
    /// The last five tries that failed so, the newest first.
    pub tries: Vec<TryView>,
}

/// A try that failed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TryView {
    /// When.
    pub at: DateTime<Utc>,
    /// Which one it was since the job last got on.
    pub attempt: i32,
    /// The process that made it.
    pub process: Option<ProcessView>,
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub what: String,
    /// More about it.
    pub detail: Option<String>,
}

/// A job that has to do with this one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RelatedJob {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: String,
    /// See the job's own.
    pub status: &'static str,
    /// See the job's own.
    pub failure: Option<&'static str>,
}

/// Some jobs, the first of them told of.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RelatedJobs {
    /// How many there are.
    pub count: i64,
    /// The first 50.
    pub first: Vec<RelatedJob>,
}

/// Who is told of a job.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AdminCallbackView)]
pub struct CallbackView {
    /// Where it listens, without credentials and query.
    pub url: String,
    /// `every_change` or `end`.
    pub on: &'static str,
    /// When it asked not to be called any more.
    pub stopped_at: Option<DateTime<Utc>>,
}

/// A call that was made.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallView {
    /// The job that made it.
    pub job_id: Uuid,
    /// The status that it told.
    pub told: String,
    /// Which attempt it was.
    pub attempt: i32,
    /// When it was over.
    pub at: DateTime<Utc>,
    /// What the receiver answered.
    pub status: Option<i32>,
    /// Why there was no answer.
    pub error: Option<String>,
    /// How long it took.
    pub duration_ms: i64,
}

/// What can be done with a job as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Can {
    /// Try it again: it failed, or is in backoff.
    pub retry: bool,
    /// Call it off.
    pub cancel: bool,
    /// Run it before its time.
    pub run: bool,
}

impl Can {
    fn of(job: &Job) -> Self {
        let is_dead = job.failure.is_some_and(Failure::is_dead);
        let is_later = job.state == JobState::Pending && job.run_at.0 > Utc::now();
        Self {
            retry: is_dead || (is_later && job.attempt > 0),
            cancel: is_dead || (!job.state.is_final() && job.cancel_requested_at.is_none()),
            run: is_later,
        }
    }
}

/// The newest jobs that the filter fits, or those before one; at most [`MOST`].
///
/// # Errors
/// Those of the database.
pub async fn list(
    db: &Db,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<JobPage, OperationError> {
    let limit = limit.clamp(1, MOST);
    let mut jobs = listing::page(&mut db.conn().await?, filter, before, limit + 1).await?;
    let has_more = jobs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if has_more {
        jobs.pop();
    }
    let next = if has_more { jobs.last().map(|job| job.id.0) } else { None };
    Ok(JobPage { items: jobs.into_iter().map(JobSummary::from).collect(), next })
}

/// Everything about one job.
///
/// # Errors
/// [`OperationError::Unknown`], also when it was over long ago and is no longer kept.
pub async fn show(db: &Db, id: JobId) -> Result<JobStory, OperationError> {
    let conn = &mut db.conn().await?;
    let job = status::find(conn, id).await?.ok_or(OperationError::Unknown("job"))?;
    let rest = story::rest(conn, id).await?.ok_or(OperationError::Unknown("job"))?;
    let is_under_way = matches!(job.state, JobState::Queued | JobState::Running);
    let errors = job.error_log();
    let processes = Processes::of(conn, &job, &errors).await?;
    let parent = match job.parent {
        Some(parent) => story::relative(conn, parent).await?.map(RelatedJob::from),
        None => None,
    };
    let made = deliveries::of_job(conn, id, FIRST).await?;
    Ok(JobStory {
        timeline: timeline(conn, &job, &errors, &made).await?,
        queue_paused_at: queues::paused_at(conn, &job.queue).await?.map(utc),
        source: triggers::source_of(conn, id).await?,
        parent,
        children: story::children(conn, id, FIRST).await?.into(),
        waits_for: story::waits_for(conn, id, FIRST).await?.into(),
        awaited_by: story::awaited_by(conn, id, FIRST).await?.into(),
        callback: deliveries::receiver(conn, id).await?.map(CallbackView::from),
        deliveries: made.into_iter().map(CallView::from).collect(),
        reply_queues: story::reply_queues(conn, id, FIRST).await?,
        process: job.worker.map(|worker| processes.view(worker)),
        errors: errors.into_iter().rev().map(|entry| ErrorView::new(entry, &processes)).collect(),
        can: Can::of(&job),
        id: id.0,
        status: status_name(job.state),
        failure: job.failure.map(Failure::name),
        progress: ProgressView::from(&job),
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        lapses: job.lapses,
        fence: job.fence,
        published: job.published,
        version: job.version,
        undoing: job.undoing,
        express: job.express,
        created_at: job.created_at.0,
        started_at: job.started_at.map(utc),
        updated_at: job.updated_at.0,
        next_run_at: (job.state == JobState::Pending).then_some(job.run_at.0),
        due_at: rest.due_at.filter(|_| is_under_way).map(utc),
        parked: rest.parked,
        cancel_requested_at: job.cancel_requested_at.map(utc),
        args: redact(&job.args),
        checkpoint: job.checkpoint.as_ref().map(redact),
        result: job.result.as_ref().map(redact),
        customer: job.owner.map(|owner| owner.0),
        trace_id: job.traceparent.as_deref().and_then(|parent| parent.split('-').nth(1)).map(str::to_owned),
        ordering_key: job.ordering_key,
        ordering_seq: rest.ordering_seq,
        unique_key: rest.unique_key,
        kind: job.kind,
        queue: job.queue,
    })
}

/// What happened to a job, and to what it is about, in order.
async fn timeline(
    conn: &mut Conn,
    job: &Job,
    errors: &[ErrorEntry],
    made: &[Delivery],
) -> Result<Vec<Event>, DbError> {
    let event = |at: DateTime<Utc>, what: &str, detail: Option<String>| {
        let what = what.to_owned();
        Event { at, what, detail }
    };
    let mut all = vec![event(job.created_at.0, "enqueued", None)];
    all.extend(job.started_at.map(|at| event(at.0, "first taken by a worker", None)));
    all.extend(job.cancel_requested_at.map(|at| event(at.0, "asked to be cancelled", None)));
    for entry in errors {
        let message = redact_text(&entry.message);
        let again = (entry.times > 1).then(|| format!("{message} ({} times until then)", entry.times));
        all.push(event(entry.since, "failed", Some(message)));
        all.extend(again.map(|again| event(entry.at, "failed again", Some(again))));
    }
    for call in made {
        let answer = match (call.status, &call.error) {
            (Some(status), _) => format!("{}: answered {status}", call.told),
            (None, error) => {
                format!("{}: {}", call.told, redact_text(error.as_deref().unwrap_or("no answer")))
            }
        };
        all.push(event(call.at.0, "callback", Some(answer)));
    }
    let subject = subject::events(conn, job).await?;
    all.extend(subject.into_iter().map(|Happened { at, what, detail }| event(at.0, &what, detail)));
    if job.state.is_final() {
        all.push(event(job.updated_at.0, job.state.name(), job.failure.map(|why| why.name().to_owned())));
    }
    all.sort_by_key(|event| event.at);
    Ok(all)
}

/// The processes that a job was in, as far as they are known.
struct Processes(HashMap<ProcessId, Process>);

impl Processes {
    async fn of(conn: &mut Conn, job: &Job, errors: &[ErrorEntry]) -> Result<Self, DbError> {
        let tries = errors.iter().flat_map(|entry| &entry.tries);
        let workers = tries.filter_map(|failed| failed.worker).chain(job.worker);
        let ids: Vec<ProcessId> = workers.map(ProcessId::from).collect();
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let known = processes::find_many(conn, &ids).await?;
        Ok(Self(known.into_iter().map(|process| (process.identity.id, process)).collect()))
    }

    fn view(&self, id: WorkerId) -> ProcessView {
        let seen = self.0.get(&id.into()).map(|Process { identity, seen_at, .. }| ProcessSeen {
            program: identity.program.clone(),
            host: identity.host.clone(),
            pid: identity.pid,
            version: identity.version.clone(),
            seen_at: seen_at.0,
        });
        ProcessView { id: id.0, seen }
    }
}

fn utc(at: Timestamp) -> DateTime<Utc> {
    at.0
}

impl From<Listed> for JobSummary {
    fn from(job: Listed) -> Self {
        Self {
            id: job.id.0,
            kind: job.kind,
            queue: job.queue,
            express: job.express,
            status: status_name(job.state),
            failure: job.failure.map(Failure::name),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            lapses: job.lapses,
            run_at: job.run_at.0,
            customer: job.owner.map(|owner| owner.0),
            parent: job.parent.map(|parent| parent.0),
            created_at: job.created_at.0,
            updated_at: job.updated_at.0,
            error: job.error.as_deref().map(redact_text),
        }
    }
}

impl ErrorView {
    fn new(entry: ErrorEntry, processes: &Processes) -> Self {
        let tries = entry.tries.iter().rev().map(|failed| TryView {
            at: failed.at,
            attempt: failed.attempt,
            process: failed.worker.map(|worker| processes.view(worker)),
        });
        Self {
            message: redact_text(&entry.message),
            times: entry.times,
            since: entry.since,
            at: entry.at,
            tries: tries.collect(),
        }
    }
}

impl From<Relative> for RelatedJob {
    fn from(job: Relative) -> Self {
        Self {
            id: job.id.0,
            kind: job.kind,
            status: status_name(job.state),
            failure: job.failure.map(Failure::name),
        }
    }
}

impl From<Relatives> for RelatedJobs {
    fn from(jobs: Relatives) -> Self {
        Self { count: jobs.count, first: jobs.first.into_iter().map(RelatedJob::from).collect() }
    }
}

impl From<Receiver> for CallbackView {
    fn from(receiver: Receiver) -> Self {
        let on = if receiver.every_change { CallbackOn::EveryChange } else { CallbackOn::End };
        let stopped_at = receiver.stopped_at.map(utc);
        Self { url: redact_url(&receiver.url), on: on.name(), stopped_at }
    }
}

impl From<Delivery> for CallView {
    fn from(call: Delivery) -> Self {
        Self {
            job_id: call.delivery_id.0,
            told: call.told,
            attempt: call.attempt,
            at: call.at.0,
            status: call.status,
            error: call.error.as_deref().map(redact_text),
            duration_ms: call.duration_ms,
        }
    }
}
