//! Settings of what the worker does at set times.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::ConfigError;
use crate::domain::EmailAddress;
use crate::domain::email::InvalidEmail;

/// Whether a worker looks at the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScheduleSwitch {
    /// As every worker should.
    On,
    /// Leaves it to other workers, or to nobody.
    Off,
}

/// Settings of what the worker does at set times.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of worker")]
pub struct UpkeepSettings {
    /// Whether this worker starts what the schedule says; at least one should
    #[arg(long, env, value_enum, default_value_t = ScheduleSwitch::On, value_name = "ON|OFF")]
    pub schedule: ScheduleSwitch,
    /// So long after an order's confirmation the customer is asked for a review; 0 is never
    #[arg(long, env, default_value_t = 24, value_name = "HOURS")]
    pub review_hours: u32,
    /// Who gets the daily sales report. Unset: nobody; its figures are in its job's result and in the log
    #[arg(long, env, value_name = "ADDRESS")]
    pub operator_email: Option<String>,
}

impl UpkeepSettings {
    /// How long after its confirmation an order's customer is asked for a review, if at all.
    pub fn review_after(&self) -> Option<Duration> {
        (self.review_hours > 0).then(|| Duration::from_secs(u64::from(self.review_hours) * 3600))
    }

    /// Who gets the daily sales report, if anybody does.
    ///
    /// # Errors
    /// When it is no address.
    pub fn operator_email(&self) -> Result<Option<EmailAddress>, ConfigError> {
        let address = self.operator_email.as_deref().map(str::parse).transpose();
        address.map_err(|error: InvalidEmail| ConfigError::new("OPERATOR_EMAIL", error))
    }
}
