//! The worker: does the heavy work.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = worker::imaging::child::dispatch() {
        return code;
    }
    ExitCode::SUCCESS
}
