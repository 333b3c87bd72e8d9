//! `/admin/dead`: dead letters by reason; those of one reason, to be chosen from; and the report of what was done.

use ::jobs::filter::{FilterInput, JobFilter};
use actix_web::web::{Data, Form, Query};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use model::JobId;
use operations::dead::{DeadLetters, Group, How, MessageView, Report, Which};
use operations::jobs::{self, JobPage, JobSummary};
use operations::operator::Via;
use serde::Deserialize;
use serde_json::Value;

use super::jobs::{address, fields};
use super::shell::{AdminSection, AdminShell};
use crate::App;
use crate::api::admin::dead::{MOST_PER_SECOND, MessagePage, MessagePaging, page};
use crate::api::admin::jobs::Asked;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::http::problem::FieldError;
use crate::pages::{html, see_other};

/// The list's path.
const LIST: &str = "/admin/dead/jobs";

/// How many jobs a page shows.
const SHOWN: i64 = 50;

/// All dead letters, by reason.
#[derive(Debug, Template)]
#[template(path = "admin/dead.html")]
pub struct DeadPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The groups.
    pub letters: DeadLetters,
}

impl DeadPage {
    fn jobs(&self) -> i64 {
        self.letters.groups.iter().map(|group| group.jobs).sum()
    }

    fn url(&self, group: &&Group) -> String {
        address(LIST, &of_group(group), None)
    }

    fn reason(&self, group: &&Group) -> String {
        if group.reason.is_empty() { "(not written down)".to_owned() } else { group.reason.clone() }
    }
}

/// Which jobs a group has.
fn of_group(group: &Group) -> FilterInput {
    FilterInput {
        kind: Some(group.kind.clone()),
        failure: Some(group.failure.clone()),
        reason: Some(group.reason.clone()).filter(|reason| !reason.is_empty()),
        ..FilterInput::default()
    }
}

/// Dead jobs that a filter fits, to be chosen from.
#[derive(Debug, Template)]
#[template(path = "admin/dead_jobs.html")]
pub struct DeadJobsPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The filter.
    pub filter: FilterInput,
    /// The jobs, the newest first.
    pub jobs: Vec<JobSummary>,
    /// Where the next page begins.
    pub next: Option<String>,
}

impl DeadJobsPage {
    fn words(&self) -> String {
        fields(&self.filter)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn fields(&self) -> Vec<(String, String)> {
        fields(&self.filter)
    }

    fn next_url(&self) -> Option<String> {
        Some(address(LIST, &self.filter, Some(self.next.as_deref()?)))
    }
}

/// What was done, or would be.
#[derive(Debug, Template)]
#[template(path = "admin/dead_report.html")]
pub struct ReportPage {
    /// Around the content.
    pub shell: AdminShell,
    /// Whether jobs were given up, and not tried again.
    pub discards: bool,
    /// The report.
    pub report: Report,
    /// The fields of the form that does it, or goes on with it.
    pub again: Vec<(String, String)>,
}

impl ReportPage {
    fn title(&self) -> &'static str {
        match (self.discards, self.report.dry_run) {
            (false, false) => "Redriven",
            (false, true) => "Dry run of a redrive",
            (true, false) => "Discarded",
            (true, true) => "Dry run of a discard",
        }
    }

    fn summary(&self) -> String {
        let report = &self.report;
        let jobs = |count| crate::pages::format::count(count as u64, "job");
        let verb = match (self.discards, report.dry_run) {
            (false, false) => "redriven",
            (false, true) => "would be redriven",
            (true, false) => "discarded",
            (true, true) => "would be discarded",
        };
        let needed = match report.needed {
            0 => String::new(),
            needed => format!(", with {} that they need", jobs(needed)),
        };
        format!("{} {verb}{needed}, {} left as they are.", jobs(report.done), jobs(report.refused.len()))
    }

    /// What the button does that follows.
    fn next_label(&self) -> Option<&'static str> {
        match (self.report.dry_run, self.discards) {
            _ if self.shell.read_only => None,
            (true, _) if self.report.done == 0 => None,
            (true, false) => Some("Redrive"),
            (true, true) => Some("Discard"),
            (false, _) if self.report.next.is_some() => Some("Go on with the rest"),
            (false, _) => None,
        }
    }
}

/// Unreadable messages.
#[derive(Debug, Template)]
#[template(path = "admin/dead_messages.html")]
pub struct MessagesPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The messages, the newest first.
    pub messages: Vec<MessageView>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// `GET /admin/dead`
