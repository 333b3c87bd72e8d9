//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::counter(
        "incoming_files_total",
        &["outcome"],
        "Files of the watched folder: taken, refused (the job says why), stale (changed or \
         removed before it was taken)",
    ),
    Metric::counter(
        "incoming_polls_total",
        &["outcome"],
        "Polls of the watched folder: done, failed (the log says why)",
    ),
    Metric::counter(
        "consistency_findings_total",
        &["check"],
        "What the consistency check found: any rise is worth a look",
    ),
    Metric::counter("retention_removed_total", &["what"], "What was removed because it was old"),
    Metric::counter("sales_report_orders_total", &[], "Orders that sales reports counted in this process"),
    Metric::counter(
        "mails_perhaps_sent_twice_total",
        &[],
        "Mails that went out although an earlier attempt, whose end is not known, may have sent \
         them too; both under one Message-ID",
    ),
];
