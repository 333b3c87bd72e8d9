//! What the three programs share: the runtime, how they end, the question whether one is alive, and commands.

#[cfg(feature = "worker")]
pub mod check;
pub mod dead;
#[cfg(feature = "worker")]
pub mod drain;
pub mod health;
pub mod jobs;
#[cfg(all(feature = "web", feature = "worker"))]
pub mod measured;
pub mod operate;
pub mod operator;
pub mod process;
pub mod queues;
pub mod run;

use std::process::ExitCode;

use shared::foundation::Foundation;
use tokio::task::JoinHandle;

pub use process::{Process, Stop};

/// Whatever keeps a program from starting or going on: one line for the person who started it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The end of a program whose other parts stopped: what was handed over to the relay is still published.
pub async fn end(relay: JoinHandle<()>, present: JoinHandle<()>, foundation: &Foundation) {
    // One that ended before was told of already.
    if !relay.is_finished() {
        let _ = relay.await;
    }
    let _ = present.await;
    foundation.broker.close().await;
}

/// Says something to the person who started the program.
#[expect(clippy::print_stdout, reason = "this is what standard output is for")]
pub fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the log may be filtered, this line must not be")]
fn complain(error: &Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