///
/// # Errors
/// [`ApiError::LogInFirst`].
pub async fn show(app: Data<App>, operator: Operator) -> Result<HttpResponse, ApiError> {
    let letters = app.db.run(|db| async move { operations::dead::letters(&db).await }).await?;
    html(&DeadPage { shell: AdminShell::of(&operator, AdminSection::Dead), letters })
}

/// `GET /admin/dead/jobs`
///
/// # Errors
/// [`ApiError::LogInFirst`]; 422.
pub async fn list(
    app: Data<App>,
    operator: Operator,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let Asked { input, paging } = Asked::of(&request)?;
    let before = paging.before;
    let mut dead = input.clone();
    dead.failure.get_or_insert_with(|| "dead".to_owned());
    let filter = JobFilter::try_from(dead).map_err(operations::OperationError::from)?;
    let found = app.db.run(move |db| {
        let filter = filter.clone();
        async move { jobs::list(&db, &filter, before, SHOWN).await }
    });
    let JobPage { items, next } = found.await?;
    html(&DeadJobsPage {
        shell: AdminShell::of(&operator, AdminSection::Dead),
        filter: input,
        jobs: items,
        next: next.map(|next| next.to_string()),
    })
}

/// `POST /admin/dead/decide`: does what the button says to the jobs that were chosen, or to all that the filter fits.
///
/// Answered with the report itself and no redirect: sent again, it finds that there is nothing more to do.
///
/// # Errors
/// As the same below `/api/admin`.
pub async fn decide(
    app: Data<App>,
    operator: Operator,
    form: Form<Vec<(String, String)>>,
) -> Result<HttpResponse, ApiError> {
    let form = form.into_inner();
    let Decision { which, how, discards } = read(&form)?;
    let actor = operator.actor(Via::Page);
    let db = app.db.patient();
    let done = db.run(move |db| {
        let (actor, which) = (actor.clone(), which.clone());
        async move {
            if discards {
                operations::dead::discard(&db, &actor, which, how.dry_run).await
            } else {
                operations::dead::redrive(&db, &actor, which, how).await
            }
        }
    });
    let report = done.await?;
    let again = again(form, &report, how);
    html(&ReportPage { shell: AdminShell::of(&operator, AdminSection::Dead), discards, report, again })
}

/// What somebody decided.
struct Decision {
    which: Which,
    how: How,
    discards: bool,
}

/// Fields of the form that are not the filter's.
const OWN_FIELDS: [&str; 7] = ["job", "of", "do", "dry_run", "rate", "after", "already"];

fn read(form: &[(String, String)]) -> Result<Decision, ApiError> {
    let wrong = |field: &'static str, message: &str| ApiError::Invalid(vec![FieldError::new(field, message)]);
    let value = |field: &str| {
        let found = form.iter().rev().find(|(name, _)| name == field);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    let number = |field: &'static str, most: u32| match value(field).map(str::parse::<u32>) {
        None => Ok(None),
        Some(Ok(number)) if number <= most => Ok(Some(number)),
        Some(_) => Err(wrong(field, &format!("is a number up to {most}"))),
    };
    let id = |text: &str| text.parse::<JobId>().map_err(|_| wrong("job", "is no id of a job"));
    let of_all = value("of") == Some("all");
    let jobs = form.iter().filter(|(name, _)| name == "job" && !of_all).map(|(_, value)| id(value));
    let jobs: Vec<JobId> = jobs.collect::<Result<_, _>>()?;
    let filter: serde_json::Map<String, Value> = form
        .iter()
        .filter(|(name, value)| of_all && !OWN_FIELDS.contains(&name.as_str()) && !value.is_empty())
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    let filter: FilterInput = serde_json::from_value(Value::Object(filter))
        .map_err(|_| wrong("of", "comes with a field that is no filter"))?;
    let no_filter = filter == FilterInput::default();
    if jobs.is_empty() && !of_all {
        return Err(wrong("job", "is missing: choose at least one job"));
    }
    let after = value("after").map(id).transpose()?;
    let how = How {
        dry_run: value("dry_run").is_some(),
        per_second: number("rate", MOST_PER_SECOND)?.filter(|rate| *rate > 0),
        already: number("already", u32::MAX)?.unwrap_or(0) as usize,
    };
    let discards = match value("do") {
        Some("redrive") => false,
        Some("discard") => true,
        _ => return Err(wrong("do", "is redrive or discard")),
    };
    Ok(Decision { which: Which::asked(jobs, filter, of_all && no_filter, after)?, how, discards })
}

