//! The pages of jobs, filled with sample data.

use ::jobs::filter::FilterInput;
use ::jobs::view::ProgressView;
use askama::Template;
use chrono::{DateTime, Utc};
use operations::jobs::{
    CallView, CallbackView, Can, ErrorView, Event, JobStory, JobSummary, ProcessSeen, ProcessView,
    RelatedJob, RelatedJobs, TryView,
};
use serde_json::json;
use uuid::Uuid;

use super::jobs::{JobPageOfOne, JobsPage};
use super::shell::AdminShell;

/// The pages in every state, by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str, shell: &AdminShell) -> Vec<(String, String)> {
    let list = |jobs, next: Option<&str>, goes_on| JobsPage {
        shell: shell.clone(),
        filter: FilterInput {
            text: Some(text.to_owned()),
            queue: Some("bulk".into()),
            ..FilterInput::default()
        },
        wrong: None,
        jobs,
        goes_on,
        next: next.map(str::to_owned),
    };
    let states = [
        ("scheduled", None),
        ("queued", None),
        ("running", None),
        ("waiting", None),
        ("succeeded", None),
        ("failed", Some("crashed")),
        ("failed", Some("discarded")),
        ("cancelled", None),
    ];
    let jobs =
        states.iter().zip(1..).map(|((status, failure), n)| summary(text, n, status, *failure)).collect();
    let story = |status, failure, can| JobPageOfOne {
        shell: shell.clone(),
        story: story(text, status, failure, can),
    };
    let dead = Can { retry: true, cancel: true, run: false };
    let read_only = AdminShell { read_only: true, ..shell.clone() };
    let wrong = Some(("older_than", "is a number with a unit: 90s, 15m, 6h, 3d".to_owned()));
    [
        ("jobs", list(jobs, Some("0195a1b2-c3d4-7e5f-8a9b-000000000001"), true).render()),
        ("jobs-empty", list(Vec::new(), None, false).render()),
        ("jobs-wrong", JobsPage { wrong, ..list(Vec::new(), None, false) }.render()),
        ("job-dead", story("failed", Some("exhausted"), dead).render()),
        (
            "job-dead-read-only",
            JobPageOfOne { shell: read_only, ..story("failed", Some("exhausted"), dead) }.render(),
        ),
        ("job-new", JobPageOfOne { shell: shell.clone(), story: new() }.render()),
    ]
    .into_iter()
    .map(|(name, html)| (format!("admin-{name}"), html.unwrap()))
    .collect()
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0195_a1b2_c3d4_7e5f_8a9b_0000_0000_0000 + number * 0x1234_5678)
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_772_712_000 + second, 0).unwrap()
}

pub(super) fn summary(
    text: &str,
    number: u128,
    status: &'static str,
    failure: Option<&'static str>,
) -> JobSummary {
    JobSummary {
        id: id(number),
        kind: "make_thumbnails".into(),
        queue: "images".into(),
        express: number.is_multiple_of(3),
        status,
        failure,
        attempt: 3,
        max_attempts: 20,
        lapses: 0,
        run_at: at(0),
        customer: Some(id(99)),
        parent: None,
        created_at: at(0),
        updated_at: at(73),
        error: failure.map(|_| text.to_owned()),
    }
}

fn related(number: u128, status: &'static str) -> RelatedJobs {
    let job = |n| RelatedJob { id: id(n), kind: "render_print".into(), status, failure: None };
    RelatedJobs { count: 51, first: (number..number + 3).map(job).collect() }
}

fn process(seen: bool) -> ProcessView {
    let seen = seen.then(|| ProcessSeen {
        program: "worker".into(),
        host: "rack-2.example".into(),
        pid: 4711,
        version: "1.4.0".into(),
        seen_at: at(70),
    });
    ProcessView { id: id(500), seen }
}

fn story(text: &str, status: &'static str, failure: Option<&'static str>, can: Can) -> JobStory {
    let tries = |attempts: &[i32]| {
        let tries = attempts.iter().map(|attempt| TryView {
            at: at(i64::from(*attempt) * 10),
            attempt: *attempt,
            process: Some(process(attempt % 2 == 0)),
        });
        tries.collect()
    };
    let error = |times, attempts: &[i32]| ErrorView {
        message: text.to_owned(),
        times,
        since: at(10),
        at: at(60),
        tries: tries(attempts),
    };
    let event = |second, what: &str, detail: Option<&str>| Event {
        at: at(second),
        what: what.into(),
        detail: detail.map(str::to_owned),
    };
    JobStory {
        id: id(1),
        kind: "fulfil_order".into(),
        queue: "orders".into(),
        queue_paused_at: Some(at(50)),
        express: true,
        status,
        failure,
        progress: ProgressView { percent: 40, step: Some("charge".into()) },
        attempt: 3,
        max_attempts: 20,
        lapses: 1,
        fence: 4,
        published: 1,
        version: 12,
        undoing: true,
        created_at: at(0),
        started_at: Some(at(1)),
        updated_at: at(73),
        next_run_at: Some(at(90)),
        due_at: Some(at(80)),
        parked: Some("orders.express".into()),
        cancel_requested_at: Some(at(72)),
        process: Some(process(true)),
        args: json!({"order_id": id(7), "note": text}),
        checkpoint: Some(json!({"direction": "forward", "done": 2})),
        result: Some(json!({"order_status": "rejected", "reason": text})),
        errors: vec![error(1, &[3]), error(7, &[2, 1])],
        timeline: vec![
            event(0, "enqueued", None),
            event(1, "order received", None),
            event(10, "failed", Some(text)),
            event(73, status, failure),
        ],
        customer: Some(id(99)),
        source: Some("nightly".into()),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".into()),
        ordering_key: Some(text.to_owned()),
        ordering_seq: Some(7),
        unique_key: Some(text.to_owned()),
        parent: Some(RelatedJob { id: id(8), kind: "fulfil_order".into(), status: "waiting", failure: None }),
        children: related(20, "succeeded"),
        waits_for: related(30, "running"),
        awaited_by: related(40, "waiting"),
        callback: Some(CallbackView {
            url: "https://example.org/hook?[hidden]".into(),
            on: "every_change",
            stopped_at: Some(at(71)),
        }),
        deliveries: vec![
            CallView {
                job_id: id(60),
                told: "failed".into(),
                attempt: 1,
                at: at(71),
                status: Some(410),
                error: None,
                duration_ms: 31,
            },
            CallView {
                job_id: id(61),
                told: "running".into(),
                attempt: 1,
                at: at(70),
                status: None,
                error: Some(text.to_owned()),
                duration_ms: 5_000,
            },
        ],
        reply_queues: vec![text.to_owned()],
        can,
    }
}

/// One that nothing happened to yet.
fn new() -> JobStory {
    let none = RelatedJobs::default;
    JobStory {
        queue_paused_at: None,
        express: false,
        undoing: false,
        lapses: 0,
        started_at: None,
        next_run_at: None,
        due_at: None,
        parked: None,
        cancel_requested_at: None,
        process: None,
        checkpoint: None,
        result: None,
        errors: Vec::new(),
        timeline: vec![Event { at: at(0), what: "enqueued".into(), detail: None }],
        customer: None,
        source: None,
        trace_id: None,
        ordering_key: None,
        ordering_seq: None,
        unique_key: None,
        parent: None,
        children: none(),
        waits_for: none(),
        awaited_by: none(),
        callback: None,
        deliveries: Vec::new(),
        reply_queues: Vec::new(),
        ..story("", "queued", None, Can { retry: false, cancel: true, run: false })
    }
}
