//! The imaging process: a program that does nothing but turn files into pictures, one after the other.
//!
//! It limits its own memory, ends when its standard input closes, and is otherwise in its parent's hand: see
//! [`super::pool`].

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use super::{Rejection, make, protocol};

/// The hidden first argument that makes a program of ours an imaging process.
pub const SUBCOMMAND: &str = "imaging";

/// The argument in front of the process's memory limit in bytes.
pub(super) const MEMORY_BYTES: &str = "--memory-bytes";

/// CPU time in seconds, far beyond what a process needs for all its pictures: the last resort against one that
/// loops on after its parent was killed.
const CPU_SECONDS: u64 = 3_600;

/// So much later it is killed: at the limit itself it gets a signal (SIGXCPU) that tells it from a kill from outside.
const CPU_GRACE_SECONDS: u64 = 5;

/// Becomes an imaging process if the program's first argument says so, and gives the exit code when it is done.
///
/// `main` calls this before it builds a runtime, starts a thread or reads a setting.
pub fn dispatch() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == SUBCOMMAND).then(|| run(arguments))
}

/// Serves requests on standard input until it closes.
///
/// The arguments are those after [`SUBCOMMAND`].
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let served =
        limit_self(arguments).and_then(|()| serve(&mut io::stdin().lock(), &mut io::stdout().lock()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        // The parent is gone: nobody is left to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "imaging process: {error}");
            ExitCode::FAILURE
        }
    }
}

fn limit_self(mut arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let (name, value) = (arguments.next(), arguments.next());
    let bytes = value.and_then(|text| text.to_str()?.parse().ok());
    let Some(bytes) = bytes.filter(|_| name.is_some_and(|name| name == MEMORY_BYTES)) else {
        let usage = format!("usage: {SUBCOMMAND} {MEMORY_BYTES} <number>");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, usage));
    };
    set_limits(bytes)
}

#[cfg(target_os = "linux")]
fn set_limits(memory_bytes: u64) -> io::Result<()> {
    use rlimit::Resource;
    Resource::AS.set(memory_bytes, memory_bytes)?;
    Resource::CPU.set(CPU_SECONDS, CPU_SECONDS + CPU_GRACE_SECONDS)?;
    // A core file would hold a customer's picture.
    Resource::CORE.set(0, 0)
}

/// Elsewhere the kernel knows no such limits, or doesn't hold to them: the time limit remains.
#[cfg(not(target_os = "linux"))]
fn set_limits(_memory_bytes: u64) -> io::Result<()> {
    Ok(())
}

/// Answers requests until there are no more.
///
/// A panic in a decoder is the file's fault like any other damage, and becomes a [`Rejection`]; the panic's
/// message is on standard error.
///
/// # Errors
/// The pipes' own, or a request that makes no sense.
pub fn serve(requests: &mut impl Read, answers: &mut impl Write) -> io::Result<()> {
    while let Some((protocol::Request { limits, task }, original)) = protocol::read_request(requests)? {
        let answer = catch_unwind(AssertUnwindSafe(|| make(task, &original, &limits)));
        protocol::write_answer(answers, answer.unwrap_or(Err(Rejection::Unprocessable)))?;
    }
    Ok(())
}
