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
pub mod settings;

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

/// A document that is made from the code must be what the code makes; with `UPDATE_DOCS` it is written.
#[cfg(test)]
pub(crate) fn document_is(path: &str, document: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&file, document).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == document, "{path} is old: UPDATE_DOCS=1 cargo test --lib document");
}
