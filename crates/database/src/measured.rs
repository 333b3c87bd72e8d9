//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::counter("database_statements_total", &[], "Statements that PostgreSQL ran for this process"),
    Metric::counter(
        "database_round_trips_total",
        &[],
        "How often this process waited for an answer of PostgreSQL",
    ),
    Metric::counter(
        "database_statements_parsed_total",
        &[],
        "Statements that PostgreSQL parsed: each once a connection. One that rises with the \
         traffic means statements that are not kept",
    ),
];
