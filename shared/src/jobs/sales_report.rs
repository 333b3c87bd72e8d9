use std::time::Duration;

use super::queues::REPORTS;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use ::jobs::schedule::{Scheduled, Tick};
use model::Timestamp;
use model::{Kind, Queue};

/// Sums up what was sold, for whole days in UTC, and mails it to the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SalesReport {
    /// The first day. Unset: the one before the job was enqueued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<NaiveDate>,
    /// The last day. Unset: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<NaiveDate>,
}

impl SalesReport {
    /// The first and the last day, for a job that was enqueued at `enqueued_at`.
    pub fn days(&self, enqueued_at: Timestamp) -> (NaiveDate, NaiveDate) {
        let first = self.day.unwrap_or_else(|| before(enqueued_at));
        (first, self.through.unwrap_or(first))
    }
}

impl Kind for SalesReport {
    const NAME: &'static str = "sales_report";
    const QUEUE: Queue = REPORTS;
    const TIMEOUT: Duration = Duration::from_secs(20 * 60);
    const TRIGGERABLE: bool = true;
}

impl Scheduled for SalesReport {
    /// From the day of the run before, which ended at midnight, to yesterday: after missed ticks, all the
    /// days that nobody reported.
    fn at(tick: Tick) -> Self {
        let yesterday = before(tick.at);
        let first = tick.last.map_or(yesterday, |last| last.0.date_naive().min(yesterday));
        Self { day: Some(first), through: Some(yesterday) }
    }
}

/// The day before a point in time; there is one after the year −262143.
fn before(time: Timestamp) -> NaiveDate {
    let today = time.0.date_naive();
    today.pred_opt().unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use model::trigger::read_args;

    fn time(text: &str) -> Timestamp {
        Timestamp(text.parse().unwrap())
    }

    fn days(report: &SalesReport) -> (String, String) {
        let (first, last) = report.days(time("2026-03-10T12:00:00Z"));
        (first.to_string(), last.to_string())
    }

    #[test]
    fn a_run_covers_the_days_since_the_run_before() {
        let at = time("2026-03-05T03:05:00Z");
        let table = [
            (None, "2026-03-04"),
            (Some(time("2026-03-04T03:05:00Z")), "2026-03-04"),
            (Some(time("2026-03-01T03:05:00Z")), "2026-03-01"),
            (Some(time("2026-03-05T01:05:00Z")), "2026-03-04"),
        ];
        for (last, first) in table {
            let report = SalesReport::at(Tick { last, at });
            assert_eq!(days(&report), (first.to_owned(), "2026-03-04".to_owned()), "{last:?}");
        }
    }

    #[test]
    fn days_can_be_named_and_are_yesterday_otherwise() {
        let table = [
            (json!({}), ("2026-03-09", "2026-03-09")),
            (json!({"day": "2026-02-28"}), ("2026-02-28", "2026-02-28")),
            (json!({"day": "2026-02-28", "through": "2026-03-02"}), ("2026-02-28", "2026-03-02")),
        ];
        for (args, (first, last)) in table {
            assert_eq!(read_args::<SalesReport>(&args).unwrap(), args);
            let report: SalesReport = serde_json::from_value(args).unwrap();
            assert_eq!(days(&report), (first.to_owned(), last.to_owned()));
        }
        assert_eq!(read_args::<SalesReport>(&json!({"day": "yesterday"})).unwrap_err().field, "day");
    }
}
