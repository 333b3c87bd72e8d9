//! A program's process: its runtime, and how it is told to stop.
//!
//! The signals are listened to before anything else happens. As the first process of a container, a program that
//! does not listen does not hear SIGTERM at all.

use std::future::Future;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::telemetry::{LogFormat, init_logs};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::{Error, complain};

/// How long a program may take to stop that has not read its settings yet.
const EARLY_PATIENCE: Duration = Duration::from_secs(5);

/// What a shell reports of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// A process that has begun.
pub struct Process {
    runtime: Runtime,
    stop: Stop,
}

/// Tells a program to stop, and sees to it that it does.
#[derive(Clone)]
pub struct Stop {
    /// Set at the first SIGTERM or Ctrl-C, or by the program itself.
    pub token: CancellationToken,
    patience: Arc<Mutex<Duration>>,
}

/// The program was told to stop before it had begun. That is no failure.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the start")]
struct StoppedEarly;

impl Stop {
    fn new() -> Self {
        Self { token: CancellationToken::new(), patience: Arc::new(Mutex::new(EARLY_PATIENCE)) }
    }

    /// From the setting of the token on the process has so long. Then it is ended, whatever hangs.
    pub fn allow(&self, patience: Duration) {
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner) = patience;
    }

    fn patience(&self) -> Duration {
        *self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A step of the start, such as waiting for the database: given up when the program is told to stop.
    ///
    /// # Errors
    /// Those of the step; or that the program is to stop, which ends it without a complaint.
    pub async fn or<T, E: Into<Error>>(&self, step: impl Future<Output = Result<T, E>>) -> Result<T, Error> {
        tokio::select! {
            done = step => done.map_err(Into::into),
            () = self.token.cancelled() => Err(StoppedEarly.into()),
        }
    }
}

impl Process {
    /// Begins: call it first in `main`.
    ///
    /// # Errors
    /// When the system gives no threads or no signals; the complaint is printed.
    pub fn begin() -> Result<Self, ExitCode> {
        shared::jobs::register();
        let stop = Stop::new();
        listen(stop.clone()).map_err(|error| complain(&error.into()))?;
        platform::tls::install_provider();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| complain(&error.into()))?;
        Ok(Self { runtime, stop })
    }

    /// Runs a program that stops by itself, in good order, when it is told to.
    pub fn serve<W>(self, logs: LogFormat, program: impl FnOnce(Stop) -> W) -> ExitCode
    where
        W: Future<Output = Result<ExitCode, Error>>,
    {
        init_logs(logs);
        let ended = self.runtime.block_on(program(self.stop));
        // What still hangs must not hold up the end.
        self.runtime.shutdown_background();
        match ended {
            Ok(code) => code,
            Err(error) if error.is::<StoppedEarly>() => ExitCode::SUCCESS,
            Err(error) => complain(&error),
        }
    }

    /// Runs a command: a signal ends it where it is.
    pub fn command(
        self,
        logs: LogFormat,
        command: impl Future<Output = Result<ExitCode, Error>>,
    ) -> ExitCode {
        self.serve(logs, |stop| async move {
            tokio::select! {
                ended = command => ended,
                () = stop.token.cancelled() => Ok(ExitCode::from(INTERRUPTED)),
            }
        })
    }
}

/// Listens from now on. In a thread and a runtime of its own: a program whose other threads hang must still hear that
/// it is to end, and end in time.
fn listen(stop: Stop) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let signals = Signals::listen()?;
    drop(entered);
    let listening = async move { tokio::join!(heed(signals, stop.token.clone()), end_in_time(stop)) };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(listening))?;
    Ok(())
}

/// The first signal is a request; the second is an order.
async fn heed(mut signals: Signals, stop: CancellationToken) {
    signals.next().await;
    tracing::info!("stopping");
    stop.cancel();
    signals.next().await;
    tracing::warn!("told to stop a second time: ending at once");
    std::process::exit(i32::from(INTERRUPTED));
}

async fn end_in_time(stop: Stop) {
    stop.token.cancelled().await;
    let patience = stop.patience();
    tokio::time::sleep(patience).await;
    tracing::error!(after_seconds = patience.as_secs(), "not stopped in time: ending as it is");
    std::process::exit(1);
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}
