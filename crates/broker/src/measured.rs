//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::gauge(
        "queue_arguments_differ",
        &["queue"],
        "1 while a queue on the broker has other arguments than the program gives it",
    ),
    Metric::gauge(
        "queue_of_former_generation",
        &["queue"],
        "1 while a queue is there whose arguments have changed since",
    ),
];