/// The form that does what was tried, or goes on where the report ended.
fn again(form: Vec<(String, String)>, report: &Report, how: How) -> Vec<(String, String)> {
    let changes = ["dry_run", "after", "already"];
    let mut fields: Vec<(String, String)> =
        form.into_iter().filter(|(name, _)| !changes.contains(&name.as_str())).collect();
    if let (false, Some(next)) = (report.dry_run, report.next) {
        fields.push(("after".to_owned(), next.to_string()));
        fields.push(("already".to_owned(), (how.already + report.done).to_string()));
    }
    fields
}

/// `GET /admin/dead/messages`
///
/// # Errors
/// [`ApiError::LogInFirst`].
pub async fn messages(
    app: Data<App>,
    operator: Operator,
    paging: Query<MessagePaging>,
) -> Result<HttpResponse, ApiError> {
    let MessagePage { items, next } = page(&app, paging.before).await?;
    html(&MessagesPage {
        shell: AdminShell::of(&operator, AdminSection::Dead),
        messages: items,
        next: next.map(|next| next.to_string()),
    })
}

/// Which messages are removed.
#[derive(Debug, Deserialize)]
pub struct MessageChoice {
    queue: String,
    reason: String,
}

/// `POST /admin/dead/messages/discard`
///
/// # Errors
/// As the same below `/api/admin`.
pub async fn discard_messages(
    app: Data<App>,
    operator: Operator,
    form: Form<MessageChoice>,
) -> Result<HttpResponse, ApiError> {
    let MessageChoice { queue, reason } = form.into_inner();
    let actor = operator.actor(Via::Page);
    let db = app.db.patient();
    let done = db.run(move |db| {
        let (actor, queue, reason) = (actor.clone(), queue.clone(), reason.clone());
        async move { operations::dead::discard_messages(&db, &actor, &queue, &reason).await }
    });
    done.await?;
    Ok(see_other("/admin/dead"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn nothing_is_decided_that_is_not_clear() {
        let id = JobId::new().to_string();
        let id = id.as_str();
        for fields in [
            &[][..],
            &[("do", "redrive")],
            &[("do", "redrive"), ("of", "chosen"), ("kind", "fulfil_order")],
            &[("job", id)],
            &[("do", "explode"), ("job", id)],
            &[("do", "redrive"), ("job", "7")],
            &[("do", "redrive"), ("of", "all"), ("kindd", "x")],
            &[("do", "redrive"), ("of", "all"), ("kind", "x")],
            &[("do", "redrive"), ("job", id), ("rate", "fast")],
        ] {
            assert!(read(&form(fields)).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn the_chosen_jobs_or_all_of_the_filter_are_meant() {
        let (one, other) = (JobId::new(), JobId::new());
        let chosen = form(&[
            ("do", "redrive"),
            ("of", "chosen"),
            ("kind", "fulfil_order"),
            ("job", &one.to_string()),
            ("job", &other.to_string()),
            ("rate", "5"),
            ("dry_run", "yes"),
        ]);
        shared::jobs::register();
        let decision = read(&chosen).unwrap();
        assert_eq!(decision.which, Which::These(vec![one, other]));
        assert_eq!(
            (decision.how.dry_run, decision.how.per_second, decision.discards),
            (true, Some(5), false)
        );
        let all =
            form(&[("do", "discard"), ("of", "all"), ("kind", "fulfil_order"), ("job", &one.to_string())]);
        let decision = read(&all).unwrap();
        let Which::All { filter, after: None } = decision.which else { panic!("{:?}", decision.which) };
        assert_eq!((filter.kind.as_deref(), decision.discards), (Some("fulfil_order"), true));
        assert!(matches!(read(&form(&[("do", "redrive"), ("of", "all")])).unwrap().which, Which::All { .. }));
    }

    #[test]
    fn what_follows_a_report_does_it_or_goes_on() {
        let sent = form(&[("do", "redrive"), ("of", "all"), ("dry_run", "yes"), ("rate", "5")]);
        let tried = Report { dry_run: true, done: 3, ..Report::default() };
        let how = How { dry_run: true, per_second: Some(5), already: 0 };
        assert_eq!(
            again(sent.clone(), &tried, how),
            form(&[("do", "redrive"), ("of", "all"), ("rate", "5")])
        );
        let next = JobId::new();
        let part = Report { done: 500, next: Some(next.0), ..Report::default() };
        let how = How { dry_run: false, per_second: Some(5), already: 500 };
        let on = read(&again(sent, &part, how)).unwrap();
        assert!(matches!(on.which, Which::All { after: Some(after), .. } if after == next));
        assert_eq!((on.how.already, on.how.dry_run), (1000, false));
    }
}
