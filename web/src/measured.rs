//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::histogram(
        "http_request_seconds",
        &["method", "route", "status"],
        "Time to the answer, by URL pattern",
    ),
    Metric::gauge(
        "jobs_unfinished",
        &["queue", "state"],
        "How much is to do; pending includes what is due later",
    ),
    Metric::counter(
        "operator_logins_total",
        &["outcome"],
        "Logins of operators: accepted, refused (wrong name or password; those over the limit are \
         not counted)",
    ),
    Metric::gauge(
        "database_connections",
        &["state"],
        "Connections that are idle or used, and callers that are waiting for one",
    ),
    Metric::gauge("database_connections_limit", &[], "The setting DATABASE_CONNECTIONS"),
    Metric::gauge("awaited_jobs", &[], "Jobs that somebody waits for by long poll or events"),
];
