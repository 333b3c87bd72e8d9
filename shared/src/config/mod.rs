//! Settings: environment variables or flags (`--help` lists them), checked once, before anything starts.
//!
//! One struct a concern; a program flattens those that it needs. An unset backend means the embedded
//! default in the all-in-one, and a refusal to start in `web` and `worker`.

mod common;
mod incoming;
mod upkeep;
mod web;
mod worker;

use std::fmt;

pub use common::{Common, CommonSettings, Migrate};
pub use incoming::{Incoming, IncomingSettings};
pub use upkeep::{Keep, ScheduleSwitch, UpkeepSettings};
pub use web::{RateLimit, WebSettings};
pub use worker::{DEFAULT_WORKER_HTTP_ADDR, WorkerSettings};

/// A setting is wrong, missing or contradicts another: one line for the person who starts the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable's name.
    pub setting: &'static str,
    /// What is wrong with it, without its value where that may be secret.
    pub problem: String,
}

impl ConfigError {
    /// An error about one setting.
    pub fn new(setting: &'static str, problem: impl fmt::Display) -> Self {
        Self { setting, problem: problem.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for ConfigError {}
