//! What the three programs share: the runtime, how they end, the question whether one is alive, and commands.

#[cfg(feature = "worker")]
pub mod check;
pub mod dead;
#[cfg(feature = "worker")]
pub mod drain;
pub mod health;
pub mod jobs;
pub mod operate;
pub mod operator;
pub mod queues;
pub mod run;

use std::future::Future;
use std::process::ExitCode;

use shared::telemetry::{LogFormat, init_logs};

/// Whatever keeps a program from starting or going on: one line for the person who started it.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Runs a program to its end.
pub fn main(logs: LogFormat, program: impl Future<Output = Result<(), Error>>) -> ExitCode {
    main_with_code(logs, async { program.await.map(|()| ExitCode::SUCCESS) })
}

/// As [`main`], for a program that has more to say by its exit code.
pub fn main_with_code(logs: LogFormat, program: impl Future<Output = Result<ExitCode, Error>>) -> ExitCode {
    shared::tls::install_provider();
    init_logs(logs);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.into()),
    };
    match runtime.block_on(program) {
        Ok(code) => code,
        Err(error) => complain(&error),
    }
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
