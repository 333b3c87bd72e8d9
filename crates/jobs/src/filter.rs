//! Which jobs are meant: the filter of the lists of jobs, and of what is done to many of them at once.
//!
//! [`FilterInput`] is what somebody typed, in a form, a query string, JSON or a command; [`JobFilter`] is what
//! that means. What can't be meant is refused with the field's name: a filter with a slip of the pen in it must
//! not fit every job. How it is looked up: `listing.rs`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::view::status_name;
use model::JobId;
use model::OwnerId;
use model::job::{Failure, JobState};
use model::registry;
use model::stored_text::is_storable;
use model::{KindInfo, Queue};

/// A filter as somebody typed it; an empty field is one that was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FilterInput {
    /// What they do: the name of a kind
    #[arg(long, value_name = "KIND")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `scheduled` (or `pending`), `queued`, `running`, `waiting`, `succeeded`, `failed`, `cancelled`
    #[arg(long, alias = "status", value_name = "STATE")]
    #[serde(default, alias = "status", skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Why they failed: `discarded`, `exhausted`, `crashed`; `dead` is either of the last two
    #[arg(long, value_name = "FAILURE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The error that ended them, in the words of the groups of dead letters, such as `copy …: HTTP …`
    #[arg(long, value_name = "REASON")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Their queue, such as `images`
    #[arg(long, value_name = "QUEUE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Enqueued longer ago than this: `90s`, `15m`, `6h`, `3d`
    #[arg(long, value_name = "AGE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
    /// Enqueued within this: `90s`, `15m`, `6h`, `3d`
    #[arg(long, value_name = "AGE")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub younger_than: Option<String>,
    /// Whose: a customer's id
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The id of a job, of what it is about or of a callback, a trace id, the key of a job that is unfinished or
    /// failed, or a part of the error of one that failed
    #[arg(long, value_name = "TEXT")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Parts of this job
    #[arg(long, value_name = "ID")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// Which jobs: those that all of its fields fit. An empty one fits every job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FilterInput", into = "FilterInput")]
pub struct JobFilter {
    /// Of this kind, one of the [registered](registry::kinds).
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<JobState>,
    /// Failed for this reason.
    pub failure: Option<FailedAs>,
    /// Dead of this, see [`model::job::dead_reason`].
    pub reason: Option<String>,
    /// In this queue, in either lane.
    pub queue: Option<String>,
    /// Enqueued longer ago, as their ids tell.
    pub older_than: Option<Age>,
    /// Enqueued since, as their ids tell.
    pub younger_than: Option<Age>,
    /// Of this customer.
    pub customer: Option<OwnerId>,
    /// See [`Text`].
    pub text: Option<Text>,
    /// Parts of this job.
    pub parent: Option<JobId>,
}

/// In which ways jobs failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailedAs {
    /// In this one.
    Only(Failure),
    /// Exhausted or crashed: what a person must decide on.
    Dead,
}

impl FailedAs {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Only(failure) => failure.name(),
            Self::Dead => "dead",
        }
    }
}

/// What somebody looks for by a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// A UUID with its hyphens: the job of that id; the job of what has that id; the job that a callback of that
    /// id is about.
    Id(Uuid),
    /// 32 hexadecimal digits, or a whole `traceparent`: every job of that trace.
    Trace(String),
    /// Anything else: the unique or the ordering key, exactly, of jobs that are unfinished or failed, or a part
    /// of an error of those that failed, in capitals or not.
    Words(String),
}

/// A value that can't be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct BadFilter {
    /// The field of [`FilterInput`].
    pub field: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// How long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    seconds: u64,
}

/// The units of an age, the longest first.
const UNITS: [(char, u64); 4] = [('d', 24 * 3600), ('h', 3600), ('m', 60), ('s', 1)];

/// The longest text that is looked for.
const MOST_TEXT: usize = 200;

/// The longest reason: its characters may take four bytes each.
const MOST_REASON: usize = 4 * model::job::MAX_REASON;

impl Age {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is a number with a unit: 90s, 15m, 6h, 3d";
        let unit = text.chars().next_back().and_then(|last| UNITS.iter().find(|(unit, _)| *unit == last));
        let Some((unit, seconds)) = unit else { return Err(WRONG) };
        let number = text.strip_suffix(*unit).filter(|number| number.bytes().all(|b| b.is_ascii_digit()));
        let number: u64 = number.and_then(|number| number.parse().ok()).ok_or(WRONG)?;
        // No database was there a hundred years ago, and times that long have no id.
        let seconds = number.checked_mul(*seconds).filter(|seconds| *seconds <= 100 * 366 * 24 * 3600);
        Ok(Self { seconds: seconds.ok_or("is more than a hundred years")? })
    }
}

