//! `/admin/jobs`: finding jobs, and one job's whole story with what can be done to it.

use ::jobs::filter::{FilterInput, JobFilter};
use ::jobs::view::status_name;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use chrono::{DateTime, SecondsFormat, Utc};
use model::JobId;
use model::Queue;
use model::job::{Failure, JobState};
use operations::jobs::{JobPage, JobStory, JobSummary, ProcessView, RelatedJobs};
use operations::operator::Via;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use shared::jobs::KINDS;

use super::shell::{AdminSection, AdminShell};
use crate::App;
use crate::api::admin::jobs::{Act, Asked};
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::extract::PathId;
use crate::pages::{html, render, see_other};

/// The list's path.
const LIST: &str = "/admin/jobs";

/// How many jobs a page shows.
const SHOWN: i64 = 50;

/// A list of jobs, and the form of its filter.
#[derive(Debug, Template)]
#[template(path = "admin/jobs.html")]
pub struct JobsPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The filter as it was typed.
    pub filter: FilterInput,
    /// What can't be meant: the field, and why.
    pub wrong: Option<(&'static str, String)>,
    /// The jobs, the newest first.
    pub jobs: Vec<JobSummary>,
    /// Whether this is not the first page.
    pub goes_on: bool,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A choice of a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub name: String,
    /// Whether it is chosen.
    pub chosen: bool,
}

fn choices(names: impl Iterator<Item = &'static str>, chosen: Option<&String>) -> Vec<Choice> {
    let mut all: Vec<Choice> = names
        .map(|name| Choice { name: name.to_owned(), chosen: chosen.is_some_and(|chosen| chosen == name) })
        .collect();
    // One that is none of them is remembered all the same: such as a queue that was named while we run.
    if let Some(other) = chosen.filter(|_| all.iter().all(|choice| !choice.chosen)) {
        all.push(Choice { name: other.clone(), chosen: true });
    }
    all
}

impl JobsPage {
    fn kinds(&self) -> Vec<Choice> {
        choices(KINDS.iter().map(|kind| kind.name), self.filter.kind.as_ref())
    }

    fn states(&self) -> Vec<Choice> {
        choices(JobState::ALL.into_iter().map(status_name), self.filter.state.as_ref())
    }

    fn failures(&self) -> Vec<Choice> {
        let all = [Failure::Discarded, Failure::Exhausted, Failure::Crashed];
        choices(all.into_iter().map(Failure::name), self.filter.failure.as_ref())
    }

    fn queues(&self) -> Vec<Choice> {
        choices(Queue::all().map(|queue| queue.name()), self.filter.queue.as_ref())
    }

