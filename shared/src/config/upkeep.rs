//! Settings of what the worker does at set times.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::ConfigError;
use platform::EmailAddress;
use platform::email::InvalidEmail;

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
    /// Hours between the confirmation of an order and the mail that asks for a review; 0 turns it off
    #[arg(long, env, default_value_t = 24, value_name = "HOURS")]
    pub review_hours: u32,
    /// Who gets the daily sales report. Unset: nobody; its figures are in its job's result and in the log
    #[arg(long, env, value_name = "ADDRESS")]
    pub operator_email: Option<String>,
    /// Days that a finished job is kept, unless it failed and can be tried again; 0 keeps it for ever
    #[arg(long, env, default_value_t = 30, value_name = "DAYS")]
    pub keep_jobs_days: u32,
    /// Days that the address of a removed job answers 410; 0 keeps that for ever
    #[arg(long, env, default_value_t = 365, value_name = "DAYS")]
    pub keep_tombstones_days: u32,
    /// Hours that a blob without a row is kept; 0 keeps it for ever. Must be longer than uploads take and
    /// clocks differ
    #[arg(long, env, default_value_t = 24, value_name = "HOURS")]
    pub keep_orphans_hours: u32,
    /// Days that a customer who has nothing is kept, and their token with them; 0 keeps them for ever
    #[arg(long, env, default_value_t = 30, value_name = "DAYS")]
    pub keep_unused_customers_days: u32,
    /// Days that a mail which was written to a file is kept; 0 keeps it for ever
    #[arg(long, env, default_value_t = 30, value_name = "DAYS")]
    pub keep_mail_days: u32,
    /// Days that a message which was no job is kept; 0 keeps it for ever
    #[arg(long, env, default_value_t = 30, value_name = "DAYS")]
    pub keep_dead_messages_days: u32,
}

impl UpkeepSettings {
    /// How long after its confirmation an order's customer is asked for a review, if at all.
    pub fn review_after(&self) -> Option<Duration> {
        at_least_one(self.review_hours, HOUR)
    }

    /// How long things are kept.
    pub fn keep(&self) -> Keep {
        Keep {
            jobs: at_least_one(self.keep_jobs_days, DAY),
            tombstones: at_least_one(self.keep_tombstones_days, DAY),
            orphans: at_least_one(self.keep_orphans_hours, HOUR),
            unused_customers: at_least_one(self.keep_unused_customers_days, DAY),
            mail_files: at_least_one(self.keep_mail_days, DAY),
            dead_messages: at_least_one(self.keep_dead_messages_days, DAY),
        }
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

/// How long things are kept that nobody needs any more; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Finished jobs.
    pub jobs: Option<Duration>,
    /// What is left of them.
    pub tombstones: Option<Duration>,
    /// Blobs that no row names.
    pub orphans: Option<Duration>,
    /// Customers who have nothing.
    pub unused_customers: Option<Duration>,
    /// The files of mails.
    pub mail_files: Option<Duration>,
    /// Messages that were no job.
    pub dead_messages: Option<Duration>,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn at_least_one(count: u32, unit: Duration) -> Option<Duration> {
    (count > 0).then(|| unit * count)
}