/// In the longest unit that needs no fraction.
impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |(_, unit): &&(char, u64)| self.seconds.is_multiple_of(*unit) && self.seconds >= *unit;
        let (unit, seconds) = UNITS.iter().find(whole).copied().unwrap_or(('s', 1));
        write!(f, "{}{unit}", self.seconds / seconds)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let is_trace = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        let parts: Vec<&str> = text.split('-').collect();
        let trace = match parts.as_slice() {
            [id] | [_, id, _, _] if is_trace(id) => Some(id.to_ascii_lowercase()),
            _ => None,
        };
        match (trace, Uuid::parse_str(text)) {
            (Some(trace), _) => Self::Trace(trace),
            (None, Ok(id)) if text.len() == 36 => Self::Id(id),
            _ => Self::Words(text.to_owned()),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Trace(text) | Self::Words(text) => f.write_str(text),
        }
    }
}

impl JobFilter {
    /// The dead: jobs that failed.
    pub fn failed() -> Self {
        Self { state: Some(JobState::Failed), ..Self::default() }
    }

    /// Whether it fits every job.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl TryFrom<FilterInput> for JobFilter {
    type Error = BadFilter;

    fn try_from(input: FilterInput) -> Result<Self, BadFilter> {
        let filter = Self {
            kind: field("kind", input.kind, kind)?,
            state: field("state", input.state, state)?,
            failure: field("failure", input.failure, failure)?,
            // As it is, to the last blank: it is compared with what was cut off somewhere.
            reason: match input.reason.filter(|text| !text.trim().is_empty()) {
                Some(text) => Some(reason(&text).map_err(|message| BadFilter { field: "reason", message })?),
                None => None,
            },
            queue: field("queue", input.queue, queue)?,
            older_than: field("older_than", input.older_than, parsed)?,
            younger_than: field("younger_than", input.younger_than, parsed)?,
            customer: field("customer", input.customer, id)?,
            text: field("text", input.text, text)?,
            parent: field("parent", input.parent, id)?,
        };
        match (filter.older_than, filter.younger_than) {
            (Some(older), Some(younger)) if older >= younger => {
                Err(BadFilter { field: "younger_than", message: "is not longer than older_than".into() })
            }
            _ => Ok(filter),
        }
    }
}

impl From<JobFilter> for FilterInput {
    fn from(filter: JobFilter) -> Self {
        Self {
            kind: filter.kind,
            state: filter.state.map(|state| status_name(state).to_owned()),
            failure: filter.failure.map(|failure| failure.name().to_owned()),
            reason: filter.reason,
            queue: filter.queue,
            older_than: filter.older_than.map(|age| age.to_string()),
            younger_than: filter.younger_than.map(|age| age.to_string()),
            customer: filter.customer.map(|id| id.to_string()),
            text: filter.text.map(|text| text.to_string()),
            parent: filter.parent.map(|id| id.to_string()),
        }
    }
}

fn field<T>(
    field: &'static str,
    value: Option<String>,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Option<T>, BadFilter> {
    match value.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(value) => read(value).map(Some).map_err(|message| BadFilter { field, message }),
    }
}

fn kind(name: &str) -> Result<String, String> {
    let names = || registry::kinds().iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    KindInfo::find(name).map(|kind| kind.name.to_owned()).ok_or_else(|| format!("is one of {}", names()))
}

fn state(name: &str) -> Result<JobState, String> {
    let names = || JobState::ALL.map(status_name).join(", ");
    let state = JobState::ALL.into_iter().find(|state| status_name(*state) == name);
    state.or_else(|| JobState::from_name(name)).ok_or_else(|| format!("is one of {}", names()))
}

fn failure(name: &str) -> Result<FailedAs, String> {
    if name == FailedAs::Dead.name() {
        return Ok(FailedAs::Dead);
    }
    // Until the next release, `crashed` is also known by its former name.
    let name = if name == "killed" { Failure::Crashed.name() } else { name };
    Failure::from_name(name)
        .map(FailedAs::Only)
        .ok_or_else(|| "is discarded, exhausted, crashed or dead".into())
}

