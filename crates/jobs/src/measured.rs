//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::counter("relay_published_total", &[], "Messages that the broker confirmed"),
    Metric::counter("relay_failed_total", &[], "Messages that were not confirmed and are published again"),
    Metric::histogram("relay_publish_seconds", &[], "How long a batch took to be confirmed"),
];
