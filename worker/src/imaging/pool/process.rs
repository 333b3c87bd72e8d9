//! One imaging process.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{ImagingError, ImagingSettings};
use crate::imaging::protocol::{self, Request};
use crate::imaging::{Picture, Rejection, child};

/// How long a process that has closed its pipe may take to be gone.
const GRACE: Duration = Duration::from_secs(1);

/// An imaging process that waits for a request. Dropping it kills it.
#[derive(Debug)]
pub(super) struct ImagingProcess {
    child: Child,
    requests: ChildStdin,
    answers: ChildStdout,
    /// How many requests it has answered.
    pub(super) pictures: u32,
}

impl ImagingProcess {
    /// Starts a process.
    ///
    /// It gets an empty environment: a hole in a decoder must not lead to the passwords of the worker.
    /// Its standard error is the worker's.
    pub(super) fn spawn(settings: &ImagingSettings) -> io::Result<Self> {
        let [program, arguments @ ..] = settings.command.as_slice() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"));
        };
        let mut child = Command::new(program)
            .args(arguments)
            .arg(child::MEMORY_BYTES)
            .arg(settings.memory_bytes.to_string())
            .env_clear()
            // glibc reserves an arena of 64 MiB for each thread, and reserved counts against the limit.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(requests), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { child, requests, answers, pictures: 0 })
    }

    /// Whether it still runs, as far as the kernel has told.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a request and waits for the answer.
    ///
    /// After an error ([`ImagingError::Crashed`], [`ImagingError::Ended`]), or when the future was dropped, the process is in an unknown
    /// state: drop it.
    pub(super) async fn ask(
        &mut self,
        request: &Request,
        original: &[u8],
    ) -> Result<Result<Vec<Picture>, Rejection>, ImagingError> {
        match self.converse(request, original).await {
            Ok(answer) => {
                self.pictures += 1;
                Ok(answer)
            }
            Err(error) => Err(self.how_it_ended(&error).await),
        }
    }

    async fn converse(
        &mut self,
        request: &Request,
        original: &[u8],
    ) -> io::Result<Result<Vec<Picture>, Rejection>> {
        protocol::send_request(&mut self.requests, request, original).await?;
        protocol::receive_answer(&mut self.answers).await
    }

    /// Whose fault it is that there is no answer. This program kills a process only by dropping it, and then nobody
    /// asks: a kill that is seen here came from outside.
    async fn how_it_ended(&mut self, error: &io::Error) -> ImagingError {
        match tokio::time::timeout(GRACE, self.child.wait()).await {
            Ok(Ok(status)) if is_from_outside(status) => ImagingError::Ended { detail: status.to_string() },
            Ok(Ok(status)) => ImagingError::Crashed { detail: status.to_string() },
            // It lives and says what makes no sense.
            _ if error.kind() == io::ErrorKind::InvalidData => {
                ImagingError::Crashed { detail: error.to_string() }
            }
            // It takes long to die, as one whose memory the kernel takes back.
            _ => ImagingError::Ended { detail: error.to_string() },
        }
    }
}

/// Whether a process ended by a signal that no picture sends: those of a person, a service manager, or the kernel
/// when it is out of memory. A process that crashes or exceeds its own limits gets others.
#[cfg(unix)]
fn is_from_outside(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    // SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM: POSIX gives them these numbers.
    status.signal().is_some_and(|signal| [1, 2, 3, 9, 15].contains(&signal))
}

/// Without signals nobody can tell.
#[cfg(not(unix))]
fn is_from_outside(_status: ExitStatus) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn only_a_signal_that_others_send_is_from_outside() {
        for signal in [1, 2, 3, 9, 15] {
            assert!(is_from_outside(ExitStatus::from_raw(signal)), "signal {signal}");
        }
        // SIGILL, SIGABRT (no memory within its own limit), SIGBUS, SIGSEGV, SIGXCPU (its own limit).
        for signal in [4, 6, 7, 11, 24] {
            assert!(!is_from_outside(ExitStatus::from_raw(signal)), "signal {signal}");
        }
        for code in [0, 1, 101, 137] {
            assert!(!is_from_outside(ExitStatus::from_raw(code << 8)), "code {code}");
        }
    }
}