fn reason(text: &str) -> Result<String, String> {
    let fits = text.len() <= MOST_REASON && is_storable(text);
    fits.then(|| text.to_owned()).ok_or_else(|| format!("is at most {MOST_REASON} bytes of text"))
}

fn queue(name: &str) -> Result<String, String> {
    let is_name = Queue::is_name(name);
    is_name.then(|| name.to_owned()).ok_or_else(|| "is no name of a queue".into())
}

fn parsed(age: &str) -> Result<Age, String> {
    age.parse().map_err(str::to_owned)
}

fn id<I: FromStr>(text: &str) -> Result<I, String> {
    text.parse().map_err(|_| "is no id".into())
}

fn text(text: &str) -> Result<Text, String> {
    if text.len() > MOST_TEXT || !is_storable(text) {
        return Err(format!("is at most {MOST_TEXT} bytes of text"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::DeliverCallback;

    /// The kinds of no application: the engine's own.
    const KINDS: &[KindInfo] = &[KindInfo::of::<DeliverCallback>()];

    #[test]
    fn a_failure_is_known_by_its_former_name_and_written_by_its_own() {
        let former: JobFilter = serde_json::from_value(json!({"failure": "killed"})).unwrap();
        assert_eq!(former.failure, Some(FailedAs::Only(Failure::Crashed)));
        assert_eq!(serde_json::to_value(&former).unwrap(), json!({"failure": "crashed"}));
    }

    #[test]
    fn every_field_is_read_and_written_again() {
        registry::register(KINDS, &[]);
        let typed = json!({
            "kind": "deliver_callback", "state": "scheduled", "queue": "callbacks", "older_than": "90s",
            "younger_than": "3d", "customer": "0190d1f2-0000-7000-8000-000000000000", "text": "no route",
            "parent": "0190d1f2-0000-7000-8000-000000000001",
        });
        let filter: JobFilter = serde_json::from_value(typed.clone()).unwrap();
        assert_eq!(filter.state, Some(JobState::Pending));
        assert_eq!(serde_json::to_value(&filter).unwrap(), typed);
        let dead: JobFilter =
            serde_json::from_value(json!({"status": "failed", "failure": "crashed"})).unwrap();
        assert_eq!(
            (dead.state, dead.failure),
            (Some(JobState::Failed), Some(FailedAs::Only(Failure::Crashed)))
        );
    }

    #[test]
    fn what_is_left_empty_in_a_form_fits_everything() {
        let filter: JobFilter = serde_json::from_value(json!({"kind": "", "text": "  "})).unwrap();
        assert!(filter.is_empty());
        assert!(!JobFilter::failed().is_empty());
    }

    #[test]
    fn what_can_not_be_meant_is_refused_by_its_field() {
        let long = "x".repeat(MOST_TEXT + 1);
        let table = [
            ("kind", "no_such_kind"),
            ("state", "dead"),
            ("failure", "broken"),
            ("queue", "Images"),
            ("queue", "dead"),
            ("older_than", "3"),
            ("older_than", "d"),
            ("older_than", "-3d"),
            ("older_than", "1.5h"),
            ("older_than", "99999999999999999999d"),
            ("younger_than", "40000d"),
            ("customer", "ada"),
            ("parent", "1"),
            ("text", long.as_str()),
            ("text", "a\0b"),
        ];
        for (field, value) in table {
            let error = serde_json::from_value::<JobFilter>(json!({field: value})).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{field}={value}: {error}");
        }
        let never = json!({"older_than": "1h", "younger_than": "60m"});
        assert!(serde_json::from_value::<JobFilter>(never).is_err());
        assert!(serde_json::from_value::<JobFilter>(json!({"knd": "send_email"})).is_err());
    }

    #[test]
    fn an_age_is_written_in_its_longest_unit() {
        for (typed, written) in [("90s", "90s"), ("120s", "2m"), ("24h", "1d"), ("0d", "0s")] {
            assert_eq!(typed.parse::<Age>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_text_is_an_id_a_trace_or_words() {
        let id = "0190d1f2-0000-7000-8000-000000000000";
        assert_eq!(Text::from(id), Text::Id(id.parse().unwrap()));
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for text in [trace, &trace.to_uppercase(), &format!("00-{trace}-b7ad6b7169203331-01")] {
            assert_eq!(Text::from(text), Text::Trace(trace.into()), "{text}");
        }
        for text in ["mail:0190d1f2-0000-7000-8000-000000000000", "no-route-to-host", "abc"] {
            assert_eq!(Text::from(text), Text::Words(text.into()));
        }
    }
}
