//! The pages of dead letters, filled with sample data.

use ::jobs::filter::FilterInput;
use askama::Template;
use chrono::{DateTime, Utc};
use operations::dead::{DeadLetters, Group, MessageGroup, MessageView, Refused, Report};
use uuid::Uuid;

use super::dead::{DeadJobsPage, DeadPage, MessagesPage, ReportPage};
use super::jobs_samples::summary;
use super::shell::AdminShell;

/// The pages in every state, by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str, shell: &AdminShell) -> Vec<(String, String)> {
    let at: DateTime<Utc> = "2026-11-24T03:12:00Z".parse().unwrap();
    let group = |kind: &str, failure: &str, reason: &str, jobs| Group {
        kind: kind.into(),
        failure: failure.into(),
        reason: reason.into(),
        jobs,
        oldest: at,
        newest: at,
    };
    let letters = DeadLetters {
        groups: vec![
            group("fulfil_order", "exhausted", text, 50),
            group("make_thumbnails", "crashed", "the lease lapsed: the process that ran it is gone", 2),
            group("send_email", "exhausted", "", 1),
        ],
        messages: vec![MessageGroup { queue: "images".into(), reason: text.into(), messages: 3, newest: at }],
    };
    let jobs = (1..4).map(|n| summary(text, n, "failed", Some("exhausted"))).collect();
    let filter = FilterInput {
        reason: Some(text.into()),
        kind: Some("fulfil_order".into()),
        ..FilterInput::default()
    };
    let list = DeadJobsPage {
        shell: shell.clone(),
        filter: filter.clone(),
        jobs,
        next: Some("0195a1b2-c3d4-7e5f-8a9b-000000000001".into()),
    };
    let read_only = AdminShell { read_only: true, ..shell.clone() };
    let id = Uuid::from_u128(7);
    let refused = vec![
        Refused { job: id, why: format!("superseded by {id}, which is unfinished") },
        Refused { job: id, why: "it is pending".into() },
    ];
    let report = |dry_run, next, refused| ReportPage {
        shell: shell.clone(),
        discards: false,
        report: Report { dry_run, done: 48, needed: 3, refused, next },
        again: vec![("reason".into(), text.into()), ("do".into(), "redrive".into())],
    };
    let message =
        MessageView { id, queue: "images".into(), reason: text.into(), at, bytes: 5, beginning: text.into() };
    let nothing = DeadLetters { groups: Vec::new(), messages: Vec::new() };
    let messages = |messages| MessagesPage { shell: shell.clone(), messages, next: None };
    let again = DeadJobsPage {
        shell: read_only,
        jobs: vec![summary(text, 9, "failed", Some("crashed"))],
        filter,
        next: None,
    };
    [
        ("dead", DeadPage { shell: shell.clone(), letters }.render()),
        ("dead-none", DeadPage { shell: shell.clone(), letters: nothing }.render()),
        ("dead-jobs", list.render()),
        ("dead-jobs-read-only", again.render()),
        ("dead-report-dry", report(true, None, refused).render()),
        ("dead-report-part", report(false, Some(id), Vec::new()).render()),
        ("dead-messages", messages(vec![message]).render()),
        ("dead-messages-none", messages(Vec::new()).render()),
    ]
    .map(|(name, page)| (format!("admin-{name}"), page.unwrap()))
    .to_vec()
}
