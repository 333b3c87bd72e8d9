//! The imaging processes as the rest of the worker sees them: a pool that answers with pictures.
//!
//! A process serves one request at a time and is reused; whenever a request ends in any way but an answer (too
//! late, a crash, the caller went away) its process is killed, so that no answer can ever reach the wrong
//! caller.
//! There is no fallback into a thread.

use std::ffi::OsString;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use shared::domain::photo::PictureLimits;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::protocol::Request;
use super::{Picture, Rejection, Task, child};
use process::ImagingProcess;

mod process;

/// How the pool works.
#[derive(Debug, Clone)]
pub struct ImagingSettings {
    /// The program and the arguments that start an imaging process (see [`child::dispatch`]); the pool adds
    /// the limits.
    pub command: Vec<OsString>,
    /// The most processes, which is the most pictures at the same time; at least 1.
    pub processes: usize,
    /// What a process may allocate, in bytes of address space.
    pub memory_bytes: u64,
    /// After so many pictures a process is replaced, so that no leak grows old; at least 1.
    pub pictures_per_process: u32,
    /// What a picture may measure.
    pub limits: PictureLimits,
}

impl ImagingSettings {
    /// Enough for the worst lawful picture of 40 million pixels (RGBA of 16 bits beside its 8-bit copy, or the
    /// coefficients of a progressive JPEG), and then as much again.
    pub const MEMORY_BYTES: u64 = 1 << 30;

    /// One process a core, each the running program itself, within these limits.
    ///
    /// # Errors
    /// When the path of the running program can't be found out.
    pub fn new(limits: PictureLimits) -> io::Result<Self> {
        // On Linux this link leads to the running program even after an upgrade has replaced its file.
        let program = if cfg!(target_os = "linux") {
            OsString::from("/proc/self/exe")
        } else {
            std::env::current_exe()?.into_os_string()
        };
        Ok(Self {
            command: vec![program, OsString::from(child::SUBCOMMAND)],
            processes: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: Self::MEMORY_BYTES,
            pictures_per_process: 100,
            limits,
        })
    }
}

/// Why there are no pictures.
#[derive(Debug, Error)]
pub enum ImagingError {
    /// The file is to blame; trying again is pointless.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The process took longer than it was given, and was killed.
    #[error("the picture was not done in time")]
    TimedOut,
    /// The process crashed, ended or talked nonsense instead of answering: the file is to blame.
    #[error("the imaging process crashed: {detail}")]
    Crashed {
        /// How it ended, for the log.
        detail: String,
    },
    /// Somebody else ended the process, as the kernel does when the machine has no memory left (SIGKILL), or it was
    /// lost without a word. That says nothing about the file.
    #[error("the imaging process was ended from outside: {detail}")]
    Ended {
        /// How it ended, for the log.
        detail: String,
    },
    /// No process could be started.
    #[error("no imaging process can be started: {0}")]
    Spawn(#[source] io::Error),
}

/// A pool of imaging processes, started when they are first needed and killed when it is dropped.
#[derive(Debug)]
pub struct ImagingPool {
    settings: ImagingSettings,
    slots: Semaphore,
    idle: Mutex<Vec<ImagingProcess>>,
}

impl ImagingPool {
    /// A pool without any process yet.
    pub fn new(settings: ImagingSettings) -> Self {
        let slots = Semaphore::new(settings.processes.max(1));
        Self { settings, slots, idle: Mutex::new(Vec::new()) }
    }

    /// [`super::make`], in one of the processes.
    ///
    /// Waits for a free one first; `timeout` counts from then on.
    /// Dropping the future kills the process.
    ///
    /// # Errors
    /// See [`ImagingError`].
    pub async fn make(
        &self,
        task: Task,
        original: Bytes,
        timeout: Duration,
    ) -> Result<Vec<Picture>, ImagingError> {
        // An error would mean a closed semaphore, and this one never is.
        let _slot = self.slots.acquire().await.ok();
        let request = Request { limits: self.settings.limits, task };
        tokio::time::timeout(timeout, self.ask(&request, &original))
            .await
            .unwrap_or(Err(ImagingError::TimedOut))
    }

    /// Asks a process that is already there or, if that is no more, a new one.
    ///
    /// A reused process that crashes may have died in its sleep, or of what earlier pictures left in its
    /// memory: only the crash of a fresh one says something about the picture.
    async fn ask(&self, request: &Request, original: &[u8]) -> Result<Vec<Picture>, ImagingError> {
        if let Some(reused) = self.take_idle() {
            match self.ask_process(reused, request, original).await {
                Err(ImagingError::Crashed { detail } | ImagingError::Ended { detail }) => {
                    tracing::info!(
                        detail,
                        "an imaging process that had worked before is gone; asking a fresh one"
                    );
                }
                answered => return answered,
            }
        }
        let fresh = ImagingProcess::spawn(&self.settings).map_err(ImagingError::Spawn)?;
        self.ask_process(fresh, request, original).await
    }

    async fn ask_process(
        &self,
        mut process: ImagingProcess,
        request: &Request,
        original: &[u8],
    ) -> Result<Vec<Picture>, ImagingError> {
        // From here until it has answered the process belongs to this future, and dies with it.
        let answer = process.ask(request, original).await?;
        if process.pictures < self.settings.pictures_per_process {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        }
        Ok(answer?)
    }

    fn take_idle(&self) -> Option<ImagingProcess> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(mut process) = idle.pop() {
            if process.is_alive() {
                return Some(process);
            }
        }
        None
    }
}
