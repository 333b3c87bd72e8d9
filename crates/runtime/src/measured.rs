//! The metrics that are recorded here.

use platform::telemetry::Metric;

/// All of them.
pub const METRICS: &[Metric] = &[
    Metric::histogram(
        "job_wait_seconds",
        &["kind"],
        "From due to claimed: the signal to scale by. Jobs that waited for others are left out",
    ),
    Metric::histogram("job_run_seconds", &["kind"], "How long runs take"),
    Metric::counter(
        "jobs_ended_total",
        &["kind", "outcome"],
        "Ends of runs: succeeded, discarded, exhausted, crashed, cancelled; and of runs whose job \
         goes on: retried, put_back (snoozed or released), waiting, lapsed. A job is a dead \
         letter after exhausted and crashed",
    ),
    Metric::counter("jobs_lapsed_total", &["kind"], "Runs whose process was gone: it crashed or was frozen"),
    Metric::counter("processes_lost_total", &[], "Processes that this one declared lost"),
    Metric::counter("leases_lost_total", &[], "How often this process found itself lost"),
    Metric::gauge(
        "runs_abandoned",
        &[],
        "Handlers that work on although their time is over; at eight of them the worker drains \
         and ends",
    ),
    Metric::counter(
        "jobs_of_unknown_kind_total",
        &[],
        "Jobs that this worker does not know, each time that it put one back for 30 s: it rises \
         during a rolling upgrade, and has to stop",
    ),
    Metric::counter(
        "schedule_ticks_total",
        &["name", "outcome"],
        "Ticks of the schedule that this process took: enqueued, or overlapped when the job \
         before was unfinished",
    ),
    Metric::counter(
        "schedule_missed_total",
        &["name"],
        "Ticks of the schedule that passed while no worker ran",
    ),
    Metric::gauge("breaker_open", &["dependency"], "1 while a dependency counts as away, in this process"),
    Metric::counter(
        "callbacks_total",
        &["outcome"],
        "Calls of addresses that are told how jobs go on: delivered, failed (another attempt \
         follows), stopped (the receiver said 410)",
    ),
    Metric::histogram("callback_seconds", &[], "How long those calls took"),
    Metric::counter("submissions_total", &["outcome"], "Messages on the queue submit: accepted, refused"),
    Metric::counter(
        "lanes_suspended_total",
        &["queue"],
        "How often a worker gave back messages that it held while it had no free slot",
    ),
    Metric::counter(
        "dead_messages_total",
        &[],
        "Messages that were no job, and submissions that were refused",
    ),
    Metric::counter(
        "heartbeats_failed_total",
        &[],
        "Heartbeats that this process, of any program, could not write: others see it as silent",
    ),
    Metric::counter(
        "samples_failed_total",
        &[],
        "Samples of the queues that could not be written; what was counted is kept for the next one",
    ),
];
