//! The operators' pages in every state.

use actix_web::http::StatusCode;
use operations::overview::{Overview, QueueHistory};

use super::audit::{AuditPage, AuditRow};
use super::login::LoginPage;
use super::operators::{OperatorRow, OperatorsPage, TokenRow};
use super::overview::{OverviewPage, samples as overview_samples};
use super::queues::{QueueRow, QueuesPage};
use super::schedule::{Note, SchedulePage, ScheduleRow};
use super::shell::{AdminSection, AdminShell};
use super::when::When;
use super::{dead_samples, error, jobs_samples};
use crate::http::problem::of_status;
use crate::pages::samples::{NOON, html, id};

/// Each by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    let login = |refused| LoginPage {
        shell: AdminShell::of_nobody(),
        name: text.to_owned(),
        next: "/admin/jobs?state=failed".to_owned(),
        refused,
    };
    let page = |name: &str, html: String| (format!("admin-{name}"), html);
    let mut pages = vec![
        page("login", html(&login(false))),
        page("login-refused", html(&login(true))),
        page("audit", html(&audit(text))),
        page(
            "audit-empty",
            html(&AuditPage { rows: Vec::new(), older_url: None, newest: true, ..audit(text) }),
        ),
        page("operators", html(&operators(text))),
        page("operators-made", html(&OperatorsPage { made: Some("5mGd2bW0h0".into()), ..operators(text) })),
        page("operators-problem", html(&OperatorsPage { problem: Some(text.to_owned()), ..operators(text) })),
        page("operators-read-only", html(&OperatorsPage { shell: read_only_shell(), ..operators(text) })),
        page("queues", html(&queues(text))),
        page("queues-read-only", html(&QueuesPage { shell: read_only_shell(), ..queues(text) })),
        page("schedule", html(&schedule(text))),
        page("schedule-read-only", html(&SchedulePage { shell: read_only_shell(), ..schedule(text) })),
        page("overview", html(&overview(overview_samples::well(text)))),
        page("overview-broken", html(&overview(overview_samples::broken(text)))),
        page("error", error::render(&of_status(StatusCode::CONFLICT))),
    ];
    pages.extend(dead_samples::all(text, &shell(AdminSection::Dead)));
    pages.extend(jobs_samples::all(text, &shell(AdminSection::Jobs)));
    pages
}

fn overview((overview, history): (Overview, Vec<QueueHistory>)) -> OverviewPage {
    OverviewPage::of(shell(AdminSection::Overview), &overview, &history)
}

/// An operator who may change things.
fn shell(section: AdminSection) -> AdminShell {
    AdminShell { operator: Some("ada".to_owned()), read_only: false, section }
}

/// One who may look and not touch.
fn read_only_shell() -> AdminShell {
    AdminShell { read_only: true, ..shell(AdminSection::Elsewhere) }
}

fn when() -> When {
    When { iso: NOON.to_owned(), text: "2026-03-05 12:00:00".to_owned() }
}

fn audit(text: &str) -> AuditPage {
    let row = |action: &str, subject: &str, outcome: &str| AuditRow {
        at: when(),
        operator: text.to_owned(),
        via: "page",
        action: action.to_owned(),
        subject: subject.to_owned(),
        outcome: outcome.to_owned(),
    };
    AuditPage {
        shell: shell(AdminSection::Audit),
        rows: vec![
            row("queue.pause", "queue: images", "1 done"),
            row("dead.redrive", text, "120 done, 3 refused"),
            row("operator.token.create", "operator: ada, token: nightly-report", "not finished"),
        ],
        newest: false,
        older_url: Some("/admin/audit?before=0195a1b2".to_owned()),
    }
}

fn operators(text: &str) -> OperatorsPage {
    let operator =
        |name: &str, read_only, seen| OperatorRow { name: name.to_owned(), read_only, since: when(), seen };
    let token =
        |number, name: &str, used| TokenRow { id: id(number), name: name.to_owned(), since: when(), used };
    OperatorsPage {
        shell: shell(AdminSection::Operators),
        operators: vec![operator("ada", false, Some(when())), operator(text, true, None)],
        tokens: vec![token(500, "nightly-report", Some(when())), token(501, text, None)],
        made: None,
        name: text.to_owned(),
        problem: None,
    }
}

fn queues(text: &str) -> QueuesPage {
    let row = |name: &str, paused: Option<When>, pending| QueueRow {
        name: name.to_owned(),
        paused,
        pending,
        queued: 12,
        running: 2,
        waiting: 0,
    };
    QueuesPage {
        shell: shell(AdminSection::Queues),
        rows: vec![row("images", None, 0), row("orders", Some(when()), 48_211), row(text, None, 1)],
    }
}

fn schedule(text: &str) -> SchedulePage {
    let row = |name: &str, overdue, last: Option<When>, last_state: Option<&str>| ScheduleRow {
        name: name.to_owned(),
        cron: "45 3 * * *".to_owned(),
        words: "At 03:45.".to_owned(),
        kind: "retention".to_owned(),
        next: Some(when()),
        overdue,
        last_job: last.as_ref().map(|_| id(600)),
        last,
        last_state: last_state.map(str::to_owned),
        missed: 3,
    };
    SchedulePage {
        shell: shell(AdminSection::Schedule),
        rows: vec![
            row("also-bought", false, Some(when()), Some("succeeded")),
            row("sales-report", true, Some(when()), None),
            ScheduleRow { next: None, ..row(text, false, None, None) },
        ],
        note: Some(Note { job: id(600), started: false }),
    }
}
