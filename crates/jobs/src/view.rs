//! A job as the API shows it, and as a callback tells it.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Job;
use crate::subject;
use model::job::{Failure, JobState};
use platform::problem::Problem;

/// A job: the status resource of everything that takes longer than an answer.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    #[schema(example = "copy")]
    pub kind: String,
    /// `scheduled`, `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`.
    pub status: &'static str,
    /// Why it failed: `discarded`, `exhausted`, `crashed`.
    pub failure: Option<&'static str>,
    /// How far it is.
    pub progress: ProgressView,
    /// Failed tries since it last got on, the present one included.
    pub attempt: i32,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When this last changed.
    pub updated_at: DateTime<Utc>,
    /// What it came to.
    pub result: Option<Value>,
    /// Why it failed, in words.
    pub error: Option<Problem>,
    /// Where to go from here.
    pub links: JobLinks,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProgressView {
    /// 0 to 100.
    pub percent: u64,
    /// What is being done.
    pub step: Option<String>,
}

/// Where to go from a job; all are paths.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobLinks {
    /// The job itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Its changes, as server-sent events.
    pub events: String,
    /// What it is about.
    pub result: Option<String>,
}

impl From<&Job> for JobView {
    fn from(job: &Job) -> Self {
        let path = job_path(job);
        Self {
            id: job.id.0,
            kind: job.kind_name().to_owned(),
            status: status_name(job.state),
            failure: job.failure.map(Failure::name),
            progress: job.into(),
            attempt: job.attempt,
            created_at: job.created_at.0,
            updated_at: job.updated_at.0,
            result: job.result.clone(),
            error: (job.state == JobState::Failed).then(|| failure_problem(job)),
            links: JobLinks { events: format!("{path}/events"), result: subject::path(job), this: path },
        }
    }
}

/// The path of a job's status.
pub fn job_path(job: &Job) -> String {
    format!("/api/jobs/{}", job.id)
}

/// The entity tag of a [`JobView`]: weak, because a byte here or there does not matter.
pub fn job_etag(job: &Job) -> String {
    format!("W/\"{}-{}\"", job.version, status_name(job.state))
}

/// To the outside, work that is yet to come is `scheduled`.
pub fn status_name(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "scheduled",
        state => state.name(),
    }
}

impl From<&Job> for ProgressView {
    fn from(job: &Job) -> Self {
        let stored = |name: &str| job.progress.as_ref().and_then(|progress| progress.get(name));
        let percent = match job.state {
            JobState::Succeeded => 100,
            _ => stored("percent").and_then(Value::as_u64).unwrap_or(0),
        };
        Self { percent, step: stored("step").and_then(Value::as_str).map(str::to_owned) }
    }
}

/// Discarded means that the request could not be done; everything else, that we could not do it.
fn failure_problem(job: &Job) -> Problem {
    let (kind, title, status) = match job.failure {
        Some(Failure::Discarded) => ("job-discarded", "This can't be done", 422),
        Some(Failure::Crashed) => ("job-crashed", "The process ended each time this was tried", 500),
        Some(Failure::Exhausted) | None => ("job-exhausted", "Every attempt failed", 500),
    };
    let last = job.error_log().pop().map(|entry| entry.message);
    Problem {
        kind: format!("urn:problem:{kind}"),
        title: title.into(),
        status,
        detail: last.unwrap_or_else(|| title.into()),
        instance: Some(job_path(job)),
        request_id: None,
        errors: Vec::new(),
    }
}
