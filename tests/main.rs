//! The whole system from outside: the real programs, started as they are in production, used as people use them.
//!
//! Nearly every test runs twice, as `…::embedded::name` and `…::production::name`; see `harness`. Those that need
//! servers are ignored by a plain `cargo test`; `scripts/test` runs them all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the panic of a test is its report"
)]

mod again;
mod bad_input;
mod budgets;
mod callbacks;
mod checking;
mod consistency;
#[cfg(feature = "crash-points")]
mod crash_points;
mod crashes;
mod deletion;
mod drain;
mod first_moments;
mod gateway;
mod guides;
mod harness;
mod imaging;
mod in_a_browser;
mod incoming;
mod leases;
mod liveness;
mod load;
mod mail_window;
mod operating;
mod operating_jobs;
mod operators;
mod orders;
mod outages;
mod overview;
mod pages;
mod pooler;
mod previous_release;
mod prints;
mod retention;
mod sales_report;
mod scaling;
mod schedule;
mod starting;
mod status;
mod stops;
mod story;
mod submissions;
mod traces;
mod triggers;