    /// The form's fields for text: name, label, example, value.
    fn texts(&self) -> [(&'static str, &'static str, &'static str, &str); 6] {
        let filter = &self.filter;
        [
            ("text", "Id, trace, key or error", "0190d1f2-…", value(&filter.text)),
            ("older_than", "Older than", "15m", value(&filter.older_than)),
            ("younger_than", "Younger than", "6h", value(&filter.younger_than)),
            ("customer", "Customer", "an id", value(&filter.customer)),
            ("parent", "Part of", "a job's id", value(&filter.parent)),
            ("reason", "Dead of", "as the dead letters say it", value(&filter.reason)),
        ]
    }

    fn problem_of(&self, field: &str) -> Option<&str> {
        self.wrong.as_ref().filter(|(wrong, _)| *wrong == field).map(|(_, why)| why.as_str())
    }

    /// Whether anything is asked for.
    fn is_filtered(&self) -> bool {
        self.filter != FilterInput::default()
    }

    /// The next page's address.
    fn next_url(&self) -> Option<String> {
        let next = self.next.as_deref()?;
        Some(address(LIST, &self.filter, Some(next)))
    }

    /// The first page's address.
    fn first_url(&self) -> String {
        address(LIST, &self.filter, None)
    }
}

fn value(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// The filter's fields that say something.
pub(super) fn fields(filter: &FilterInput) -> Vec<(String, String)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(filter) else { return Vec::new() };
    fields.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

/// The address of a list.
pub(super) fn address(path: &str, filter: &FilterInput, before: Option<&str>) -> String {
    let mut pairs: Vec<String> = fields(filter)
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    pairs.extend(before.map(|before| format!("before={before}")));
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// One job's story.
#[derive(Debug, Template)]
#[template(path = "admin/job.html")]
pub struct JobPageOfOne {
    /// Around the content.
    pub shell: AdminShell,
    /// The story.
    pub story: JobStory,
}

impl JobPageOfOne {
    /// Facts of the row: name, value, and the page that the value leads to.
    fn facts(&self) -> Vec<(&'static str, String, Option<String>)> {
        let story = &self.story;
        let lane = if story.express { ", express lane" } else { "" };
        let attempts = format!("{} of {}", story.attempt, story.max_attempts);
        let job_url = |id: uuid::Uuid| Some(format!("/admin/jobs/{id}"));
        let list_url = |name: &str, value: &str| {
            let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
            Some(format!("/admin/jobs?{name}={value}"))
        };
        let place = |key: &String| match story.ordering_seq {
            Some(seq) => format!("{key}, place {seq}"),
            None => key.clone(),
        };
        let step = story.progress.step.as_deref().map(|step| format!(", {step}")).unwrap_or_default();
        let customer = story.customer.map(|id| id.to_string());
        let fact = |name, value: Option<String>, url: Option<String>| value.map(|value| (name, value, url));
        let text = |name, value: Option<String>| fact(name, value, None);
        let line_url = story.ordering_key.as_deref().and_then(|key| list_url("text", key));
        let trace_url = story.trace_id.as_deref().and_then(|trace| list_url("text", trace));
        let customer_url = customer.as_deref().and_then(|customer| list_url("customer", customer));
        let parent = story.parent.as_ref();
        [
            fact("Queue", Some(format!("{}{lane}", story.queue)), list_url("queue", &story.queue)),
            text("Queue paused since", story.queue_paused_at.as_ref().map(shown)),
            text("Progress", Some(format!("{} %{step}", story.progress.percent))),
            text("Attempt", Some(attempts)),
            text("Workers lost", (story.lapses > 0).then(|| story.lapses.to_string())),
            text("Enqueued", Some(shown(&story.created_at))),
            text("First taken", story.started_at.as_ref().map(shown)),
            text("Last change", Some(shown(&story.updated_at))),
            text("Next run", story.next_run_at.as_ref().map(shown)),
            text("Looked at again", story.due_at.as_ref().map(shown)),
            text("Above its owner's share of", story.parked.clone()),
            text("Asked to cancel", story.cancel_requested_at.as_ref().map(shown)),
            text("Process", story.process.as_ref().map(process)),
            fact(
                "Part of",
                parent.map(|job| format!("{}, {}", job.kind, job.status)),
                parent.and_then(|job| job_url(job.id)),
            ),
            fact("Customer", customer, customer_url),
            text("Started by", story.source.clone()),
            fact("Trace", story.trace_id.clone(), trace_url),
            fact("Line", story.ordering_key.as_ref().map(place), line_url),
            text("Unique key", story.unique_key.clone()),
            text(
                "Fence",
                Some(format!("{}, version {}, published {}", story.fence, story.version, story.published)),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What there is in JSON: a title, an id for it, the text.
    fn documents(&self) -> Vec<(&'static str, &'static str, String)> {
        let story = &self.story;
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
        let documents = [
            ("Arguments", "args", Some(&story.args)),
            ("Checkpoint", "checkpoint", story.checkpoint.as_ref()),
            ("Result", "result", story.result.as_ref()),
        ];
        let present = documents.into_iter().filter_map(|(title, id, value)| Some((title, id, value?)));
        present.map(|(title, id, value)| (title, id, pretty(value))).collect()
    }

    /// Relatives: a title, an id for it, the jobs, and where all of them are if these are not; those that there are.
    fn relatives(&self) -> Vec<(&'static str, &'static str, &RelatedJobs, Option<String>)> {
        let story = &self.story;
        let is_cut =
            i64::try_from(story.children.first.len()).is_ok_and(|shown| shown < story.children.count);
        let all_parts = is_cut.then(|| format!("/admin/jobs?parent={}", story.id));
        let all = [
            ("Waits for", "waits-for", &story.waits_for, None),
            ("Awaited by", "awaited-by", &story.awaited_by, None),
            ("Parts", "parts", &story.children, all_parts),
        ];
        all.into_iter().filter(|(_, _, jobs, _)| jobs.count > 0).collect()
    }

    /// What can be done to it, for whoever may: the last part of the address, a label, whether it ends something.
    fn buttons(&self) -> Vec<(&'static str, &'static str, bool)> {
        if self.shell.read_only {
            return Vec::new();
        }
        let can = self.story.can;
        let is_dead = self.story.status == JobState::Failed.name();
        // In backoff, retry and run are the same: one button is enough.
        let run = can.run && !can.retry;
        let cancel = if is_dead { "Discard" } else { "Cancel" };
        [
            ("retry", "Retry now", can.retry, false),
            ("run", "Run now", run, false),
            ("cancel", cancel, can.cancel, true),
        ]
        .into_iter()
        .filter(|(_, _, can, _)| *can)
        .map(|(path, label, _, ends)| (path, label, ends))
        .collect()
    }
}

/// The badge of a status.
pub(crate) fn tone(status: &str) -> &'static str {
    match JobState::ALL.into_iter().find(|state| status_name(*state) == status) {
        Some(JobState::Pending | JobState::Queued | JobState::Waiting) => "wait",
        Some(JobState::Running) => "work",
        Some(JobState::Succeeded) => "done",
        Some(JobState::Failed) => "no",
        Some(JobState::Cancelled) | None => "off",
    }
}

/// A status in a badge: why it failed says more than that it did.
pub(crate) fn label<'a>(status: &'a str, failure: &Option<&'a str>) -> &'a str {
    failure.unwrap_or(status)
}

pub(crate) fn process(process: &ProcessView) -> String {
    match &process.seen {
        Some(seen) => {
            format!("{} on {}, pid {}, version {}", seen.program, seen.host, seen.pid, seen.version)
        }
        None => format!("{}, which is gone", process.id),
    }
}

/// A time to the second, in UTC.
pub(crate) fn shown(at: &DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time for programs.
pub(crate) fn rfc3339(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The end of an id: enough to tell the jobs on a page apart.
pub(crate) fn short(id: &uuid::Uuid) -> String {
    id.simple().to_string()[24..].to_owned()
}

/// The first line of an error, and not too much of it.
pub(crate) fn beginning(error: &str) -> String {
    const MOST: usize = 140;
    let line = error.lines().next().unwrap_or_default();
    if line.chars().count() <= MOST {
        return line.to_owned();
    }
    line.chars().take(MOST).chain(['…']).collect()
}

/// `GET /admin/jobs`
///
/// # Errors
/// [`ApiError::LogInFirst`].
pub async fn list(
    app: Data<App>,
    operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let asked = Asked::of(&request)?;
    let mut page = JobsPage {
        shell: AdminShell::of(&operator, AdminSection::Jobs),
        filter: asked.input.clone(),
        wrong: None,
        jobs: Vec::new(),
        goes_on: asked.paging.before.is_some(),
        next: None,
    };
    let filter = match JobFilter::try_from(asked.input) {
        Ok(filter) => filter,
        Err(wrong) => {
            page.wrong = Some((wrong.field, wrong.message));
            let body = render(&page)?;
            return Ok(HttpResponse::UnprocessableEntity()
                .content_type("text/html; charset=utf-8")
                .body(body));
        }
    };
    let (before, limit) = (asked.paging.before, asked.paging.limit.unwrap_or(SHOWN));
    let JobPage { items, next } = app
        .db
        .run(move |db| {
            let filter = filter.clone();
            async move { operations::jobs::list(&db, &filter, before, limit).await }
        })
        .await?;
    page.jobs = items;
    page.next = next.map(|next| next.to_string());
    html(&page)
}

/// `GET /admin/jobs/{id}`
///
/// # Errors
/// [`ApiError::LogInFirst`]; 404.
pub async fn show(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    let story = app.db.run(move |db| async move { operations::jobs::show(&db, id.0).await }).await?;
    html(&JobPageOfOne { shell: AdminShell::of(&operator, AdminSection::Jobs), story })
}

async fn act(act: Act, app: &App, operator: &Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    act.on(&app.db, operator.actor(Via::Page), id.0).await?;
    Ok(see_other(&format!("/admin/jobs/{}", id.0)))
}

/// `POST /admin/jobs/{id}/retry`
///
/// # Errors
/// As the same below `/api/admin`.
pub async fn retry(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    act(Act::Retry, &app, &operator, id).await
}

/// `POST /admin/jobs/{id}/cancel`
///
/// # Errors
/// As the same below `/api/admin`.
pub async fn cancel(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    act(Act::Cancel, &app, &operator, id).await
}

/// `POST /admin/jobs/{id}/run`
///
/// # Errors
/// As the same below `/api/admin`.
pub async fn run(app: Data<App>, operator: Operator, id: PathId<JobId>) -> Result<HttpResponse, ApiError> {
    act(Act::Run, &app, &operator, id).await
}
