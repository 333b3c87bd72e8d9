//! Starts the real programs as child processes, on either set-up, and acts as their users do.
//!
//! Start with [`Setup`]: one test body takes it and runs on both, see [`on_both_set_ups`]. [`App`] is what it
//! starts; [`Visitor`] is a person with a token. What a test looks at is what a user sees: answers, mails; the
//! tables ([`App::number`]) only where no user could see it, such as the ledger of payments.
//!
//! Nothing sleeps for a fixed time: everything waits for an event, see [`eventually`].

mod answer;
mod app;
mod browser;
mod database;
mod eventually;
mod gate;
mod mail;
pub mod operators;
pub mod pictures;
mod production;
mod program;
mod servers;
mod setup;
mod smtp;
mod sse;
mod visitor;

pub use answer::Answer;
pub use app::App;
pub use browser::Browser;
pub use eventually::{eventually, within};
pub use gate::Gate;
pub use mail::Mail;
pub use operators::Operator;
pub use program::{Program, process_exists, program_path, run_to_end};
pub use servers::{FaultServers, test_variable};
pub use setup::Setup;
pub use sse::EventStream;
pub use visitor::{Order, Placed, Upload, Visitor};

/// Makes two tests of each function that takes a [`Setup`]: `embedded::name`, and `production::name`, which needs
/// servers.
macro_rules! on_both_set_ups {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::harness::Setup::embedded()).await;
            })+
        }
        crate::harness::on_production!($($name),+);
    };
}

/// As [`on_both_set_ups`], for what only separate programs can show.
macro_rules! on_production {
    ($($name:ident),+ $(,)?) => {
        mod production {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[ignore = "needs servers: scripts/test"]
            async fn $name() {
                super::$name(crate::harness::Setup::production()).await;
            })+
        }
    };
}

pub(crate) use {on_both_set_ups, on_production};
